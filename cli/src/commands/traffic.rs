//! `kennel traffic`: requests as they come, a line each.

use kennel_model::access::{Ended, Line, Visit};

use super::access::{document, harmless, pass_on};
use super::timeline::time;
use super::{Context, tenant_path};
use crate::args::{ByteSize, Traffic};
use crate::client::Documents;
use crate::exit::Failure;

pub(super) async fn traffic(context: &Context, args: &Traffic) -> Result<(), Failure> {
    let mut client = context.client()?;
    let of = args.name.as_ref().map_or_else(|| "/v1".to_owned(), tenant_path);
    let path = format!("{of}/traffic?lines={}&follow={}", args.lines, !args.once);
    let mut lines = Documents::new(client.name().clone(), client.stream(&path).await?);
    if context.ui.json() {
        return pass_on(context, &mut lines, !args.once, document).await;
    }
    context.ui.raw(format!("{HEADING}\n").as_bytes())?;
    pass_on(context, &mut lines, !args.once, words).await
}

const HEADING: &str = "WHEN (UTC)    STATUS      TIME      WAKE     BYTES  TENANT        REQUEST";

fn words(line: &Line<'_>) -> String {
    match line {
        Line::Visit(visit) => harmless(&request(visit)),
        Line::LeftOut(line) => {
            let whose = line.tenant.as_deref().map_or_else(String::new, |tenant| format!(" of {tenant}"));
            harmless(&format!("{}  ({} more{whose} were only counted)", of_day(line.at_ms), line.left_out))
        }
    }
}

fn request(visit: &Visit<'_>) -> String {
    let wake = visit.queue_us.map_or_else(|| "-".to_owned(), took);
    let mut text = format!(
        "{}  {:>6} {:>9} {:>9} {:>9}  {:<12}  {} {}{}",
        of_day(visit.at_ms),
        visit.status,
        took(visit.total_us),
        wake,
        ByteSize(visit.bytes_out).to_string(),
        visit.tenant.as_deref().unwrap_or("-"),
        visit.method,
        visit.host,
        visit.target,
    );
    if let Some(fault) = &visit.fault {
        text += &format!("  [{fault}]");
    }
    if visit.ended == Ended::Cut {
        text += "  (broke off)";
    }
    text
}

/// `00:58:01.250`
fn of_day(at_ms: u64) -> String {
    time(at_ms).split(' ').nth(1).unwrap_or_default().to_owned()
}

/// With three digits or so.
fn took(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{:02} ms", us / 1000, us / 10 % 100),
        10_000..1_000_000 => format!("{}.{} ms", us / 1000, us / 100 % 10),
        _ => format!("{}.{:02} s", us / 1_000_000, us / 10_000 % 100),
    }
}

#[cfg(test)]
mod tests {
    use super::super::access::tests::visit;
    use super::*;
    use kennel_model::access::LeftOut;

    #[test]
    fn a_request_is_a_line_under_its_heading() {
        let line = words(&Line::Visit(Box::new(visit())));
        assert_eq!(
            format!("{HEADING}\n{line}"),
            "WHEN (UTC)    STATUS      TIME      WAKE     BYTES  TENANT        REQUEST\n\
             00:01:01.250     200  312.4 ms  300.0 ms      2.2K  blog          GET blog.example/a?q=\"x\"\n"
        );
        let cut = Visit {
            ended: Ended::Cut,
            tenant: None,
            queue_us: None,
            fault: Some("unknown-host".into()),
            total_us: 2_345_678,
            ..visit()
        };
        let line = words(&Line::Visit(Box::new(cut)));
        assert!(line.contains("  2.34 s         - "), "{line}");
        assert!(
            line.contains("  -             GET ") && line.ends_with("  [unknown-host]  (broke off)\n"),
            "{line}"
        );
        let left_out = LeftOut { at_ms: 0, tenant: Some("blog".into()), left_out: 70 };
        assert_eq!(words(&Line::LeftOut(left_out)), "00:00:00.000  (70 more of blog were only counted)\n");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [0, 999, 9_990, 10_000, 999_999, 60_000_000].map(took),
            ["0.00 ms", "0.99 ms", "9.99 ms", "10.0 ms", "999.9 ms", "60.00 s"]
        );
    }
}
