//! Waiting within bounds: for a child to end, and for anything that can be asked again.

use std::process::Child;
use std::time::{Duration, Instant};

/// Waits for a child until the deadline; kills it then.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let ended = until("the command", limit, || child.try_wait().map_err(|e| e.to_string()));
    match ended {
        Ok(status) => Some(status.code().unwrap_or(-1)),
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            None
        }
    }
}

/// Asks again until there is an answer or the time is over.
///
/// # Errors
/// The deadline, or what asking said.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err(format!("waited {} s for {what}", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reads again until the text has the words.
///
/// # Errors
/// The deadline with the text's end, or what reading said.
pub(super) fn appears(
    what: &str,
    words: &str,
    read: impl Fn() -> Result<String, String>,
) -> Result<(), String> {
    let found = || Ok(read()?.contains(words).then_some(()));
    until(what, Duration::from_secs(60), found).or_else(|why| {
        let text = read()?;
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(20)..].join("\n");
        Err(format!("{why} to say {words:?}; it ends with:\n{end}"))
    })
}
