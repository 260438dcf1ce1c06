//! Durations, written as `10s` or `1m30s`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not made of whole numbers and units.
    #[error(
        "`{0}` is not a duration; write whole numbers with units, such as \"10s\" or \"1m30s\""
    )]
    Malformed(String),
    /// A unit is unknown or missing.
    #[error("`{0}` has no unit of time; write ms, s, m, h or d after each number")]
    Unit(String),
    /// It is longer than five centuries.
    #[error("`{0}` is longer than a duration can be")]
    TooLong(String),
}

/// Reads numbers with the units `d`, `h`, `m`, `s` and `ms`, which add up.
///
/// # Errors
/// Says why the text is no duration.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(DurationError::Malformed(text.into()));
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(DurationError::Malformed(text.into()));
        }
        let factor = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
            .ok_or_else(|| DurationError::Unit(text.into()))?;
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor)?.checked_add(total))
            .ok_or_else(|| DurationError::TooLong(text.into()))?;
        rest = after.trim_start();
    }
    Ok(Duration::from_nanos(total))
}

/// The shortest text that [`parse_duration`] reads back; what is below a millisecond is left out.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest >= factor {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration(" 1d 2h "), Ok(Duration::from_secs(26 * 3600)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        let error = |text: &str| parse_duration(text).unwrap_err();
        assert_eq!(error(""), DurationError::Malformed("".into()));
        assert_eq!(error("s"), DurationError::Malformed("s".into()));
        assert_eq!(error("-5s"), DurationError::Malformed("-5s".into()));
        assert_eq!(error("10"), DurationError::Unit("10".into()));
        assert_eq!(error("10 weeks"), DurationError::Unit("10 weeks".into()));
        assert_eq!(error("999999999999d"), DurationError::TooLong("999999999999d".into()));
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_back(milliseconds in 0u64..1 << 43) {
            let duration = Duration::from_millis(milliseconds);
            proptest::prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse_duration(&text);
        }
    }
}
