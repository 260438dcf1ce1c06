//! Whether a cluster of these members can fail over by itself, and what to add if not.

/// The members, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Voters that can serve.
    pub servers: usize,
    /// Voters that cannot.
    pub witnesses: usize,
}

/// What to add so that services fail over by themselves; `None` if they do. `two_holders_harm` is
/// whether there is a service on storage where two holders at once do harm.
pub fn failover_advice(members: Membership, two_holders_harm: bool) -> Option<String> {
    let voters = members.servers + members.witnesses;
    match (members.servers, voters) {
        (0, _) => Some("no node can serve: add one that is no witness (`standfast join`)".into()),
        (1, _) => Some(
            "one node serves, and nobody takes over from it: add a second one and a third, which \
             may be a witness (`standfast join`)"
                .into(),
        ),
        (_, 2) if two_holders_harm => Some(
            "two nodes without a witness: when they do not hear each other, neither can tell \
             whether the other one still serves, and on this storage two holders at once would do \
             harm, so services do not fail over by themselves; add a third node or a witness \
             (`standfast join --witness`)"
                .into(),
        ),
        (_, 2) => Some(
            "two nodes without a witness: services fail over only with `election = \"vrrp\"`, which \
             this storage allows; or add a third node or a witness (`standfast join --witness`)"
                .into(),
        ),
        (_, even) if even % 2 == 0 => Some(format!(
            "{even} voters survive the loss of {}, no more than {} would: add one, which may be a \
             witness",
            (even - 1) / 2,
            even - 1
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let advice = |servers, witnesses, harm| {
            failover_advice(Membership { servers, witnesses }, harm).unwrap_or_default()
        };
        assert_eq!(advice(3, 0, true), "");
        assert_eq!(advice(2, 1, true), "");
        assert!(advice(2, 0, true).contains("--witness"));
        assert!(advice(2, 0, false).contains("vrrp"));
        assert!(advice(1, 0, true).contains("second"));
        assert!(advice(0, 3, true).contains("no witness"));
        assert!(advice(4, 0, true).contains("4 voters survive the loss of 1"));
    }
}
