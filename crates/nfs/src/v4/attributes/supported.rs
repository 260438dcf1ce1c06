//! Which attributes are served, and to whom.

use super::super::protocol::{Attribute, Bitmap};

/// The last attributes of minor versions 0 and 1.
const LAST_OF_0: u32 = 55;
const LAST_OF_1: u32 = 76;

/// Attributes that can be set and not be read.
const WRITE_ONLY: &[Attribute] = &[
    Attribute::AccessTimeSet,
    Attribute::ModifyTimeSet,
    Attribute::ModeSetMasked,
    Attribute::ModeUmask,
];

/// Attributes that can be set and be read.
const READ_WRITE: &[Attribute] =
    &[Attribute::Acl, Attribute::Size, Attribute::Mode, Attribute::Owner, Attribute::OwnerGroup];

/// Attributes that exist in the protocol and that no filesystem here has.
const UNSERVED: &[Attribute] = &[Attribute::SpaceFreed];

fn set(attributes: &[Attribute]) -> Bitmap {
    attributes.iter().map(|attribute| *attribute as u32).collect()
}

/// The attributes that a minor version is served.
pub(in super::super) fn supported(minor: u32) -> Bitmap {
    let last = match minor {
        0 => LAST_OF_0,
        1 => LAST_OF_1,
        _ => u32::MAX,
    };
    let all = Attribute::ALL.iter().map(|attribute| *attribute as u32);
    let all: Bitmap = all.filter(|number| *number <= last).collect();
    all.difference(&set(UNSERVED))
}

/// Those of them that can be read.
pub(in super::super) fn readable(minor: u32) -> Bitmap {
    supported(minor).difference(&write_only())
}

/// Attributes that can be set and not be read.
pub(in super::super) fn write_only() -> Bitmap {
    set(WRITE_ONLY)
}

/// Those of the served ones that can be set.
pub(in super::super) fn writable(minor: u32) -> Bitmap {
    supported(minor).intersection(&set(READ_WRITE).union(&write_only()))
}

/// Those that can be set along with an exclusive creation: not those that hold its verifier.
pub(in super::super) fn exclusive_create(minor: u32) -> Bitmap {
    let times = set(&[Attribute::AccessTimeSet, Attribute::ModifyTimeSet]);
    writable(minor).difference(&times)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributes that RFC 8881 (section 5.6) and RFC 7530 (section 5.6) require.
    const REQUIRED_0: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 19];

    #[test]
    fn each_minor_version_has_what_it_requires_and_no_later_ones() {
        for minor in 0..=2 {
            let set = supported(minor);
            assert!(REQUIRED_0.iter().all(|number| set.contains(*number)));
            assert_eq!(set.contains(75), minor >= 1);
            assert_eq!(set.contains(81), minor >= 2);
            assert_eq!(set.contains(79), minor >= 2);
            assert_eq!(writable(minor).difference(&set), Bitmap::EMPTY);
            assert!(writable(minor).contains(4) && !writable(minor).contains(8));
        }
        assert!(!exclusive_create(1).contains(54) && exclusive_create(1).contains(33));
    }
}
