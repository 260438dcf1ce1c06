//! The users that scripts run as.

use nix::unistd::{Gid, Group, Uid, User, geteuid};

use super::Error;

/// Who runs a script if nobody is named anywhere.
const FALLBACK: &str = "nobody";
const ROOT: &str = "root";

/// The identity of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) name: String,
}

/// Finds the user and group for the script `what`: its own, else the default one, else `nobody`.
/// Root only if that very word is written.
pub(super) fn identity(
    what: &str,
    user: Option<&str>,
    group: Option<&str>,
    default: Option<&str>,
) -> Result<Identity, Error> {
    let name = user.or(default).unwrap_or(FALLBACK);
    let wrong =
        |reason: &str| Error::User { user: name.into(), what: what.into(), reason: reason.into() };
    let found = User::from_name(name)
        .map_err(|error| wrong(&error.to_string()))?
        .ok_or_else(|| wrong("there is no such user; create it or name another one"))?;
    if found.uid.is_root() && name != ROOT {
        return Err(wrong("it is root by another name; write `root` if root is meant"));
    }
    let gid = match group {
        None => found.gid,
        Some(group) => group_id(group).ok_or_else(|| wrong("its group does not exist"))?,
    };
    if !geteuid().is_root() && found.uid != geteuid() {
        return Err(wrong("only root can run scripts as somebody else"));
    }
    Ok(Identity {
        uid: Uid::as_raw(found.uid),
        gid: Gid::as_raw(gid),
        home: found.dir.to_string_lossy().into_owned(),
        name: found.name,
    })
}

fn group_id(name: &str) -> Option<Gid> {
    Group::from_name(name).ok().flatten().map(|group| group.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_must_be_written_out() {
        if !geteuid().is_root() {
            return;
        }
        assert_eq!(identity("x", None, None, None).unwrap().name, "nobody");
        assert_eq!(identity("x", None, None, Some("daemon")).unwrap().name, "daemon");
        assert_eq!(identity("x", Some("root"), None, Some("daemon")).unwrap().uid, 0);
        let error = identity("script `x`", Some("no-such-user"), None, None).unwrap_err();
        assert!(error.to_string().contains("no-such-user"), "{error}");
        assert!(identity("x", None, Some("no-such-group"), None).is_err());
    }
}
