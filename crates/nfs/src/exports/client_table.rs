//! Whether a client may use an export, and how.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use standfast_settings::{ClientAccess, ClientMatch, ClientRule};

use super::expiring::Expiring;
use super::name_service::NameError;
use super::names::Names;

/// How long a decision holds that a name had a part in.
const GRANTED: Duration = Duration::from_secs(300);

/// How long a refusal holds.
const DENIED: Duration = Duration::from_secs(30);

/// How long nobody asks again after the name service did not answer.
const UNKNOWN: Duration = Duration::from_secs(5);

/// For how long a client keeps what it had while the name service does not answer.
const STALE: Duration = Duration::from_secs(3600);

/// Clients whose decision is remembered, by export.
const REMEMBERED: usize = 16_384;

/// The answer to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may use the export in this way.
    Granted(Arc<ClientAccess>),
    /// It may not.
    Denied,
    /// The name service must be asked and does not answer: the client must try later, since any
    /// answer now could be wrong.
    Unknown,
}

/// Who may use an export: rules in the order in which they count.
#[derive(Debug)]
pub struct ClientTable {
    rules: Vec<Rule>,
    names: Arc<Names>,
    decisions: Expiring<IpAddr, Decision>,
}

#[derive(Debug)]
struct Rule {
    client: ClientMatch,
    access: Arc<ClientAccess>,
}

/// What a rule says about an address without asking anybody.
enum Quick {
    Matches,
    Differs,
    AskNames,
}

impl Rule {
    fn quick(&self, address: IpAddr) -> Quick {
        let matches = match &self.client {
            ClientMatch::Address(wanted) => *wanted == address,
            ClientMatch::Network(network) => network.contains(&address),
            ClientMatch::Anyone => true,
            ClientMatch::Host(_) | ClientMatch::Wildcard(_) | ClientMatch::Netgroup(_) => {
                return Quick::AskNames;
            }
        };
        if matches { Quick::Matches } else { Quick::Differs }
    }

    fn matches(&self, address: IpAddr, names: &Names, now: Instant) -> Result<bool, NameError> {
        match &self.client {
            ClientMatch::Host(host) => names.is_host(host, address, now),
            ClientMatch::Netgroup(group) => names.in_netgroup(group, address, now),
            ClientMatch::Wildcard(pattern) => {
                Ok(names.name_of(address, now)?.is_some_and(|name| pattern.matches(&name)))
            }
            _ => Ok(matches!(self.quick(address), Quick::Matches)),
        }
    }
}

impl ClientTable {
    /// Rules as they are written, put in the order of exports(5): hosts, networks, wildcards,
    /// netgroups, everyone; among equals the first one counts.
    pub fn new(rules: &[ClientRule], names: Arc<Names>) -> Self {
        let rule = |rule: &ClientRule| Rule {
            client: rule.client.clone(),
            access: Arc::new(rule.access.clone()),
        };
        let mut rules: Vec<_> = rules.iter().map(rule).collect();
        rules.sort_by_key(|rule| rule.client.rank());
        Self { rules, names, decisions: Expiring::new(REMEMBERED) }
    }

    /// The decision about a client, if it takes no name service to make it or it was made lately.
    pub fn known(&self, client: IpAddr, now: Instant) -> Option<Decision> {
        let client = client.to_canonical();
        for rule in &self.rules {
            match rule.quick(client) {
                Quick::Matches => return Some(Decision::Granted(Arc::clone(&rule.access))),
                Quick::Differs => {}
                Quick::AskNames => return self.decisions.fresh(&client, now),
            }
        }
        Some(Decision::Denied)
    }

    /// The decision about a client. It may wait for the name service.
    pub fn find(&self, client: IpAddr, now: Instant) -> Decision {
        let client = client.to_canonical();
        if let Some(decision) = self.known(client, now) {
            return decision;
        }
        let decision = self.decide(client, now);
        match &decision {
            Decision::Unknown => {
                if let Some(earlier) = self.decisions.stale(&client, now, STALE)
                    && earlier != Decision::Unknown
                {
                    self.decisions.prolong(&client, now, UNKNOWN);
                    return earlier;
                }
                self.decisions.insert(client, Decision::Unknown, now, UNKNOWN);
            }
            Decision::Granted(_) => self.decisions.insert(client, decision.clone(), now, GRANTED),
            Decision::Denied => self.decisions.insert(client, Decision::Denied, now, DENIED),
        }
        decision
    }

