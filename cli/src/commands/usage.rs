//! `kennel usage`: what tenants have used in a month, for people, for spreadsheets and for programs.

use kennel_model::seeing::{Month, Usage, Used, date};

use super::{Context, tenant_path};
use crate::args::{ByteSize, Usage as Args};
use crate::exit::Failure;
use crate::ui::table;

pub(super) async fn usage(context: &Context, args: &Args) -> Result<(), Failure> {
    let of = args.name.as_ref().map_or_else(|| "/v1".to_owned(), tenant_path);
    let month = args.month.map_or_else(String::new, |month| format!("?month={month}"));
    let rows: Vec<Usage> = context.client()?.get(&format!("{of}/usage{month}")).await?;
    if args.csv {
        return Ok(context.ui.raw(csv(&rows).as_bytes())?);
    }
    if rows.is_empty() {
        context.ui.note("nothing was used in that month, as far as is known");
    }
    let words = |rows: &Vec<Usage>| match &rows[..] {
        [] => String::new(),
        rows if args.name.is_some() => days(rows),
        rows => lines("TENANT", rows.iter().map(|row| (row.tenant.clone(), row.used))),
    };
    Ok(context.ui.result(&rows, words)?)
}

/// One tenant's, day by day, and in all.
fn days(rows: &[Usage]) -> String {
    let mut sums: Vec<(String, Used)> = Vec::new();
    let mut total = Used::default();
    for row in rows {
        let (year, month, day) = date(row.from_s / 86_400);
        let name = format!("{year}-{month:02}-{day:02}");
        match sums.last_mut() {
            Some((last, sum)) if *last == name => *sum = plus(sum, &row.used),
            _ => sums.push((name, row.used)),
        }
        total = plus(&total, &row.used);
    }
    let month = rows.first().map_or_else(String::new, |row| Month::at(row.from_s).to_string());
    sums.push((month, total));
    lines("DAY (UTC)", sums.into_iter())
}

/// The numbers in the order of [`NAMES`].
const fn numbers(used: &Used) -> [u64; NAMES.len()] {
    [
        used.cpu_ms,
        used.running_byte_s,
        used.frozen_byte_s,
        used.reclaimed_byte_s,
        used.swap_byte_s,
        used.disk_byte_s,
        used.bytes_in,
        used.bytes_out,
        used.requests,
        used.queued_ms,
        used.woken_frozen,
        used.woken_reclaimed,
        used.woken_stopped,
        used.oom_kills,
    ]
}

const NAMES: [&str; 14] = [
    "cpu_ms",
    "running_byte_s",
    "frozen_byte_s",
    "reclaimed_byte_s",
    "swap_byte_s",
    "disk_byte_s",
    "bytes_in",
    "bytes_out",
    "requests",
    "queued_ms",
    "woken_frozen",
    "woken_reclaimed",
    "woken_stopped",
    "oom_kills",
];

fn plus(a: &Used, b: &Used) -> Used {
    let (ours, theirs) = (numbers(a), numbers(b));
    let sum: [u64; NAMES.len()] = std::array::from_fn(|n| ours[n].saturating_add(theirs[n]));
    let [cpu_ms, running_byte_s, frozen_byte_s, reclaimed_byte_s, swap_byte_s, disk_byte_s, rest @ ..] = sum;
    let [bytes_in, bytes_out, requests, queued_ms, rest @ ..] = rest;
    let [woken_frozen, woken_reclaimed, woken_stopped, oom_kills] = rest;
    Used {
        cpu_ms,
        running_byte_s,
        frozen_byte_s,
        reclaimed_byte_s,
        swap_byte_s,
        disk_byte_s,
        bytes_in,
        bytes_out,
        requests,
        queued_ms,
        woken_frozen,
        woken_reclaimed,
        woken_stopped,
        oom_kills,
    }
}

