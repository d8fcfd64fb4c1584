//! The picture of `kennel top`: lines of text for a width and a height, or for none. Columns that find no room are left out,
//! the least wanted first.

use kennel_model::SlotState;
use kennel_model::seeing::Top;

use super::rows::Row;
use crate::args::{ByteSize, SortKey};
use crate::commands::tenant::state;
use crate::ui::SafeLines;

/// Room for the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Its lines; all rows when absent.
    pub(super) height: Option<usize>,
}

/// A column: its heading, what it says of a row, whether it is a number, and how much it is wanted.
struct Column {
    name: &'static str,
    of: fn(&Row) -> String,
    number: bool,
    wanted: u8,
    sorts: Option<SortKey>,
}

/// From left to right.
const COLUMNS: [Column; 11] = [
    column("TENANT", |row| row.now.tenant.to_string(), 10, Some(SortKey::Name)).left(),
    column("STATE", |row| state(row.now.state).to_owned(), 9, None).left(),
    column("FOR", |row| row.now.for_ms.map_or_else(String::new, span), 4, None),
    column("CPU ms/s", |row| rate(row.cpu_ms_per_s), 8, Some(SortKey::Cpu)),
    column("RAM", |row| bytes(row.now.holds.resident), 8, Some(SortKey::Memory)),
    column("SWAP", |row| bytes(row.now.holds.swap), 5, Some(SortKey::Swap)),
    column("REQ/s", |row| rate(row.requests_per_s), 7, Some(SortKey::Requests)),
    column("WAIT", |row| row.queued_ms_per_request.map_or_else(String::new, wait), 3, None),
    column("WAKES", |row| count(row.now.spent.woken()), 6, Some(SortKey::Wakes)),
    column("DENIED", |row| count(row.now.denials), 2, Some(SortKey::Denials)),
    column("LAST WAKE", |row| row.now.last_wake.clone().unwrap_or_default(), 1, None).left(),
];
/// The last column takes what room is left, if it is at least this.
const LEAST_LAST: usize = 12;

const fn column(name: &'static str, of: fn(&Row) -> String, wanted: u8, sorts: Option<SortKey>) -> Column {
    Column { name, of, number: true, wanted, sorts }
}

impl Column {
    const fn left(self) -> Self {
        Self { number: false, ..self }
    }
}

/// The whole picture.
pub(super) fn frame(
    title: &str,
    top: &Top,
    rows: &[Row],
    sorted: SortKey,
    size: Size,
    color: bool,
) -> Vec<String> {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| COLUMNS.iter().map(|c| safe((c.of)(row))).collect()).collect();
    let shown = choose(&cells, size.width);
    let mut lines = vec![fit(&summary(title, top), size.width), String::new()];
    let heading = COLUMNS.iter().map(|c| c.name.to_owned()).collect::<Vec<_>>();
    let mark = shown.iter().position(|(n, _)| COLUMNS[*n].sorts == Some(sorted));
    let ink = |n: usize| {
        if color && Some(n) == mark {
            "1;4"
        } else if color {
            "1"
        } else {
            ""
        }
    };
    lines.push(line(&heading, &shown, ink));
    // The heading's three lines, and one for what is left out.
    let room = size.height.map_or(rows.len(), |height| height.saturating_sub(4));
    for (row, cells) in rows.iter().zip(&cells).take(room) {
        let ink = |n: usize| match shown.get(n) {
            Some((1, _)) if color => ink_of(row.now.state),
            _ => "",
        };
        lines.push(line(cells, &shown, ink));
    }
    if rows.len() > room {
        lines.push(fit(&format!("and {} more", rows.len() - room), size.width));
    } else if rows.is_empty() {
        lines.push(fit(
            "no tenants yet; add one: kennel tenant add blog --runtime node-24 --domain blog.localhost",
            size.width,
        ));
    }
    lines
}

/// The columns that find room, with their widths.
fn choose(cells: &[Vec<String>], width: usize) -> Vec<(usize, usize)> {
    let needs = |n: usize| {
        let widest = cells.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        widest.max(COLUMNS[n].name.chars().count())
    };
    let last = COLUMNS.len() - 1;
    let mut by_wish: Vec<usize> = (0..last).collect();
    by_wish.sort_by_key(|n| std::cmp::Reverse(COLUMNS[*n].wanted));
    let (mut used, mut chosen) = (0, Vec::new());
    for n in by_wish {
        let need = needs(n) + if chosen.is_empty() { 0 } else { 2 };
        if used + need > width && !chosen.is_empty() {
            break;
        }
        used += need;
        chosen.push((n, needs(n).min(width)));
    }
    chosen.sort_unstable();
    let left = width.saturating_sub(used + 2);
    if chosen.len() == last && left >= LEAST_LAST {
        chosen.push((last, left));
    }
    chosen
}

