//! Owners and groups on the wire: numbers, or names in a domain (RFC 8881 section 5.9).
//!
//! Clients with `AUTH_SYS` speak numbers, and numbers are always understood. Names are spoken where
//! a domain is set: `user@domain` through the system's name service, whose answers are kept for a
//! while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use nix::unistd::{Gid, Group, Uid, User};
use parking_lot::RwLock;

use super::protocol::Status;

/// How long an answer of the name service holds.
const HOLDS: Duration = Duration::from_secs(600);

/// Answers that are kept, of each kind.
const REMEMBERED: usize = 16_384;

/// Whose name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A user's.
    User,
    /// A group's.
    Group,
}

/// An answer that holds for a while.
type Until<T> = (Instant, T);

/// What the name service said lately.
type Said<K, T> = RwLock<HashMap<(Kind, K), Until<Option<T>>>>;

/// Between the numbers of the filesystem and what clients speak.
#[derive(Debug, Default)]
pub struct OwnerNames {
    domain: ArcSwapOption<String>,
    names: Said<u32, Bytes>,
    numbers: Said<Bytes, u32>,
}

impl OwnerNames {
    /// Speaks names of `domain`, or numbers if there is none.
    pub fn set_domain(&self, domain: Option<String>) {
        self.domain.store(domain.map(Arc::new));
        self.names.write().clear();
        self.numbers.write().clear();
    }

    /// A user for the wire. A name that is not known yet ([`OwnerNames::prepare`]) is a number.
    pub(super) fn user(&self, uid: u32) -> Bytes {
        self.spoken(Kind::User, uid)
    }

    /// A group for the wire, as [`OwnerNames::user`].
    pub(super) fn group(&self, gid: u32) -> Bytes {
        self.spoken(Kind::Group, gid)
    }

    fn spoken(&self, kind: Kind, id: u32) -> Bytes {
        let known = self.domain.load().as_ref().and_then(|_| self.known_name(kind, id).flatten());
        known.unwrap_or_else(|| Bytes::from(id.to_string()))
    }

    fn known_name(&self, kind: Kind, id: u32) -> Option<Option<Bytes>> {
        let names = self.names.read();
        let (until, name) = names.get(&(kind, id))?;
        (Instant::now() < *until).then(|| name.clone())
    }

    /// Finds the names of users and groups that will be spoken of.
    pub(super) async fn prepare(self: &Arc<Self>, ids: impl IntoIterator<Item = (Kind, u32)>) {
        if self.domain.load().is_none() {
            return;
        }
        let is_unknown = |(kind, id): &(Kind, u32)| self.known_name(*kind, *id).is_none();
        let mut unknown: Vec<_> = ids.into_iter().filter(is_unknown).collect();
        unknown.sort_unstable_by_key(|(kind, id)| (*kind as u8, *id));
        unknown.dedup();
        if unknown.is_empty() {
            return;
        }
        let names = Arc::clone(self);
        let look_up = move || unknown.into_iter().for_each(|(kind, id)| names.look_up(kind, id));
        // One that panicked leaves numbers.
        let _done = tokio::task::spawn_blocking(look_up).await;
    }

    fn look_up(&self, kind: Kind, id: u32) {
        let Some(domain) = self.domain.load_full() else { return };
        let name = match kind {
            Kind::User => User::from_uid(Uid::from_raw(id)).map(|it| it.map(|it| it.name)),
            Kind::Group => Group::from_gid(Gid::from_raw(id)).map(|it| it.map(|it| it.name)),
        };
        let name = name.unwrap_or_default().map(|name| Bytes::from(format!("{name}@{domain}")));
        let mut names = self.names.write();
        make_room(&mut names);
        names.insert((kind, id), (Instant::now() + HOLDS, name));
    }

