//! Numbers for people.

/// The middle of `values`, or the mean of the two in the middle.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values.get(low)? + values.get(high)?) / 2.0)
}

/// Three digits and the letter of the thousands: `1.85G`, `55.1k`, `312`.
pub(super) fn short(value: f64) -> String {
    let scales = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (scale, letter) =
        scales.into_iter().find(|(scale, _)| value >= *scale).unwrap_or((1.0, ""));
    format!("{}{letter}", three(value / scale))
}

/// Three digits, as many of them behind the point as are left.
pub(super) fn three(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn three_digits() {
        let texts = [1.849e9, 55_100.0, 312.4, 9.0].map(short);
        assert_eq!(texts, ["1.85G", "55.1k", "312", "9.00"]);
    }
}
