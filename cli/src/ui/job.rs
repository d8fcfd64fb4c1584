//! A job as it goes on: a line for each step that is over, the step under way beside whatever turns.

use std::time::Duration;

use kennel_model::job::{Job, JobState, JobStep};

use super::SafeLines;

/// What of a job has been said.
#[derive(Debug, Default)]
pub struct Narration {
    /// Of how many steps there is a line.
    said: usize,
}

impl Narration {
    /// The lines that are due now: of steps that have parts as soon as one has begun, of others when they are over.
    pub fn lines(&mut self, job: &Job) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(step) = job.steps.get(self.said) {
            let has_parts = job.steps.get(self.said + 1).is_some_and(|next| next.depth > step.depth);
            if step.state == JobState::Running && !has_parts {
                break;
            }
            lines.push(line(step, has_parts));
            self.said += 1;
        }
        lines
    }
}

/// What is done just now.
pub(super) fn under_way(job: &Job) -> Option<String> {
    let step = job.steps.iter().rev().find(|step| step.state == JobState::Running)?;
    Some(safe(&step.name))
}

/// A step's line, with its time unless its parts have theirs.
pub fn line(step: &JobStep, has_parts: bool) -> String {
    let indent = "  ".repeat(usize::try_from(step.depth).unwrap_or(0).min(8) + 1);
    let failed = if step.state == JobState::Failed { "failed after " } else { "" };
    let name = safe(&step.name);
    match step.took_ms {
        _ if has_parts && step.state != JobState::Failed => format!("{indent}{name}:"),
        Some(ms) => format!("{indent}{name}: {failed}{}", seconds(ms)),
        None => format!("{indent}{name} …"),
    }
}

/// `0.4 s`
pub fn seconds(ms: u64) -> String {
    format!("{:.1} s", Duration::from_millis(ms).as_secs_f64())
}

/// Names of steps are the host's words.
fn safe(text: &str) -> String {
    SafeLines::new(false).push(format!("{text}\n").as_bytes()).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(steps: &[(&str, u32, JobState)]) -> Job {
        let step = |(name, depth, state): &(&str, u32, JobState)| JobStep {
            name: (*name).to_owned(),
            depth: *depth,
            state: *state,
            after_ms: 0,
            took_ms: (*state != JobState::Running).then_some(1250),
        };
        let steps = steps.iter().map(step).collect();
        let (act, by) = ("deploy".to_owned(), "anna".to_owned());
        let state = JobState::Running;
        Job { number: 1, act, tenant: None, by, at_ms: 0, state, took_ms: None, steps, problem: None }
    }

    #[test]
    fn each_step_is_said_once_and_those_with_parts_before_them() {
        use JobState::{Done, Failed, Running};
        let mut told = Narration::default();
        let unpack = ("unpack\u{1b}[2J", 0, Done);
        assert_eq!(told.lines(&job(&[("unpack", 0, Running)])), [""; 0]);
        let now = job(&[unpack, ("try r2", 0, Running)]);
        let lines = told.lines(&now);
        assert_eq!(
            (lines.len(), lines[0].starts_with("  unpack"), lines[0].contains('\u{1b}')),
            (1, true, false)
        );
        assert!(lines[0].ends_with(": 1.2 s"), "{lines:?}");
        assert_eq!(under_way(&now).as_deref(), Some("try r2"));
        let now = job(&[unpack, ("try r2", 0, Running), ("start", 1, Running)]);
        assert_eq!(told.lines(&now), ["  try r2:"]);
        assert_eq!(under_way(&now).as_deref(), Some("start"));
        let now = job(&[unpack, ("try r2", 0, Failed), ("start", 1, Failed), ("tidy", 0, Done)]);
        assert_eq!(told.lines(&now), ["    start: failed after 1.2 s", "  tidy: 1.2 s"]);
        assert_eq!((told.lines(&now).len(), under_way(&now)), (0, None));
    }
}
