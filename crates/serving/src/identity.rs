//! What makes a service the same one on every node: the key that signs its file handles. It lies
//! beside the journal, so it moves with the data; each node keeps a copy, against the loss of the
//! one there.

use std::hash::Hasher;
use std::path::Path;

use siphasher::sip::SipHasher24;
use standfast_nfs::handles::{HandleKey, KeyError};

/// The name of the key's file, in each place.
const KEY: &str = "handle.key";

/// The key of a service: the one beside the journal; else the one that this node has, be it a
/// copy or the key of an earlier version; else a new one. It is in both places afterwards.
pub(crate) fn handle_key(
    beside_journal: &Path,
    copy: &Path,
    earlier: Option<&Path>,
) -> Result<HandleKey, KeyError> {
    let (home, copy) = (beside_journal.join(KEY), copy.join(KEY));
    let earlier = earlier.map(|directory| directory.join(KEY));
    let found = HandleKey::load(&home)?;
    let mut known = HandleKey::load(&copy)?;
    if known.is_none()
        && let Some(earlier) = &earlier
    {
        known = HandleKey::load(earlier)?;
    }
    let key = match (found, known) {
        (Some(found), Some(known)) if found != known => {
            tracing::warn!(used = %home.display(), other = %copy.display(),
                "two keys for the file handles of one service; the one beside the journal holds");
            found
        }
        (Some(key), _) | (None, Some(key)) => key,
        (None, None) => HandleKey::generate(&home)?,
    };
    for place in [&home, &copy] {
        if HandleKey::load(place)?.as_ref() != Some(&key) {
            key.store(place)?;
        }
    }
    Ok(key)
}

/// The write verifier of an epoch: another one in each epoch of each journal of each service, since
/// UNSTABLE writes are what an epoch does not remember of the one before.
pub(crate) fn write_verifier(key: &HandleKey, journal: [u8; 16], epoch: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key.bytes());
    hasher.write(b"write verifier");
    hasher.write(&journal);
    hasher.write_u64(epoch);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_earlier_version_moves_to_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (home, copy, state) = (place("home"), place("copy"), place("state"));
        let old = HandleKey::generate(&state.join(KEY)).unwrap();
        assert!(handle_key(&home, &copy, Some(&state)).unwrap() == old);
        std::fs::remove_file(state.join(KEY)).unwrap();
        // Another node, which has no copy; and a journal that was lost with its key.
        assert!(handle_key(&home, &place("other"), None).unwrap() == old);
        assert!(handle_key(&place("new home"), &copy, None).unwrap() == old);
        assert!(handle_key(&place("a"), &place("b"), None).unwrap() != old);
    }

    #[test]
    fn each_epoch_of_each_journal_has_a_verifier_of_its_own() {
        let key = HandleKey::new([7; 16]);
        let verifiers = [
            write_verifier(&key, [1; 16], 1),
            write_verifier(&key, [1; 16], 2),
            write_verifier(&key, [2; 16], 1),
            write_verifier(&HandleKey::new([8; 16]), [1; 16], 1),
        ];
        for (index, verifier) in verifiers.iter().enumerate() {
            assert!(!verifiers[index + 1..].contains(verifier));
        }
    }
}
