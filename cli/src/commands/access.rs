//! `kennel logs --access`: which requests there were, in the Combined Log Format or as they are.

use std::borrow::Cow;
use std::time::Duration;

use kennel_model::access::{Line, Visit};
use kennel_model::seeing::date;

use super::{Context, tenant_path};
use crate::args::{AccessFormat, Logs};
use crate::client::Documents;
use crate::exit::Failure;
use crate::ui::SafeLines;

/// Without a line, when not following.
const STALL: Duration = Duration::from_secs(60);
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) async fn access(context: &Context, args: &Logs) -> Result<(), Failure> {
    let mut client = context.client()?;
    let of = args.name.as_ref().map_or_else(|| "/v1".to_owned(), tenant_path);
    let mut path = format!("{of}/access?lines={}&follow={}", args.wanted(), args.follow);
    if let Some(seconds) = args.since.and_then(|since| since.0) {
        path += &format!("&since_s={seconds}");
    }
    let mut lines = Documents::new(client.name().clone(), client.stream(&path).await?);
    let json = context.ui.json() || args.format == AccessFormat::Json;
    if args.follow || (json && !context.ui.json()) {
        return pass_on(
            context,
            &mut lines,
            args.follow,
            |line| if json { document(line) } else { words(line) },
        )
        .await;
    }
    let mut known: Vec<Line<'static>> = Vec::new();
    while let Some(line) = lines.next(Some(STALL)).await? {
        known.push(line);
    }
    let left_out: u64 = known.iter().map(|line| u64::from(left_out(line))).sum();
    if left_out > 0 {
        context.ui.note(&format!("{left_out} more came than are written down"));
    }
    Ok(context.ui.result(&known, |known| known.iter().map(words).collect())?)
}

/// Prints lines as they come, to their end or, while following, until Ctrl-C: there is no telling how long nobody comes.
pub(super) async fn pass_on(
    context: &Context,
    lines: &mut Documents,
    follow: bool,
    show: impl Fn(&Line<'static>) -> String,
) -> Result<(), Failure> {
    let patience = (!follow).then_some(STALL);
    loop {
        let next = tokio::select! {
            next = lines.next::<Line<'static>>(patience) => next?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(line) = next else { return Ok(()) };
        context.ui.raw(show(&line).as_bytes())?;
    }
}

/// A line as the host has it.
pub(super) fn document(line: &Line<'_>) -> String {
    // It was read from such a document just now.
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

/// Of how many requests this line says that there are no others.
pub(super) fn left_out(line: &Line<'_>) -> u32 {
    match line {
        Line::Visit(_) => 0,
        Line::LeftOut(line) => line.left_out,
    }
}

/// A line in the Combined Log Format; nothing for what that has no word for.
fn words(line: &Line<'_>) -> String {
    match line {
        Line::Visit(visit) => harmless(&combined(visit)),
        Line::LeftOut(_) => String::new(),
    }
}

/// Whatever the host says, the terminal takes no harm.
pub(super) fn harmless(text: &str) -> String {
    SafeLines::new(false).push(format!("{text}\n").as_bytes()).concat() + "\n"
}

fn combined(visit: &Visit<'_>) -> String {
    let quoted = |text: &str| text.replace('"', "\\\"");
    let or_none =
        |text: &Option<Cow<'_, str>>| text.as_ref().map_or_else(|| "-".to_owned(), |text| quoted(text));
    format!(
        "{} - - [{}] \"{}\" {} {} \"{}\" \"{}\"",
        visit.client.to_canonical(),
        time(visit.at_ms),
        quoted(&format!("{} {} {}", visit.method, visit.target, visit.protocol)),
        visit.status,
        visit.bytes_out,
        or_none(&visit.referer),
        or_none(&visit.agent),
    )
}

/// `22/Nov/2026:00:58:01 +0000`
fn time(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let month = MONTHS[month.clamp(1, 12) as usize - 1];
    format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use kennel_model::access::{Ended, Id, LeftOut};

    pub(in crate::commands) fn visit() -> Visit<'static> {
        Visit {
            at_ms: 1_793_491_261_250,
            tenant: Some("blog".into()),
            host: "blog.example".into(),
            client: "::ffff:192.0.2.7".parse().unwrap(),
            method: "GET".into(),
            target: "/a?q=\"x\"".into(),
            protocol: "HTTP/1.1".into(),
            status: 200,
            bytes_in: 0,
            bytes_out: 2326,
            referer: None,
            agent: Some("Mozilla/5.0 (\"odd\")".into()),
            id: Id([1; 16]),
            trace: Id([2; 16]),
            fault: None,
            ended: Ended::Whole,
            total_us: 312_456,
            queue_us: Some(300_000),
            upstream_us: Some(12_000),
            own_us: 456,
        }
    }

    #[test]
    fn a_request_is_a_line_as_others_write_it() {
        assert_eq!(
            words(&Line::Visit(Box::new(visit()))),
            "192.0.2.7 - - [01/Nov/2026:00:01:01 +0000] \"GET /a?q=\\\"x\\\" HTTP/1.1\" 200 2326 \"-\" \
             \"Mozilla/5.0 (\\\"odd\\\")\"\n"
        );
        assert_eq!(words(&Line::LeftOut(LeftOut { at_ms: 0, tenant: None, left_out: 3 })), "");
    }

    #[test]
    fn a_host_that_has_been_taken_over_does_no_harm_to_the_terminal() {
        let odd = Visit { target: "/\u{1b}]0;x\u{7}\nforged".into(), ..visit() };
        let shown = words(&Line::Visit(Box::new(odd)));
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    }
}
