//! Access control lists of NFSv4 and of POSIX, one as the other.
//!
//! The kernel's filesystems have POSIX lists (`acl(5)`): a few classes of users, each with what it
//! may read, write and execute, and of these exactly one is asked. A list of NFSv4 (RFC 8881
//! section 6) is read from its start, and each right is decided by the first entry that matches
//! and speaks of it.
//!
//! **From POSIX to NFSv4** nothing is lost: each class is given what it has, and, before a later
//! entry could give it more, denied what later classes have. Groups are the exception, since
//! somebody may be in several: what any of them gives is given first, and only then is denied what
//! everybody else has. The mask of a POSIX list goes into the entries that it limits.
//!
//! **From NFSv4 to POSIX** a list may say what POSIX cannot. It is read for each class at once, and
//! the class gets what whoever is in it gets for certain: somebody who is denied as a member of a
//! group, say, may be the owner or a named user as well, so these are denied too, unless an
//! earlier entry has given it to them already. So nobody is given more than the list says.
//!
//! Rights that no kernel asks for (reading attributes, say) are told as they are, and taken as
//! told: to deny them has no effect.

use standfast_vfs::{AclEntry, AclTag, PosixAcl};

use super::protocol::{AceKind, Status};

/// Rights of an entry (`ACE4_*`).
mod right {
    pub(super) const READ_DATA: u32 = 0x01;
    pub(super) const WRITE_DATA: u32 = 0x02;
    pub(super) const APPEND_DATA: u32 = 0x04;
    pub(super) const EXECUTE: u32 = 0x20;
    pub(super) const DELETE_CHILD: u32 = 0x40;
    pub(super) const READ_ATTRIBUTES: u32 = 0x80;
    pub(super) const WRITE_ATTRIBUTES: u32 = 0x100;
    pub(super) const READ_ACL: u32 = 0x2_0000;
    pub(super) const WRITE_ACL: u32 = 0x4_0000;
    pub(super) const SYNCHRONIZE: u32 = 0x10_0000;
}

/// Flags of an entry (`ACE4_*`).
mod flag {
    pub(super) const FILE_INHERIT: u32 = 0x01;
    pub(super) const DIRECTORY_INHERIT: u32 = 0x02;
    pub(super) const INHERIT_ONLY: u32 = 0x08;
    pub(super) const IDENTIFIER_GROUP: u32 = 0x40;

    pub(super) const INHERIT: u32 = FILE_INHERIT | DIRECTORY_INHERIT;
    pub(super) const KNOWN: u32 = INHERIT | INHERIT_ONLY | IDENTIFIER_GROUP;
}

/// What everybody may, whatever a list says.
const ANYBODY: u32 = right::READ_ATTRIBUTES | right::READ_ACL | right::SYNCHRONIZE;
/// What the owner may.
const OWNER: u32 = ANYBODY | right::WRITE_ATTRIBUTES | right::WRITE_ACL;

const READ: u8 = 4;
const WRITE: u8 = 2;
const EXECUTE: u8 = 1;

/// `ACL4_SUPPORT_ALLOW_ACL | ACL4_SUPPORT_DENY_ACL`.
pub(super) const SUPPORT: u32 = 0x3;

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// `OWNER@`.
    Owner,
    /// `GROUP@`.
    OwningGroup,
    /// `EVERYONE@`.
    Everyone,
    /// This user.
    User(u32),
    /// This group.
    Group(u32),
}

impl Who {
    /// The special names (RFC 8881 section 6.2.1.5) that are served.
    pub(super) fn special(name: &[u8]) -> Option<Self> {
        match name {
            b"OWNER@" => Some(Self::Owner),
            b"GROUP@" => Some(Self::OwningGroup),
            b"EVERYONE@" => Some(Self::Everyone),
            _ => None,
        }
    }

    /// Its special name.
    pub(super) fn special_name(self) -> Option<&'static [u8]> {
        match self {
            Self::Owner => Some(b"OWNER@"),
            Self::OwningGroup => Some(b"GROUP@"),
            Self::Everyone => Some(b"EVERYONE@"),
            Self::User(_) | Self::Group(_) => None,
        }
    }

    /// Whether an entry with these flags that is not about a special one is about a group.
    pub(super) fn names_group(flags: u32) -> bool {
        flags & flag::IDENTIFIER_GROUP != 0
    }
}

/// An entry, with the user or group found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: AceKind,
    pub(super) flags: u32,
    pub(super) mask: u32,
    pub(super) who: Who,
}

/// The lists of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    /// The one that says who may do what.
    pub(super) access: PosixAcl,
    /// That of new objects in a directory.
    pub(super) default: Option<PosixAcl>,
}

