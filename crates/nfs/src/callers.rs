//! From the credential of a request to the identity it runs under.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, User, getgrouplist};
use parking_lot::RwLock;
use standfast_rpc::auth::{AuthSys, Credential};
use standfast_settings::{ClientAccess, GroupLookup, Squash};
use standfast_vfs::Caller;

/// `AUTH_SYS` carries at most so many groups; a user who has more has the rest on the server only.
const MAX_CARRIED_GROUPS: usize = 16;

/// Users whose groups are remembered.
const MAX_REMEMBERED: usize = 16_384;

/// What holds until a time.
type Until<T> = (Instant, T);

/// The groups of a user.
type GroupList = Arc<[u32]>;

/// Finds out who a request is from.
#[derive(Debug)]
pub struct Callers {
    policy: RwLock<(GroupLookup, Duration)>,
    groups: RwLock<HashMap<Uid, Until<Option<GroupList>>>>,
    callers: RwLock<HashMap<CallerKey, Until<Arc<Caller>>>>,
}

/// All that an identity depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallerKey {
    identity: Option<(u32, u32, Vec<u32>)>,
    squash: Squash,
    anonymous: (u32, u32),
}

impl Callers {
    /// Looks groups up as `lookup` says and believes the answer for `cache_time`.
    pub fn new(lookup: GroupLookup, cache_time: Duration) -> Self {
        Self {
            policy: RwLock::new((lookup, cache_time)),
            groups: RwLock::default(),
            callers: RwLock::default(),
        }
    }

    /// Changes how groups are looked up, and forgets what was.
    pub fn set(&self, lookup: GroupLookup, cache_time: Duration) {
        *self.policy.write() = (lookup, cache_time);
        self.forget();
    }

    fn cache_time(&self) -> Duration {
        self.policy.read().1
    }

    /// The identity for a request, if memory knows it.
    pub fn known(
        &self,
        credential: &Credential,
        access: &ClientAccess,
        now: Instant,
    ) -> Option<Arc<Caller>> {
        let key = CallerKey::new(credential, access);
        let callers = self.callers.read();
        let (until, caller) = callers.get(&key)?;
        (now < *until).then(|| Arc::clone(caller))
    }

    /// The identity for a request; may wait for the system's user database.
    pub fn find(
        &self,
        credential: &Credential,
        access: &ClientAccess,
        now: Instant,
    ) -> Arc<Caller> {
        let caller = Arc::new(self.make(credential, access, now));
        let mut callers = self.callers.write();
        if callers.len() >= MAX_REMEMBERED {
            callers.retain(|_, (until, _)| now < *until);
            if callers.len() >= MAX_REMEMBERED {
                callers.clear();
            }
        }
        let entry = (now + self.cache_time(), Arc::clone(&caller));
        callers.insert(CallerKey::new(credential, access), entry);
        caller
    }

    /// Forgets what was looked up.
    pub fn forget(&self) {
        self.callers.write().clear();
        self.groups.write().clear();
    }

    fn make(&self, credential: &Credential, access: &ClientAccess, now: Instant) -> Caller {
        let anonymous =
            || Caller { uid: access.anon_uid, gid: access.anon_gid, groups: Arc::from([]) };
        let Credential::Sys(sys) = credential else { return anonymous() };
        if access.squash == Squash::All {
            return anonymous();
        }
        // As exports(5) has it: requests from uid or gid 0 are mapped, each on its own.
        let root_squashed = access.squash == Squash::Root;
        let squash = |id, anonymous| if root_squashed && id == 0 { anonymous } else { id };
        let squash_group = |gid| squash(gid, access.anon_gid);
        let groups = self.groups_of(sys, now);
        Caller {
            uid: squash(sys.uid, access.anon_uid),
            gid: squash_group(sys.gid),
            groups: groups.iter().map(|gid| squash_group(*gid)).collect(),
        }
    }

