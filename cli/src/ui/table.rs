//! Tables that align and times that read well.

use std::time::{SystemTime, UNIX_EPOCH};

/// Columns under their headings, separated by two spaces; the last one is not padded.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(|h| h.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str]| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    };
    let mut text = line(&heading);
    for row in rows {
        text.push_str(&line(&row.each_ref().map(String::as_str)));
    }
    text
}

/// Names and values, one a line, the values aligned. An empty name continues the value above.
pub fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// "3 min ago", from seconds since 1970.
pub fn ago(at_s: u64) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match now_s.saturating_sub(at_s) {
        0..60 => "just now".to_owned(),
        s @ 60..3600 => format!("{} min ago", s / 60),
        s @ 3600..86_400 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

/// "in 3 min", from seconds since 1970.
pub fn until(at_s: u64) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match at_s.saturating_sub(now_s) {
        s @ 0..120 => format!("in {s} s"),
        s @ 120..7200 => format!("in {} min", s / 60),
        s @ 7200..172_800 => format!("in {} h", s / 3600),
        s => format!("in {} days", s / 86_400),
    }
}

/// How long it is until then, in words.
pub fn remaining(at_s: u64) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match at_s.checked_sub(now_s) {
        None | Some(0) => format!("{}: expired", ago(at_s)),
        Some(s @ 1..172_800) => format!("in {} h", s / 3600),
        Some(s) => format!("in {} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let rows =
            [["a".into(), "running".into(), "x".into()], ["long-name".into(), "é".into(), String::new()]];
        assert_eq!(
            table(["NAME", "STATE", "WHY"], &rows),
            "NAME       STATE    WHY\na          running  x\nlong-name  é\n"
        );
    }

    #[test]
    fn values_align() {
        assert_eq!(
            fields(&[("a", "1".into()), ("long", "2".into()), ("", "3".into())]),
            "a     1\nlong  2\n      3\n"
        );
    }

    #[test]
    fn ages_are_rounded_down() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(ago(now + 100), "just now");
        assert_eq!(ago(now - 7300), "2 h ago");
        assert_eq!(ago(now - 3 * 86_400 - 5), "3 days ago");
        assert_eq!((until(now - 5), until(now + 3 * 86_400 + 5)), ("in 0 s".into(), "in 3 days".into()));
    }
}