fn lines(first: &str, rows: impl Iterator<Item = (String, Used)>) -> String {
    let heading =
        [first, "CPU", "RUNNING", "FROZEN", "RECLAIMED", "SWAP", "DISK", "IN", "OUT", "REQUESTS", "WAKES"];
    let rows: Vec<[String; 11]> = rows
        .map(|(name, used)| {
            [
                name,
                time(used.cpu_ms),
                gib_hours(used.running_byte_s),
                gib_hours(used.frozen_byte_s),
                gib_hours(used.reclaimed_byte_s),
                gib_hours(used.swap_byte_s),
                gib_hours(used.disk_byte_s),
                ByteSize(used.bytes_in).to_string(),
                ByteSize(used.bytes_out).to_string(),
                used.requests.to_string(),
                (used.woken_frozen + used.woken_reclaimed + used.woken_stopped).to_string(),
            ]
        })
        .collect();
    table(heading, &rows) + "\nmemory (in RAM by what the program did, and in swap) and disk in GiB-hours\n"
}

fn csv(rows: &[Usage]) -> String {
    let mut text = format!("tenant,from,seconds,{}\n", NAMES.join(","));
    for row in rows {
        let (year, month, day) = date(row.from_s / 86_400);
        let hour = row.from_s % 86_400 / 3600;
        let numbers = numbers(&row.used).map(|n| n.to_string()).join(",");
        text +=
            &format!("{},{year}-{month:02}-{day:02}T{hour:02}:00:00Z,{},{numbers}\n", row.tenant, row.length_s);
    }
    text
}

/// Processor time: `0.35 s`, `12 min 5 s`, `3 h 20 min`.
fn time(ms: u64) -> String {
    match ms / 1000 {
        0..10 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        s @ 10..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// With three digits behind the point; what is less than that, but something, is `<0.001`.
fn gib_hours(byte_s: u64) -> String {
    let thousandths = u128::from(byte_s) * 1000 / (3600 << 30);
    match thousandths {
        0 if byte_s > 0 => "<0.001".to_owned(),
        n => format!("{}.{:03}", n / 1000, n % 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from_s: u64, cpu_ms: u64) -> Usage {
        let used = Used { cpu_ms, frozen_byte_s: 3600 << 29, requests: 2, woken_frozen: 1, ..Used::default() };
        Usage { tenant: "blog".into(), from_s, length_s: 3600, used }
    }

    /// 2026-11-01.
    const NOVEMBER_S: u64 = 1_793_491_200;

    #[test]
    fn hours_are_summed_by_day_and_in_all() {
        let rows = [row(NOVEMBER_S, 500), row(NOVEMBER_S + 3600, 700), row(NOVEMBER_S + 86_400, 65_000)];
        let text = days(&rows);
        let cells: Vec<Vec<&str>> =
            text.lines().map(|l| l.split("  ").filter(|c| !c.is_empty()).collect()).collect();
        let shown = |line: usize| cells[line][..4].iter().map(|c| c.trim()).collect::<Vec<_>>();
        assert_eq!(shown(1), ["2026-11-01", "1.20 s", "0.000", "1.000"]);
        assert_eq!(shown(2), ["2026-11-02", "1 min 5 s", "0.000", "0.500"]);
        assert_eq!(shown(3), ["2026-11", "1 min 6 s", "0.000", "1.500"]);
    }

    #[test]
    fn csv_has_a_column_for_every_number() {
        let text = csv(&[row(NOVEMBER_S + 7200, 500)]);
        let [heading, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(heading.split(',').count(), line.split(',').count());
        assert!(line.starts_with("blog,2026-11-01T02:00:00Z,3600,500,0,1932735283200,"), "{line}");
        let json = serde_json::to_value(Used::default()).unwrap();
        assert!(
            NAMES.iter().all(|name| json.get(name).is_some()) && json.as_object().unwrap().len() == NAMES.len()
        );
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!([0, 350, 59_999, 3_600_000].map(time), ["0.00 s", "0.35 s", "59 s", "1 h 0 min"]);
        assert_eq!([0, 5, 3600 << 30].map(gib_hours), ["0.000", "<0.001", "1.000"]);
    }
}