/// One line; `ink` is the colour of each column.
fn line<'i>(cells: &[String], shown: &[(usize, usize)], ink: impl Fn(usize) -> &'i str) -> String {
    let mut out = String::new();
    for (place, (n, width)) in shown.iter().enumerate() {
        let cell = fit(&cells[*n], *width);
        let pad = " ".repeat(width - cell.chars().count());
        let gap = if place == 0 { "" } else { "  " };
        let (before, after) = if COLUMNS[*n].number { (pad.as_str(), "") } else { ("", pad.as_str()) };
        let cell = match ink(place) {
            "" => cell,
            sgr => format!("\x1b[{sgr}m{cell}\x1b[0m"),
        };
        out += &format!("{gap}{before}{cell}{after}");
    }
    out.truncate(out.trim_end().len());
    out
}

/// `local: up 3 h 12 min, 1.2G of 1.9G memory free, 14 tenants: 3 running, 9 frozen, 2 stopped`
fn summary(title: &str, top: &Top) -> String {
    let all = [
        SlotState::Running,
        SlotState::Frozen,
        SlotState::Reclaimed,
        SlotState::Stopped,
        SlotState::Stopping,
        SlotState::Failed,
    ];
    let count = |wanted| top.tenants.iter().filter(|t| t.state == wanted).count();
    let states: Vec<String> =
        all.into_iter().filter(|s| count(*s) > 0).map(|s| format!("{} {}", count(s), state(s))).collect();
    let of_them = if states.is_empty() { String::new() } else { format!(": {}", states.join(", ")) };
    let tenants = if top.tenants.len() == 1 { "tenant" } else { "tenants" };
    format!(
        "{title}: up {}, {} of {} memory free, {} {tenants}{of_them}",
        span(top.uptime_ms),
        bytes(top.memory_available_bytes),
        bytes(top.memory_total_bytes),
        top.tenants.len()
    )
}

const fn ink_of(state: SlotState) -> &'static str {
    match state {
        SlotState::Running => "32",
        SlotState::Frozen => "36",
        SlotState::Reclaimed => "34",
        SlotState::Stopped => "2",
        SlotState::Stopping => "33",
        SlotState::Failed => "1;31",
    }
}

/// What others chose, harmless to the terminal and on one line.
fn safe(text: String) -> String {
    if text.chars().any(char::is_control) {
        let line = text.replace(['\n', '\r'], " ") + "\n";
        return SafeLines::new(false).push(line.as_bytes()).concat();
    }
    text
}

/// Cut to a width, with a mark where it was.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A rate: `0.4`, `17`, and nothing for none.
fn rate(n: f64) -> String {
    match n {
        n if n < 0.05 => "·".to_owned(),
        n if n < 9.95 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

fn count(n: u64) -> String {
    if n == 0 { "·".to_owned() } else { n.to_string() }
}

fn bytes(n: u64) -> String {
    if n == 0 { "·".to_owned() } else { ByteSize(n).to_string() }
}

fn wait(ms: f64) -> String {
    if ms < 999.5 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1000.0) }
}

/// A length of time in its largest unit.
fn span(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{look, tenant};
    use super::super::rows::{rows, sort};
    use super::*;

    fn picture(width: usize, height: Option<usize>, color: bool) -> Vec<String> {
        let before = look(1000, vec![tenant("blog", 0, 0), tenant("a-rather-long-name", 0, 0)]);
        let now = look(3000, vec![tenant("blog", 24_000, 5), tenant("a-rather-long-name", 0, 0)]);
        let mut rows = rows(&before, &now);
        sort(&mut rows, SortKey::Cpu);
        frame("local", &now, &rows, SortKey::Cpu, Size { width, height }, color)
    }

    #[test]
    fn a_wide_terminal_shows_all() {
        assert_eq!(
            picture(120, None, false),
            [
                "local: up 3 s, 1G of 2G memory free, 2 tenants: 2 running",
                "",
                "TENANT              STATE     FOR  CPU ms/s  RAM  SWAP  REQ/s   WAIT  WAKES  DENIED  LAST WAKE",
                "blog                running  65 s        12  45M    3M    2.5  10 ms      4       2  GET / from 192.0.2.1",
                "a-rather-long-name  running  65 s         ·  45M    3M      ·             4       2  GET / from 192.0.2.1",
            ]
        );
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        for width in 1..130 {
            for line in picture(width, None, false) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert_eq!(picture(40, None, false)[2], "TENANT              STATE    CPU ms/s");
        assert_eq!(picture(60, None, false)[2], "TENANT              STATE    CPU ms/s  RAM  REQ/s  WAKES");
    }

    #[test]
    fn what_is_lower_than_the_terminal_is_counted() {
        let lines = picture(80, Some(5), false);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (5, "and 1 more"));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let plain = picture(100, None, false);
        let bare = |line: &str| {
            let mut pieces = line.split("\x1b[");
            let first = pieces.next().unwrap().to_owned();
            pieces.fold(first, |text, piece| text + piece.split_once('m').unwrap().1)
        };
        assert_eq!(picture(100, None, true).iter().map(|l| bare(l)).collect::<Vec<_>>(), plain);
    }
}
