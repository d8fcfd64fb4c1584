//! `kennel logs`: what a tenant's program printed, made harmless to the terminal.

use std::time::Duration;

use kennel_model::ReleaseId;
use kennel_model::printed::Printed;

use super::{Context, tenant_path};
use crate::args::{ByteSize, Logs};
use crate::client::Documents;
use crate::exit::Failure;
use crate::ui::SafeLines;

/// Without a line, when not following.
const STALL: Duration = Duration::from_secs(60);

pub(super) async fn logs(context: &Context, args: &Logs) -> Result<(), Failure> {
    let mut client = context.client()?;
    // Its arguments see to it that there is one.
    let Some(name) = &args.name else { return Ok(()) };
    let mut path = format!("{}/logs?lines={}&follow={}", tenant_path(name), args.wanted(), args.follow);
    if let Some(seconds) = args.since.and_then(|since| since.0) {
        path += &format!("&since_s={seconds}");
    }
    if let Some(release) = args.release {
        path += &format!("&release={release}");
    }
    let mut lines = Documents::new(client.name().clone(), client.stream(&path).await?);
    if args.follow { follow(context, &mut lines).await } else { show(context, &mut lines).await }
}

async fn show(context: &Context, lines: &mut Documents) -> Result<(), Failure> {
    let mut known: Vec<Printed<'static>> = Vec::new();
    while let Some(line) = lines.next(Some(STALL)).await? {
        known.push(line);
    }
    Ok(context.ui.result(&known, |known| {
        let mut shown = Shown::new(context.ui.colours());
        let text: String = known.iter().map(|line| shown.push(line)).collect();
        (text + &shown.finish()).trim_end_matches('\n').to_owned()
    })?)
}

/// Until Ctrl-C. There is no telling how long a program stays silent.
async fn follow(context: &Context, lines: &mut Documents) -> Result<(), Failure> {
    let mut shown = Shown::new(context.ui.colours());
    loop {
        let line = tokio::select! {
            line = lines.next::<Printed<'static>>(None) => line?,
            _ = tokio::signal::ctrl_c() => None,
        };
        let text = match &line {
            // It was read from such a document just now.
            Some(line) if context.ui.json() => serde_json::to_string(line).unwrap_or_default() + "\n",
            Some(line) => shown.push(line),
            None => shown.finish(),
        };
        context.ui.raw(text.as_bytes())?;
        if line.is_none() {
            return Ok(());
        }
    }
}

/// Lines as the terminal gets them.
struct Shown {
    safe: SafeLines,
    /// Whose line has no end yet.
    open: Option<ReleaseId>,
}

impl Shown {
    const fn new(colours: bool) -> Self {
        Self { safe: SafeLines::new(colours), open: None }
    }

    /// What there is to print now: a line that has an end, and what went before it of another release.
    fn push(&mut self, line: &Printed<'_>) -> String {
        let mut lines = Vec::new();
        if self.open.take().is_some_and(|release| release != line.release) {
            lines.extend(self.safe.finish());
        }
        if line.left_out_bytes > 0 {
            lines.extend(self.safe.finish());
            lines.push(format!(
                "kennel: {} before this are not kept: too much at a time",
                ByteSize(line.left_out_bytes)
            ));
        }
        // A line feed within the text is not the host's to send, and does no harm.
        lines.extend(self.safe.push(line.text.as_bytes()));
        if line.unfinished {
            self.open = Some(line.release);
        } else {
            lines.extend(self.safe.push(b"\n"));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }

    fn finish(&mut self) -> String {
        self.safe.finish().map(|line| line + "\n").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(release: u32, text: &str, unfinished: bool) -> Printed<'_> {
        Printed { at_ms: 0, release: ReleaseId(release), text: text.into(), unfinished, left_out_bytes: 0 }
    }

    #[test]
    fn what_had_no_end_goes_on_unless_another_release_comes_between() {
        let mut shown = Shown::new(false);
        let all = [
            line(1, "a", true),
            line(1, "b", false),
            line(1, "c", true),
            line(2, "d", false),
            line(2, "", false),
        ];
        assert_eq!(all.map(|line| shown.push(&line)), ["", "ab\n", "", "c\nd\n", "\n"]);
        assert_eq!(shown.push(&line(2, "e", true)) + &shown.finish(), "e\n");
        let flood = Printed { left_out_bytes: 3 << 20, ..line(1, "x\u{1b}]0;y\u{7}", false) };
        let text = shown.push(&flood);
        assert!(text.starts_with("kennel: 3M before this are not kept") && !text.contains('\u{1b}'), "{text}");
    }
}
