//! Times as people write them, such as `90s`, `2h` or `30d`, and as AWS and tables show them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads a time span: a whole number and one of s, m, h, d.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let explain = || "a time is a whole number and s, m, h or d, such as 90s or 2h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(explain)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(explain()),
    };
    let number: u32 = number.parse().map_err(|_| explain())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Shows a time span in the largest unit that leaves at least two of it.
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_shown() {
        for (text, seconds, shown) in [
            ("0s", 0, "0 s"),
            ("90s", 90, "90 s"),
            ("2h", 7200, "2 h"),
            ("30d", 2_592_000, "30 days"),
            ("5m", 300, "5 min"),
        ] {
            let span = parse(text).unwrap();
            assert_eq!(span, Duration::from_secs(seconds), "{text}");
            assert_eq!(show(span), shown);
        }
        for bad in ["", "s", "5", "5 m", "-5m", "5é", "1.5h", "99999999999s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