    /// The number of a user or group.
    ///
    /// # Errors
    /// `INVAL` for an empty name, `BADOWNER`; `DELAY` while the name service does not answer.
    pub(super) async fn find(self: &Arc<Self>, kind: Kind, spoken: &Bytes) -> Result<u32, Status> {
        if spoken.is_empty() {
            return Err(Status::Inval);
        }
        if let Some(number) = number(spoken) {
            return Ok(number);
        }
        let domain = self.domain.load_full().ok_or(Status::BadOwner)?;
        let key = (kind, spoken.clone());
        let known = self.numbers.read().get(&key).cloned();
        if let Some((_, found)) = known.filter(|(until, _)| Instant::now() < *until) {
            return found.ok_or(Status::BadOwner);
        }
        let name = name_in(spoken, &domain).ok_or(Status::BadOwner)?;
        let look_up = move || match kind {
            Kind::User => User::from_name(&name).map(|it| it.map(|it| it.uid.as_raw())),
            Kind::Group => Group::from_name(&name).map(|it| it.map(|it| it.gid.as_raw())),
        };
        let found = tokio::task::spawn_blocking(look_up).await.map_err(|_| Status::Delay)?;
        let found = found.map_err(|_| Status::Delay)?;
        let mut numbers = self.numbers.write();
        make_room(&mut numbers);
        numbers.insert(key, (Instant::now() + HOLDS, found));
        found.ok_or(Status::BadOwner)
    }
}

/// Keeps a cache small.
fn make_room<K, V>(cache: &mut HashMap<K, Until<V>>) {
    if cache.len() >= REMEMBERED {
        cache.clear();
    }
}

/// The number that a client speaks: digits, without a sign and leading zeros.
fn number(spoken: &[u8]) -> Option<u32> {
    let is_canonical =
        spoken.iter().all(u8::is_ascii_digit) && (spoken.len() == 1 || !spoken.starts_with(b"0"));
    let text = std::str::from_utf8(spoken).ok().filter(|_| is_canonical)?;
    // All ones stands for "leave it" in system calls.
    text.parse().ok().filter(|number| *number != u32::MAX)
}

/// The name before the `@` of our domain, whose case does not matter.
fn name_in(spoken: &[u8], domain: &str) -> Option<String> {
    let text = std::str::from_utf8(spoken).ok()?;
    let (name, spoken_domain) = text.rsplit_once('@')?;
    let is_ours = !name.is_empty() && spoken_domain.eq_ignore_ascii_case(domain);
    is_ours.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_understood_as_they_are_written() {
        for (spoken, expected) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("4294967294", Some(u32::MAX - 1)),
            ("4294967295", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            ("", None),
            ("root", None),
        ] {
            assert_eq!(number(spoken.as_bytes()), expected, "{spoken}");
        }
    }

    #[tokio::test]
    async fn without_a_domain_only_numbers_are_spoken() {
        let names = Arc::new(OwnerNames::default());
        assert_eq!(names.user(0), "0");
        let root = Bytes::from_static(b"root@example.org");
        assert_eq!(names.find(Kind::User, &root).await, Err(Status::BadOwner));
        assert_eq!(names.find(Kind::Group, &Bytes::from_static(b"12")).await, Ok(12));
    }

    #[tokio::test]
    async fn names_of_the_domain_are_looked_up() {
        let names = Arc::new(OwnerNames::default());
        names.set_domain(Some("example.org".into()));
        assert_eq!(names.user(0), "0", "not looked up yet");
        names.prepare([(Kind::User, 0), (Kind::Group, 0), (Kind::User, 4_000_000_000)]).await;
        assert_eq!(names.user(0), "root@example.org");
        assert_eq!(names.group(0), "root@example.org");
        assert_eq!(names.user(4_000_000_000), "4000000000");
        let find = |spoken: &'static str| {
            let names = Arc::clone(&names);
            async move { names.find(Kind::User, &Bytes::from_static(spoken.as_bytes())).await }
        };
        assert_eq!(find("root@Example.ORG").await, Ok(0));
        assert_eq!(find("root@elsewhere").await, Err(Status::BadOwner));
        assert_eq!(find("no-such-user@example.org").await, Err(Status::BadOwner));
        assert_eq!(find("root").await, Err(Status::BadOwner));
        assert_eq!(find("").await, Err(Status::Inval));
        names.set_domain(None);
        assert_eq!(names.user(0), "0");
    }
}
