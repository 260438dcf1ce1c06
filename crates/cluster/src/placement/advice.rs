//! Whether a cluster of these members can fail over by itself, and what to add if not.

/// The members, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Voters that can serve.
    pub servers: usize,
    /// Voters that cannot.
    pub witnesses: usize,
}

/// What to add so that services fail over by themselves; `None` if they do.
pub fn failover_advice(members: Membership) -> Option<String> {
    let voters = members.servers + members.witnesses;
    match (members.servers, voters) {
        (0, _) => Some("no node can serve: add one that is no witness (`standfast join`)".into()),
        (1, _) => Some(
            "one node serves, and nobody takes over from it: add a second one and a third, which \
             may be a witness (`standfast join`)"
                .into(),
        ),
        (_, 2) => Some(
            "two nodes without a witness do not fail over by themselves: neither can tell whether \
             the other one is dead or cut off; add a third node or a witness (`standfast token \
             create` here, `standfast join --witness` there)"
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
        let advice = |servers, witnesses| {
            failover_advice(Membership { servers, witnesses }).unwrap_or_default()
        };
        assert_eq!(advice(3, 0), "");
        assert_eq!(advice(2, 1), "");
        assert!(advice(2, 0).contains("--witness"));
        assert!(advice(1, 0).contains("second"));
        assert!(advice(0, 3).contains("no witness"));
        assert!(advice(4, 0).contains("4 voters survive the loss of 1"));
    }
}