impl Lists {
    /// The list that a mode is.
    pub(super) fn of_mode(mode: u32) -> PosixAcl {
        let entry = |tag, shift: u32| AclEntry { tag, permissions: (mode >> shift & 0o7) as u8 };
        let entries =
            vec![entry(AclTag::Owner, 6), entry(AclTag::OwningGroup, 3), entry(AclTag::Other, 0)];
        PosixAcl { entries }
    }

    /// As a list of NFSv4.
    pub(super) fn entries(&self, is_directory: bool) -> Vec<Entry> {
        let mut entries = told(&self.access, is_directory, 0);
        if let Some(default) = &self.default {
            entries.extend(told(default, is_directory, flag::INHERIT | flag::INHERIT_ONLY));
        }
        entries
    }

    /// From a list of NFSv4.
    ///
    /// # Errors
    /// `ATTRNOTSUPP` for entries that no filesystem here has; `INVAL` for entries to be inherited
    /// of what is no directory.
    pub(super) fn from_entries(entries: &[Entry], is_directory: bool) -> Result<Self, Status> {
        let (mut access, mut default) = (Reading::default(), Reading::default());
        let mut inherits = false;
        for entry in entries {
            let is_known = matches!(entry.kind, AceKind::Allow | AceKind::Deny);
            if !is_known || entry.flags & !flag::KNOWN != 0 {
                return Err(Status::AttrNotSupp);
            }
            let is_inherited = entry.flags & flag::INHERIT != 0;
            if is_inherited && !is_directory {
                return Err(Status::Inval);
            }
            if is_inherited {
                inherits = true;
                default.take(entry);
            }
            if entry.flags & flag::INHERIT_ONLY == 0 {
                access.take(entry);
            }
        }
        if inherits {
            default.complete_by(&access);
        }
        Ok(Self {
            access: access.list(is_directory),
            default: inherits.then(|| default.list(is_directory)),
        })
    }
}

/// The rights that are a permission.
fn mask_of(permissions: u8, is_directory: bool) -> u32 {
    let mut mask = 0;
    if permissions & READ != 0 {
        mask |= right::READ_DATA;
    }
    if permissions & WRITE != 0 {
        mask |= write_mask(is_directory);
    }
    if permissions & EXECUTE != 0 {
        mask |= right::EXECUTE;
    }
    mask
}

fn write_mask(is_directory: bool) -> u32 {
    let child = if is_directory { right::DELETE_CHILD } else { 0 };
    right::WRITE_DATA | right::APPEND_DATA | child
}

/// The permissions for which a mask has all rights.
fn permissions_of(mask: u32, is_directory: bool) -> u8 {
    let has = |rights: u32, permission: u8| if mask & rights == rights { permission } else { 0 };
    has(right::READ_DATA, READ)
        | has(write_mask(is_directory), WRITE)
        | has(right::EXECUTE, EXECUTE)
}

/// A POSIX list, with the mask applied.
struct Classes {
    owner: u8,
    users: Vec<(u32, u8)>,
    owning_group: u8,
    groups: Vec<(u32, u8)>,
    other: u8,
}

impl Classes {
    fn of(list: &PosixAcl) -> Self {
        let mask = list.entries.iter().find(|entry| entry.tag == AclTag::Mask);
        let mask = mask.map_or(READ | WRITE | EXECUTE, |entry| entry.permissions);
        let mut classes =
            Self { owner: 0, users: Vec::new(), owning_group: 0, groups: Vec::new(), other: 0 };
        for &AclEntry { tag, permissions } in &list.entries {
            match tag {
                AclTag::Owner => classes.owner = permissions,
                AclTag::User(id) => classes.users.push((id, permissions & mask)),
                AclTag::OwningGroup => classes.owning_group = permissions & mask,
                AclTag::Group(id) => classes.groups.push((id, permissions & mask)),
                AclTag::Mask => {}
                AclTag::Other => classes.other = permissions,
            }
        }
        classes
    }
}

