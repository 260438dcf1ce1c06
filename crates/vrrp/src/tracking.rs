//! How tracked things move the priority: the arithmetic of Keepalived's weights.

use crate::packet::PRIORITY_OWNER;

/// Priorities that tracking can reach: neither "leaving" nor the owner's.
const LOWEST: i64 = 1;
const HIGHEST: i64 = 254;
/// The product of a file's number and its weight below which the router is in fault.
const LOWEST_PRODUCT: i64 = -253;

/// What is known of a tracked thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nothing yet; its first result is to be awaited.
    Unknown,
    /// It failed.
    Down,
    /// It is well.
    Up,
    /// The number in a file.
    Value(i64),
}

/// How much a tracked thing counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Zero: a failure is a fault. Positive: added while it is up. Negative: subtracted while it is
    /// down. A file's number is multiplied by it.
    pub value: i32,
    /// Turns the sign of what is added, or with weight zero what counts as a failure.
    pub reverse: bool,
}

/// What all tracked things of a router make together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something without a weight has no result yet.
    Pending,
    /// Something without a weight failed.
    Fault,
    /// The base priority and the weights, within 1 and 254; the owner keeps 255.
    Priority(u8),
}

enum Contribution {
    Pending,
    Fault,
    Add(i64),
}

fn contribution(weight: Weight, status: Status) -> Contribution {
    let sign = if weight.reverse { -1 } else { 1 };
    let value = i64::from(weight.value);
    match status {
        Status::Unknown if value == 0 => Contribution::Pending,
        Status::Unknown => Contribution::Add(0),
        Status::Value(number) if value == 0 => {
            if (number != 0) == weight.reverse {
                Contribution::Add(0)
            } else {
                Contribution::Fault
            }
        }
        Status::Value(number) => {
            let product = number.saturating_mul(value).saturating_mul(sign);
            if product < LOWEST_PRODUCT {
                Contribution::Fault
            } else {
                Contribution::Add(product.min(HIGHEST))
            }
        }
        Status::Up | Status::Down if value == 0 => {
            if (status == Status::Up) == weight.reverse {
                Contribution::Fault
            } else {
                Contribution::Add(0)
            }
        }
        Status::Up if value > 0 => Contribution::Add(value * sign),
        Status::Down if value < 0 => Contribution::Add(value * sign),
        Status::Up | Status::Down => Contribution::Add(0),
    }
}

/// Adds up what is tracked.
pub fn outcome(base: u8, tracks: impl IntoIterator<Item = (Weight, Status)>) -> Outcome {
    let mut priority = i64::from(base);
    let mut pending = false;
    for (weight, status) in tracks {
        match contribution(weight, status) {
            Contribution::Fault => return Outcome::Fault,
            Contribution::Pending => pending = true,
            Contribution::Add(value) => priority = priority.saturating_add(value),
        }
    }
    if pending {
        return Outcome::Pending;
    }
    if base == PRIORITY_OWNER {
        return Outcome::Priority(PRIORITY_OWNER);
    }
    Outcome::Priority(u8::try_from(priority.clamp(LOWEST, HIGHEST)).unwrap_or(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(base: u8, value: i32, status: Status) -> Outcome {
        outcome(base, [(Weight { value, reverse: false }, status)])
    }

    fn reversed(base: u8, value: i32, status: Status) -> Outcome {
        outcome(base, [(Weight { value, reverse: true }, status)])
    }

    #[test]
    fn without_a_weight_a_failure_is_a_fault() {
        assert_eq!(one(100, 0, Status::Up), Outcome::Priority(100));
        assert_eq!(one(100, 0, Status::Down), Outcome::Fault);
        assert_eq!(one(100, 0, Status::Unknown), Outcome::Pending);
        assert_eq!(reversed(100, 0, Status::Up), Outcome::Fault);
        assert_eq!(reversed(100, 0, Status::Down), Outcome::Priority(100));
    }

    #[test]
    fn weights_are_added_while_up_and_subtracted_while_down() {
        assert_eq!(one(100, 20, Status::Up), Outcome::Priority(120));
        assert_eq!(one(100, 20, Status::Down), Outcome::Priority(100));
        assert_eq!(one(100, -20, Status::Up), Outcome::Priority(100));
        assert_eq!(one(100, -20, Status::Down), Outcome::Priority(80));
        assert_eq!(one(100, -20, Status::Unknown), Outcome::Priority(100));
        assert_eq!(reversed(100, 20, Status::Up), Outcome::Priority(80));
        assert_eq!(reversed(100, -20, Status::Down), Outcome::Priority(120));
    }

    #[test]
    fn weights_add_up_within_the_scale() {
        let both = [
            (Weight { value: 200, reverse: false }, Status::Up),
            (Weight { value: 100, reverse: false }, Status::Up),
        ];
        assert_eq!(outcome(100, both), Outcome::Priority(254));
        assert_eq!(one(100, -200, Status::Down), Outcome::Priority(1));
        assert_eq!(one(255, -200, Status::Down), Outcome::Priority(255));
        assert_eq!(one(255, 0, Status::Down), Outcome::Fault);
    }

    #[test]
    fn a_number_is_multiplied_by_its_weight() {
        assert_eq!(one(100, 2, Status::Value(10)), Outcome::Priority(120));
        assert_eq!(one(100, 1, Status::Value(-30)), Outcome::Priority(70));
        assert_eq!(one(100, 1, Status::Value(-254)), Outcome::Fault);
        assert_eq!(one(100, 1, Status::Value(i64::MAX)), Outcome::Priority(254));
        assert_eq!(one(100, -1, Status::Value(i64::MIN)), Outcome::Priority(254));
        assert_eq!(one(100, 0, Status::Value(1)), Outcome::Fault);
        assert_eq!(one(100, 0, Status::Value(0)), Outcome::Priority(100));
        assert_eq!(reversed(100, 1, Status::Value(30)), Outcome::Priority(70));
    }

    #[test]
    fn a_fault_outweighs_what_is_pending() {
        let tracks = [(Weight::default(), Status::Unknown), (Weight::default(), Status::Down)];
        assert_eq!(outcome(100, tracks), Outcome::Fault);
    }
}
