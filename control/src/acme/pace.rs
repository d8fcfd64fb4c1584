//! When an authority is asked again: as pure functions of how it went before. The limits that are respected here are Let's
//! Encrypt's, the tightest that are known: five failed proofs for a name in an hour, five certificates for the same name in a
//! week, and `Retry-After` wherever it is said.

/// After the first failed order of a name; each further one doubles it. The first hour sees three.
const FIRST_S: u64 = 15 * 60;
/// No longer than this, so that a name that leads here again has its certificate within a day.
const LONGEST_S: u64 = 24 * 3600;
/// After the first time that an authority could not be reached; doubles too.
const AUTHORITY_FIRST_S: u64 = 60;
const AUTHORITY_LONGEST_S: u64 = 3600;
/// When it was asked too often and does not say how long it wants to be left alone.
const LIMITED_S: u64 = 3600;
/// No longer than this even if it says so: a mistake of its must not cost a certificate.
const RETRY_MOST_S: u64 = 7 * 24 * 3600;
/// What the account as a whole waits when one name was ordered too often.
pub(super) const ACCOUNT_LIMITED_S: u64 = 10 * 60;
/// Parts of a second's whole, for chance.
const WHOLE: u64 = 1 << 16;

/// How long a name waits after so many failed orders in a row; `chance` is below 65,536.
pub(super) fn after_failures(failures: u32, retry_after_s: Option<u64>, chance: u16) -> u64 {
    let wait = FIRST_S.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_S);
    at_least(wait, retry_after_s, chance)
}

/// How long nobody is asked after so many times in a row that the authority did not do its part.
pub(super) fn after_stumbles(stumbles: u32, retry_after_s: Option<u64>, chance: u16) -> u64 {
    let wait = AUTHORITY_FIRST_S.saturating_mul(1 << stumbles.saturating_sub(1).min(20));
    at_least(wait.min(AUTHORITY_LONGEST_S), retry_after_s, chance)
}

/// How long a name waits that was ordered too often.
pub(super) fn after_limit(failures: u32, retry_after_s: Option<u64>, chance: u16) -> u64 {
    after_failures(failures, Some(retry_after_s.unwrap_or(LIMITED_S)), chance)
}

/// The wait, or what the authority asks for if that is longer; and up to a tenth more, so that not all come at once.
fn at_least(wait: u64, retry_after_s: Option<u64>, chance: u16) -> u64 {
    let wait = wait.max(retry_after_s.unwrap_or(0).min(RETRY_MOST_S));
    wait + wait / 10 * u64::from(chance) / WHOLE
}

/// When a certificate is renewed: at a point of the time that its authority suggests (RFC 9773), or else when two thirds of
/// its life are over, less up to a thirtieth of that life.
pub(super) fn renewal(
    (not_before_s, not_after_s): (u64, u64),
    suggested: Option<(u64, u64)>,
    chance: u16,
) -> u64 {
    let life = not_after_s.saturating_sub(not_before_s);
    let (from, until) = suggested
        .filter(|(from, until)| from < until && *until <= not_after_s)
        .unwrap_or((not_before_s + life * 19 / 30, not_before_s + life * 2 / 3));
    from + (until - from) * u64::from(chance) / WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_fails_is_asked_for_less_and_less() {
        let waits: Vec<_> = (1..=9).map(|n| after_failures(n, None, 0) / 60).collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 1440, 1440]);
        assert_eq!(after_failures(u32::MAX, None, 0), LONGEST_S);
        assert_eq!(after_failures(2, Some(7200), 0), 7200);
        assert_eq!(after_failures(2, Some(10), 0), 1800, "what is less than ours is not enough");
        assert_eq!(after_failures(1, Some(u64::MAX), 0), RETRY_MOST_S);
        assert!((900..=990).contains(&after_failures(1, None, u16::MAX)));
    }

    #[test]
    fn an_authority_is_left_alone_for_as_long_as_it_says() {
        let waits: Vec<_> = (1..=8).map(|n| after_stumbles(n, None, 0)).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(after_stumbles(1, Some(86_400), 0), 86_400);
        assert_eq!(after_limit(1, None, 0), 3600);
        assert_eq!(after_limit(1, Some(90_000), 0), 90_000);
    }

    #[test]
    fn renewal_is_when_the_authority_suggests_or_after_two_thirds() {
        let day = 86_400;
        let life = (1000 * day, 1090 * day);
        assert_eq!(renewal(life, None, 0), 1057 * day);
        let last = renewal(life, None, u16::MAX);
        assert!((1059 * day..=1060 * day).contains(&last), "{last}");
        assert_eq!(renewal(life, Some((1010 * day, 1012 * day)), 32_768), 1011 * day);
        for nonsense in [(1012 * day, 1010 * day), (1010 * day, 1091 * day), (5, 5)] {
            assert_eq!(renewal(life, Some(nonsense), 0), 1057 * day, "{nonsense:?}");
        }
        assert_eq!(renewal((9, 9), None, 7), 9, "no life at all");
    }
}
