//! What has to change in a running rpcbind, from what it says that it has.

use super::Registration;

/// A change to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Register.
    Set(Registration),
    /// Remove what is registered in this place.
    Unset(Registration),
}

/// The steps after which all of `wanted` is registered. What stands in the way was left by an
/// earlier run, or belongs to a service that cannot listen any more since we do.
pub(super) fn to_register(wanted: &[Registration], present: &[Registration]) -> Vec<Step> {
    let missing = wanted.iter().filter(|registration| !present.contains(registration));
    missing
        .flat_map(|registration| {
            let in_the_way = present.iter().find(|other| other.same_place(registration));
            in_the_way
                .map(|other| Step::Unset(*other))
                .into_iter()
                .chain([Step::Set(*registration)])
        })
        .collect()
}

/// The steps after which none of `ours` is registered; what another service has registered in
/// its place since stays.
pub(super) fn to_withdraw(ours: &[Registration], present: &[Registration]) -> Vec<Step> {
    let left = ours.iter().filter(|registration| present.contains(registration));
    left.map(|registration| Step::Unset(*registration)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Transport;

    fn registration(version: u32, address: &str) -> Registration {
        let address = address.parse().expect("an address");
        Registration { program: 100_003, version, transport: Transport::Tcp, address }
    }

    #[test]
    fn only_what_is_missing_is_registered() {
        let (old, new) = (registration(3, "0.0.0.0:2049"), registration(4, "0.0.0.0:2049"));
        assert_eq!(to_register(&[old, new], &[old]), [Step::Set(new)]);
        assert_eq!(to_register(&[old, new], &[new, old]), []);
    }

    #[test]
    fn a_stale_registration_makes_room() {
        let (stale, new) = (registration(3, "0.0.0.0:20049"), registration(3, "0.0.0.0:2049"));
        let other_family = registration(3, "[::]:20049");
        assert_eq!(
            to_register(&[new], &[other_family, stale]),
            [Step::Unset(stale), Step::Set(new)]
        );
    }

    #[test]
    fn only_our_own_is_withdrawn() {
        let (ours, gone) = (registration(3, "0.0.0.0:2049"), registration(4, "0.0.0.0:2049"));
        let successor = registration(4, "0.0.0.0:20049");
        assert_eq!(to_withdraw(&[ours, gone], &[successor, ours]), [Step::Unset(ours)]);
    }
}