/// A POSIX list as one of NFSv4.
fn told(list: &PosixAcl, is_directory: bool, flags: u32) -> Vec<Entry> {
    let classes = Classes::of(list);
    let mut teller = Teller { entries: Vec::new(), is_directory, flags };
    let any = |classes: &[(u32, u8)]| classes.iter().fold(0, |all, (_, some)| all | some);
    let by_group = classes.owning_group | any(&classes.groups) | classes.other;
    teller.deny(Who::Owner, (by_group | any(&classes.users)) & !classes.owner);
    teller.allow(Who::Owner, classes.owner);
    for &(id, permissions) in &classes.users {
        teller.deny(Who::User(id), by_group & !permissions);
        teller.allow(Who::User(id), permissions);
    }
    let owning = (Who::OwningGroup, classes.owning_group);
    let named = classes.groups.iter().map(|&(id, permissions)| (Who::Group(id), permissions));
    let groups: Vec<_> = std::iter::once(owning).chain(named).collect();
    for &(who, permissions) in &groups {
        teller.allow(who, permissions);
    }
    for &(who, permissions) in &groups {
        teller.deny(who, classes.other & !permissions);
    }
    teller.allow(Who::Everyone, classes.other);
    teller.entries
}

struct Teller {
    entries: Vec<Entry>,
    is_directory: bool,
    flags: u32,
}

impl Teller {
    fn allow(&mut self, who: Who, permissions: u8) {
        let always = if who == Who::Owner { OWNER } else { ANYBODY };
        let mask = mask_of(permissions, self.is_directory) | always;
        self.add(AceKind::Allow, who, mask);
    }

    fn deny(&mut self, who: Who, permissions: u8) {
        if permissions != 0 {
            self.add(AceKind::Deny, who, mask_of(permissions, self.is_directory));
        }
    }

    fn add(&mut self, kind: AceKind, who: Who, mask: u32) {
        let group = matches!(who, Who::OwningGroup | Who::Group(_));
        let group = if group { flag::IDENTIFIER_GROUP } else { 0 };
        self.entries.push(Entry { kind, flags: self.flags | group, mask, who });
    }
}

/// What is decided about a class so far.
#[derive(Clone, Copy, Default)]
struct Decided {
    allowed: u32,
    denied: u32,
}

impl Decided {
    fn decide(&mut self, kind: AceKind, mask: u32) {
        match kind {
            AceKind::Allow => self.allowed |= mask & !self.denied,
            _ => self.denied |= mask & !self.allowed,
        }
    }
}

/// A list of NFSv4 that is being read.
#[derive(Default)]
struct Reading {
    owner: Option<Decided>,
    users: Vec<(u32, Decided)>,
    owning_group: Option<Decided>,
    groups: Vec<(u32, Decided)>,
    other: Option<Decided>,
    /// What is decided about anybody of whom nothing else was said yet: a class that is named
    /// first in a later entry begins with this.
    anybody: Decided,
    /// What was denied to some user by name: the owner may be that user.
    some_user: Decided,
}

impl Reading {
    fn take(&mut self, entry: &Entry) {
        let (kind, mask) = (entry.kind, entry.mask);
        let begin = self.anybody;
        let denies = kind == AceKind::Deny;
        match entry.who {
            Who::Owner => self.owner().decide(kind, mask),
            Who::User(id) => {
                class(&mut self.users, id, begin).decide(kind, mask);
                if denies {
                    self.owner().decide(kind, mask);
                    self.some_user.decide(kind, mask);
                }
            }
            Who::OwningGroup => {
                self.owning_group.get_or_insert(begin).decide(kind, mask);
                if denies {
                    self.deny_members(mask);
                }
            }
            Who::Group(id) => {
                class(&mut self.groups, id, begin).decide(kind, mask);
                if denies {
                    self.deny_members(mask);
                }
            }
            Who::Everyone => {
                self.owner().decide(kind, mask);
                self.owning_group.get_or_insert(begin).decide(kind, mask);
                self.other.get_or_insert_default().decide(kind, mask);
                self.each_named(|decided| decided.decide(kind, mask));
                self.anybody.decide(kind, mask);
            }
        }
    }

    /// Whoever is no "other" may be a member of a group that is denied something.
    fn deny_members(&mut self, mask: u32) {
        let begin = self.anybody;
        let kind = AceKind::Deny;
        self.owner().decide(kind, mask);
        self.owning_group.get_or_insert(begin).decide(kind, mask);
        self.each_named(|decided| decided.decide(kind, mask));
        self.anybody.decide(kind, mask);
    }

    fn owner(&mut self) -> &mut Decided {
        // Named users that were denied something may be the owner.
        let mut begin = self.anybody;
        begin.decide(AceKind::Deny, self.some_user.denied);
        self.owner.get_or_insert(begin)
    }

    fn each_named(&mut self, mut act: impl FnMut(&mut Decided)) {
        let named = self.users.iter_mut().chain(&mut self.groups);
        named.for_each(|(_, decided)| act(decided));
    }

