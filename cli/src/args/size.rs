//! Sizes as people write them: `512M`, `4G`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written with an optional binary suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Why a size was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write a number with K, M, G or T, such as 512M")]
pub struct InvalidSize(String);

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl FromStr for ByteSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.chars().take(40).collect());
        let upper = text.to_ascii_uppercase();
        // "512M", "512MB" and "512MiB" all mean the same binary size.
        let number = upper.trim_end_matches("IB").trim_end_matches('B');
        let shift = UNITS.iter().find_map(|(unit, shift)| Some((number.strip_suffix(*unit)?, *shift)));
        let (digits, shift) = shift.unwrap_or((number, 0));
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        count.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    /// The largest unit with at most one decimal: `1.5G`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, shift)| self.0 >> shift > 0) {
            None => write!(f, "{}", self.0),
            Some((unit, shift)) if self.0.is_multiple_of(1 << shift) => write!(f, "{}{unit}", self.0 >> shift),
            Some((unit, shift)) => {
                let tenths = (u128::from(self.0) * 10) >> shift;
                write!(f, "{}.{}{unit}", tenths / 10, tenths % 10)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("4096", 4096), ("64k", 64 << 10), ("512M", 512 << 20), ("4GiB", 4 << 30), ("1tb", 1 << 40)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["", "M", "1.5G", "-1", "0", "12X", "99999999999T"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        for (bytes, text) in
            [(0, "0"), (1023, "1023"), (1536, "1.5K"), (4 << 30, "4G"), ((1 << 30) + 1, "1.0G")]
        {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}