    fn groups_of(&self, sys: &AuthSys, now: Instant) -> Arc<[u32]> {
        let looked_up = match self.policy.read().0 {
            GroupLookup::Never => None,
            GroupLookup::Auto if sys.gids.0.len() < MAX_CARRIED_GROUPS => None,
            GroupLookup::Auto | GroupLookup::Always => {
                self.remembered_groups(Uid::from_raw(sys.uid), now)
            }
        };
        looked_up.unwrap_or_else(|| Arc::from(sys.gids.0.as_slice()))
    }

    fn remembered_groups(&self, uid: Uid, now: Instant) -> Option<GroupList> {
        if let Some((until, known)) = self.groups.read().get(&uid)
            && now < *until
        {
            return known.clone();
        }
        let known = system_groups(uid);
        let mut groups = self.groups.write();
        if groups.len() >= MAX_REMEMBERED {
            groups.clear();
        }
        groups.insert(uid, (now + self.cache_time(), known.clone()));
        known
    }
}

impl CallerKey {
    fn new(credential: &Credential, access: &ClientAccess) -> Self {
        let identity = match credential {
            Credential::None => None,
            Credential::Sys(sys) => Some((sys.uid, sys.gid, sys.gids.0.clone())),
        };
        let anonymous = (access.anon_uid, access.anon_gid);
        Self { identity, squash: access.squash, anonymous }
    }
}

/// The groups of a user in the system's database (`nsswitch.conf(5)`); `None` for a user that
/// it does not know.
fn system_groups(uid: Uid) -> Option<GroupList> {
    let user = match User::from_uid(uid) {
        Ok(user) => user?,
        Err(error) => {
            tracing::warn!(%uid, %error, "the user cannot be looked up; its request's own groups count");
            return None;
        }
    };
    let name = CString::new(user.name).ok()?;
    match getgrouplist(&name, user.gid) {
        Ok(groups) => Some(groups.into_iter().map(Gid::as_raw).collect()),
        Err(error) => {
            tracing::warn!(%uid, %error, "the user's groups cannot be looked up; its request's own count");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_rpc::xdr::{List, Opaque};

    fn sys(uid: u32, gid: u32, gids: &[u32]) -> Credential {
        Credential::Sys(AuthSys {
            stamp: 0,
            machine_name: Opaque::default(),
            uid,
            gid,
            gids: List(gids.to_vec()),
        })
    }

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
        Caller { uid, gid, groups: Arc::from(groups) }
    }

    #[test]
    fn identities_are_squashed_as_the_export_says() {
        let callers = Callers::new(GroupLookup::Never, Duration::from_secs(60));
        let access = |squash| ClientAccess {
            squash,
            anon_uid: 65534,
            anon_gid: 65533,
            ..ClientAccess::default()
        };
        for (squash, credential, expected) in [
            (Squash::None, sys(0, 0, &[0, 4]), caller(0, 0, &[0, 4])),
            (Squash::Root, sys(0, 0, &[0, 4]), caller(65534, 65533, &[65533, 4])),
            (Squash::Root, sys(0, 5, &[]), caller(65534, 5, &[])),
            (Squash::Root, sys(7, 0, &[0, 4]), caller(7, 65533, &[65533, 4])),
            (Squash::Root, sys(7, 8, &[9]), caller(7, 8, &[9])),
            (Squash::All, sys(7, 8, &[9]), caller(65534, 65533, &[])),
            (Squash::None, Credential::None, caller(65534, 65533, &[])),
        ] {
            assert_eq!(*callers.find(&credential, &access(squash), Instant::now()), expected);
            let known = callers.known(&credential, &access(squash), Instant::now());
            assert_eq!(known.as_deref(), Some(&expected));
        }
    }

    #[test]
    fn what_was_found_expires() {
        let callers = Callers::new(GroupLookup::Never, Duration::from_secs(60));
        let (access, now) = (ClientAccess::default(), Instant::now());
        callers.find(&sys(1, 1, &[]), &access, now);
        let later = now + Duration::from_secs(61);
        assert!(callers.known(&sys(1, 1, &[]), &access, now).is_some());
        assert!(callers.known(&sys(1, 1, &[]), &access, later).is_none());
    }
}