    /// Takes from another list what this one says nothing of: a list for new objects that names
    /// only a user leaves the owner what the directory gives.
    fn complete_by(&mut self, other: &Self) {
        self.owner = self.owner.or(other.owner);
        self.owning_group = self.owning_group.or(other.owning_group);
        self.other = self.other.or(other.other);
    }

    fn list(&self, is_directory: bool) -> PosixAcl {
        let permissions = |decided: &Decided| permissions_of(decided.allowed, is_directory);
        let of = |decided: &Option<Decided>| decided.as_ref().map_or(0, permissions);
        let mut entries = vec![AclEntry { tag: AclTag::Owner, permissions: of(&self.owner) }];
        let named = |tag: fn(u32) -> AclTag, classes: &[(u32, Decided)]| {
            let mut named: Vec<_> = classes
                .iter()
                .map(|(id, decided)| AclEntry { tag: tag(*id), permissions: permissions(decided) })
                .collect();
            named.sort_unstable();
            named
        };
        let users = named(AclTag::User, &self.users);
        let groups = named(AclTag::Group, &self.groups);
        let needs_mask = !users.is_empty() || !groups.is_empty();
        entries.extend(users);
        entries.push(AclEntry { tag: AclTag::OwningGroup, permissions: of(&self.owning_group) });
        entries.extend(groups);
        if needs_mask {
            let all = entries.iter().skip(1).fold(0, |all, entry| all | entry.permissions);
            entries.push(AclEntry { tag: AclTag::Mask, permissions: all });
        }
        entries.push(AclEntry { tag: AclTag::Other, permissions: of(&self.other) });
        PosixAcl { entries }
    }
}

