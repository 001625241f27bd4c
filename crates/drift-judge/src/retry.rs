//! When to ask again.

use std::time::{Duration, SystemTime};

/// Pause before try number `attempt` + 1 (0 has just failed): the first pause doubled each time, of which
/// a share between a half and one is taken, so that many requests do not return at once. The share comes from
/// the request, so the same run waits alike. An endpoint that named a time is given at least that.
pub(crate) fn pause(
    attempt: u32,
    first: Duration,
    longest: Duration,
    named: Option<Duration>,
    key: &[u8; 32],
) -> Duration {
    let doubled = first.saturating_mul(1u32 << attempt.min(20)).min(longest);
    let mut draw = blake3::Hasher::new();
    draw.update(key).update(&attempt.to_le_bytes());
    let share = 0.5 + f64::from(draw.finalize().as_bytes()[0]) / 512.0;
    doubled.mul_f64(share).max(named.unwrap_or_default())
}

/// A `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3). `None` if it is neither.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // what no number holds is longer than anybody waits
        return Some(Duration::from_secs(value.parse().unwrap_or(u32::MAX).into()));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let at = Duration::from_secs(u64::try_from(date.as_second()).ok()?);
    Some(at.saturating_sub(now.duration_since(SystemTime::UNIX_EPOCH).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_within_their_share_and_stay_below_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        for attempt in 0..40 {
            let whole = f64::from(1u32 << attempt.min(10)).min(60.0);
            let shares: Vec<f64> =
                (0..32).map(|n| pause(attempt, first, longest, None, &[n; 32]).as_secs_f64() / whole).collect();
            assert!(shares.iter().all(|share| (0.5..1.0).contains(share)), "{attempt}: {shares:?}");
            assert!(shares.iter().any(|share| *share != shares[0]));
        }
        let named = Duration::from_secs(90);
        assert_eq!(pause(0, first, longest, Some(named), &[0; 32]), named);
        assert_eq!(pause(3, first, longest, None, &[7; 32]), pause(3, first, longest, None, &[7; 32]));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 784111777 is the example of RFC 9110: Sun, 06 Nov 1994 08:49:37 GMT.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        let seconds = |value| retry_after(value, now).map(|pause| pause.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999"), Some(u32::MAX.into()));
        for odd in ["", "soon", "-1", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }
    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "(\\PC{0,30}|[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9} [A-Z+0-9]{0,6})") {
            let _ = retry_after(&value, SystemTime::now());
        }
    }
}
