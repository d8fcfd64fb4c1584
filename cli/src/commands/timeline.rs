//! `kennel tenant timeline`: what a tenant's program did of late, and why.

use kennel_model::TenantName;
use kennel_model::seeing::{Transition, date};

use super::tenant::{rung, state};
use super::{Context, tenant_path};
use crate::exit::Failure;
use crate::ui::{SafeLines, table};

pub(super) async fn timeline(context: &Context, name: &TenantName, lines: u32) -> Result<(), Failure> {
    let path = format!("{}/timeline?lines={lines}", tenant_path(name));
    let changes: Vec<Transition> = context.client()?.get(&path).await?;
    if changes.is_empty() {
        context.ui.note(&format!("{name} has not run yet, as far as is known"));
    }
    Ok(context
        .ui
        .result(&changes, |changes| if changes.is_empty() { String::new() } else { words(changes) })?)
}

fn words(changes: &[Transition]) -> String {
    let rows: Vec<[String; 5]> = changes
        .iter()
        .map(|change| {
            let took = change.took_ms.map_or_else(String::new, |ms| format!("{ms} ms"));
            let [is, was] = if change.note { ["-", "-"] } else { [state(change.state), rung(change.from)] };
            [time(change.at_ms), is.into(), was.into(), took, change.reason.clone()]
        })
        .collect();
    let text = table(["WHEN (UTC)", "STATE", "WAS", "TOOK", "WHY"], &rows);
    // Reasons may quote what a visitor asked for.
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

/// `2026-11-22 00:58:01.250`
pub(super) fn time(at_ms: u64) -> String {
    let (seconds, ms) = (at_ms / 1000, at_ms % 1000);
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::SlotState;
    use kennel_model::msg::Rung;

    #[test]
    fn a_change_is_a_line() {
        let at_ms = 1_793_491_261_250;
        let woken = Transition {
            at_ms,
            state: SlotState::Running,
            from: Rung::Frozen,
            took_ms: Some(3),
            reason: "GET /\u{1b}[2J".into(),
            note: false,
        };
        let text = words(&[woken]);
        assert!(text.starts_with("WHEN (UTC)               STATE    WAS     TOOK  WHY\n"), "{text}");
        assert!(text.contains("\n2026-11-01 00:01:01.250  running  frozen  3 ms  GET /"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