/// The class of a user or group, which begins with `begin`.
fn class(classes: &mut Vec<(u32, Decided)>, id: u32, begin: Decided) -> &mut Decided {
    let place = classes.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
        classes.push((id, begin));
        classes.len() - 1
    });
    &mut classes[place].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Somebody who asks: some of few users and groups, so that they meet those of lists.
    #[derive(Clone, Debug)]
    struct Asker {
        user: u32,
        groups: Vec<u32>,
    }

    /// Owner and group of the object.
    const OWNING_USERS: std::ops::Range<u32> = 1..5;
    const IDS: std::ops::Range<u32> = 1..5;

    /// What a list of NFSv4 allows (RFC 8881 section 6.2.1).
    fn allowed_by_entries(entries: &[Entry], owner: (u32, u32), asker: &Asker) -> u32 {
        let mut decided = Decided::default();
        for entry in entries {
            let matches = match entry.who {
                Who::Owner => asker.user == owner.0,
                Who::OwningGroup => asker.groups.contains(&owner.1),
                Who::Everyone => true,
                Who::User(id) => asker.user == id,
                Who::Group(id) => asker.groups.contains(&id),
            };
            if matches && entry.flags & flag::INHERIT_ONLY == 0 {
                decided.decide(entry.kind, entry.mask);
            }
        }
        decided.allowed
    }

    /// What a POSIX list allows (`acl(5)`, "ACCESS CHECK ALGORITHM"), for one permission at a time.
    fn allowed_by_list(list: &PosixAcl, owner: (u32, u32), asker: &Asker) -> u8 {
        let classes = Classes::of(list);
        if asker.user == owner.0 {
            return classes.owner;
        }
        if let Some((_, permissions)) = classes.users.iter().find(|(id, _)| *id == asker.user) {
            return *permissions;
        }
        let owning = (owner.1, classes.owning_group);
        let mut groups = std::iter::once(&owning)
            .chain(&classes.groups)
            .filter(|(id, _)| asker.groups.contains(id))
            .peekable();
        if groups.peek().is_some() {
            return groups.fold(0, |all, (_, some)| all | some);
        }
        classes.other
    }

    fn asker() -> impl Strategy<Value = Asker> {
        (IDS, prop::collection::vec(IDS, 1..4)).prop_map(|(user, groups)| Asker { user, groups })
    }

    fn posix() -> impl Strategy<Value = PosixAcl> {
        let permissions = || 0..8_u8;
        let named = || prop::collection::btree_map(IDS, permissions(), 0..4);
        let three = (permissions(), permissions(), permissions());
        (three, named(), named(), permissions()).prop_map(
            |((owner, group, other), users, groups, mask)| {
                let entry = |tag, permissions| AclEntry { tag, permissions };
                let mut entries = vec![entry(AclTag::Owner, owner)];
                let has_named = !users.is_empty() || !groups.is_empty();
                entries.extend(users.into_iter().map(|(id, may)| entry(AclTag::User(id), may)));
                entries.push(entry(AclTag::OwningGroup, group));
                entries.extend(groups.into_iter().map(|(id, may)| entry(AclTag::Group(id), may)));
                entries.extend(has_named.then(|| entry(AclTag::Mask, mask)));
                entries.push(entry(AclTag::Other, other));
                PosixAcl { entries }
            },
        )
    }

    fn wire() -> impl Strategy<Value = Vec<Entry>> {
        let who = prop_oneof![
            Just(Who::Owner),
            Just(Who::OwningGroup),
            Just(Who::Everyone),
            IDS.prop_map(Who::User),
            IDS.prop_map(Who::Group),
        ];
        let entry =
            (any::<bool>(), 0..0x80_u32, who, 0..4_u32).prop_map(|(deny, mask, who, inherit)| {
                let flags = match inherit {
                    0 => flag::INHERIT,
                    1 => flag::INHERIT | flag::INHERIT_ONLY,
                    _ => 0,
                };
                let kind = if deny { AceKind::Deny } else { AceKind::Allow };
                Entry { kind, flags, mask, who }
            });
        prop::collection::vec(entry, 0..8)
    }

    /// With the mask applied, and as large as it must be.
    fn plain(list: &PosixAcl) -> PosixAcl {
        let mut reading = PosixAcl::default();
        let limited =
            |tag: AclTag| matches!(tag, AclTag::User(_) | AclTag::Group(_) | AclTag::OwningGroup);
        let mask = list.entries.iter().find(|entry| entry.tag == AclTag::Mask);
        let mut all = 0;
        for entry in &list.entries {
            let mut entry = *entry;
            if limited(entry.tag) {
                entry.permissions &= mask.map_or(7, |mask| mask.permissions);
                all |= entry.permissions;
            }
            reading.entries.push(entry);
        }
        for entry in &mut reading.entries {
            if entry.tag == AclTag::Mask {
                entry.permissions = all;
            }
        }
        reading
    }

    proptest! {
        #[test]
        fn a_posix_list_comes_back_as_it_was(
            access in posix(), default in prop::option::of(posix()), is_directory: bool
        ) {
            let default = default.filter(|_| is_directory);
            let lists = Lists { access, default };
            let back = Lists::from_entries(&lists.entries(is_directory), is_directory);
            let expected = Lists {
                access: plain(&lists.access),
                default: lists.default.as_ref().map(plain),
            };
            prop_assert_eq!(back, Ok(expected));
        }

        #[test]
        fn a_posix_list_is_told_as_it_is(
            access in posix(), asker in asker(), owner in (OWNING_USERS, IDS), is_directory: bool
        ) {
            let lists = Lists { access, default: None };
            let entries = lists.entries(is_directory);
            let told = permissions_of(allowed_by_entries(&entries, owner, &asker), is_directory);
            let true_ones = allowed_by_list(&lists.access, owner, &asker);
            // Somebody whom the list names and who is the owner too is told of as the owner, and
            // so it is.
            prop_assert_eq!(told, true_ones);
        }

        #[test]
        fn nobody_gets_more_than_a_list_says(
            entries in wire(), asker in asker(), owner in (OWNING_USERS, IDS)
        ) {
            let lists = Lists::from_entries(&entries, true).expect("known entries");
            let said = permissions_of(allowed_by_entries(&entries, owner, &asker), true);
            let given = allowed_by_list(&lists.access, owner, &asker);
            prop_assert_eq!(given & !said, 0, "given {:o}, said {:o}", given, said);
        }
    }

    #[test]
    fn a_mode_is_a_list() {
        let list = Lists::of_mode(0o640);
        let entries = Lists { access: list.clone(), default: None }.entries(false);
        let whos: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.who)).collect();
        let allow = AceKind::Allow;
        assert_eq!(whos, [(allow, Who::Owner), (allow, Who::OwningGroup), (allow, Who::Everyone)]);
        assert_eq!(Lists::from_entries(&entries, false).map(|lists| lists.access), Ok(list));
    }

    #[test]
    fn what_no_filesystem_has_is_refused() {
        let entry = |kind, flags| Entry { kind, flags, mask: 1, who: Who::Everyone };
        let refused = |entry, is_directory| Lists::from_entries(&[entry], is_directory).err();
        for kind in [AceKind::Audit, AceKind::Alarm] {
            assert_eq!(refused(entry(kind, 0), true), Some(Status::AttrNotSupp));
        }
        assert_eq!(refused(entry(AceKind::Allow, 0x04), true), Some(Status::AttrNotSupp));
        assert_eq!(refused(entry(AceKind::Allow, 0x01), false), Some(Status::Inval));
        assert_eq!(refused(entry(AceKind::Allow, 0x01), true), None);
    }
}