    /// The first rule that matches holds. A rule that cannot be checked might have been it: then
    /// a later one counts only if it gives the same.
    fn decide(&self, client: IpAddr, now: Instant) -> Decision {
        let mut unchecked: Vec<&Rule> = Vec::new();
        for rule in &self.rules {
            match rule.matches(client, &self.names, now) {
                Ok(true) if unchecked.iter().all(|earlier| earlier.access == rule.access) => {
                    return Decision::Granted(Arc::clone(&rule.access));
                }
                Ok(true) => return Decision::Unknown,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%client, rule = %rule.client, %error, "cannot tell whether the rule is for this client");
                    unchecked.push(rule);
                }
            }
        }
        if unchecked.is_empty() { Decision::Denied } else { Decision::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::super::name_service::NameService;
    use super::*;
    use parking_lot::Mutex;
    use standfast_settings::Squash;

    /// Names from a table, which may fall silent, and the count of questions.
    #[derive(Default)]
    struct Table {
        hosts: Vec<(&'static str, &'static str)>,
        reverse: Vec<(&'static str, &'static str)>,
        netgroups: Vec<(&'static str, &'static str)>,
        silent: Mutex<bool>,
        questions: Mutex<usize>,
    }

    impl Table {
        fn ask(&self, about: &str) -> Result<(), NameError> {
            *self.questions.lock() += 1;
            let error = || NameError { about: about.into(), reason: "silence".into() };
            if *self.silent.lock() { Err(error()) } else { Ok(()) }
        }
    }

    impl NameService for Table {
        fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, NameError> {
            self.ask(host)?;
            let of_host = self.hosts.iter().filter(|(name, _)| *name == host);
            Ok(of_host.map(|(_, address)| ip(address)).collect())
        }

        fn name_of(&self, address: IpAddr) -> Result<Option<String>, NameError> {
            self.ask(&address.to_string())?;
            let found = self.reverse.iter().find(|(known, _)| ip(known) == address);
            Ok(found.map(|(_, name)| (*name).to_owned()))
        }

        fn in_netgroup(&self, group: &str, host: &str) -> bool {
            self.netgroups.contains(&(group, host))
        }
    }

    fn table() -> Arc<Table> {
        Arc::new(Table {
            hosts: vec![
                ("a.lan", "10.0.0.1"),
                ("a.lan", "2001:db8::1"),
                ("b.lan", "10.0.0.2"),
                ("mapped.lan", "::ffff:10.0.0.9"),
            ],
            reverse: vec![
                ("10.0.0.1", "a.lan."),
                ("10.0.0.2", "b.lan"),
                ("10.0.0.3", "b.lan"),
                ("2001:db8::1", "a.lan"),
            ],
            netgroups: vec![("short", "b"), ("full", "a.lan"), ("address", "10.0.0.7")],
            ..Table::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn clients(rules: &[&str], table: &Arc<Table>) -> ClientTable {
        let rules: Vec<ClientRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let service: Arc<dyn NameService> = Arc::<Table>::clone(table);
        ClientTable::new(&rules, Arc::new(Names::new(service)))
    }

    /// `anonuid` tells the rules apart.
    fn granted_by(decision: &Decision) -> Option<u32> {
        match decision {
            Decision::Granted(access) => Some(access.anon_uid),
            Decision::Denied | Decision::Unknown => None,
        }
    }

    #[test]
    fn the_first_rule_of_the_best_kind_holds() {
        let all = [
            "*:anonuid=5",
            "@short:anonuid=4",
            "*.lan:anonuid=3",
            "10.0.0.0/24:anonuid=2",
            "10.0.0.0/8:anonuid=20",
            "b.lan:anonuid=1",
            "10.0.0.2:anonuid=10",
        ];
        for (rules, client, expected) in [
            (&all[..], "10.0.0.2", Some(1)),
            (&all[..5], "10.0.0.2", Some(2)),
            (&all[..5], "10.1.0.2", Some(20)),
            (&all[..3], "10.0.0.2", Some(3)),
            (&all[..2], "10.0.0.2", Some(4)),
            (&all[..2], "10.0.0.3", Some(5)),
            (&all[..], "192.0.2.1", Some(5)),
            (&all[1..], "192.0.2.1", None),
            (&["10.0.0.2:anonuid=1", "b.lan:anonuid=2"], "10.0.0.2", Some(1)),
            (&["a.lan:anonuid=1"], "2001:db8::1", Some(1)),
            (&["10.0.0.1:anonuid=1"], "::ffff:10.0.0.1", Some(1)),
            (&["mapped.lan:anonuid=1"], "10.0.0.9", Some(1)),
            (&["2001:db8::/32:anonuid=1"], "2001:db8:ff::1", Some(1)),
            (&["2001:db8::/32:anonuid=1"], "10.0.0.1", None),
            (&["0.0.0.0/0:anonuid=1"], "::ffff:10.0.0.1", Some(1)),
            (&["0.0.0.0/0:anonuid=1"], "::1", None),
            (&["*.lan:anonuid=1"], "2001:db8::1", Some(1)),
            (&["@full:anonuid=1"], "10.0.0.1", Some(1)),
            (&["@address:anonuid=1"], "10.0.0.7", Some(1)),
            (&[], "10.0.0.1", None),
        ] {
            let clients = clients(rules, &table());
            let decision = clients.find(ip(client), Instant::now());
            assert_eq!(granted_by(&decision), expected, "{rules:?} {client}");
        }
    }

    #[test]
    fn a_reverse_name_that_its_host_does_not_confirm_counts_for_nothing() {
        let clients = clients(&["*.lan:rw", "@short:rw"], &table());
        // 10.0.0.3 says that it is b.lan, whose address is another.
        assert_eq!(clients.find(ip("10.0.0.3"), Instant::now()), Decision::Denied);
    }

    #[test]
    fn rules_of_addresses_never_ask_for_names() {
        let table = table();
        let clients = clients(&["10.0.0.0/8:rw", "192.0.2.1", "*"], &table);
        for client in ["10.0.0.1", "192.0.2.1", "::1"] {
            assert!(matches!(
                clients.known(ip(client), Instant::now()),
                Some(Decision::Granted(_))
            ));
        }
        assert_eq!(*table.questions.lock(), 0);
    }

    #[test]
    fn a_decision_is_remembered_for_its_time() {
        let table = table();
        let clients = clients(&["b.lan:rw"], &table);
        let (now, client) = (Instant::now(), ip("10.0.0.2"));
        assert_eq!(clients.known(client, now), None);
        let decision = clients.find(client, now);
        assert!(matches!(decision, Decision::Granted(_)));
        assert_eq!(clients.known(client, now + GRANTED / 2), Some(decision));
        assert_eq!(clients.known(client, now + GRANTED), None);
        assert_eq!(clients.find(ip("10.0.0.1"), now), Decision::Denied);
        assert_eq!(clients.known(ip("10.0.0.1"), now + DENIED), None);
        assert_eq!(*table.questions.lock(), 1, "the second client used what the first one asked");
    }

    #[test]
    fn while_names_are_silent_clients_keep_what_they_had() {
        let table = table();
        let clients = clients(&["b.lan:rw,no_root_squash"], &table);
        let (now, known) = (Instant::now(), ip("10.0.0.2"));
        let decision = clients.find(known, now);
        *table.silent.lock() = true;
        let later = now + GRANTED;
        assert_eq!(clients.find(known, later), decision);
        assert_eq!(clients.known(known, later), Some(decision));
        assert_eq!(clients.find(ip("10.0.0.8"), later), Decision::Unknown);
        assert_eq!(clients.find(known, now + STALE + GRANTED), Decision::Unknown);
        *table.silent.lock() = false;
        let healed = clients.find(known, now + STALE + GRANTED + UNKNOWN);
        assert!(matches!(healed, Decision::Granted(access) if access.squash == Squash::None));
    }

    #[test]
    fn a_rule_that_cannot_be_checked_is_not_overruled_by_a_weaker_one() {
        let table = table();
        *table.silent.lock() = true;
        let now = Instant::now();
        let other = clients(&["b.lan:ro", "10.0.0.0/8:rw"], &table);
        assert_eq!(other.find(ip("10.0.0.2"), now), Decision::Unknown);
        let same = clients(&["b.lan:rw", "10.0.0.0/8:rw"], &table);
        assert!(matches!(same.find(ip("10.0.0.2"), now), Decision::Granted(_)));
    }
}
