//! What happened to the table, as values.

use super::{Mode, Owner, Range, Share, WaiterId};

/// One change of the table. Applied in order to an empty table ([`super::LockTable::apply`]),
/// the changes rebuild it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<F, O: Owner> {
    /// `owner` now holds `range` in `mode`; this replaces what it held there.
    Granted {
        /// The file.
        file: F,
        /// Who holds it.
        owner: O,
        /// Which bytes.
        range: Range,
        /// How.
        mode: Mode,
        /// The waiting request that this ends, if it had to wait.
        waiter: Option<WaiterId>,
    },
    /// `owner` holds nothing in `range` any more.
    Released {
        /// The file.
        file: F,
        /// Who held it.
        owner: O,
        /// Which bytes.
        range: Range,
    },
    /// `owner` waits for `range`.
    Waiting {
        /// The file.
        file: F,
        /// Who waits.
        owner: O,
        /// For which bytes.
        range: Range,
        /// For which mode.
        mode: Mode,
        /// The name of this request.
        waiter: WaiterId,
    },
    /// A request waits no more, and was not granted.
    Cancelled {
        /// The file.
        file: F,
        /// The request.
        waiter: WaiterId,
    },
    /// `owner` now has this share reservation in place of any other of its own.
    Shared {
        /// The file.
        file: F,
        /// Whose.
        owner: O,
        /// What it does and what it denies to others.
        share: Share,
    },
    /// `owner` has no share reservation any more.
    Unshared {
        /// The file.
        file: F,
        /// Whose.
        owner: O,
    },
    /// Everything that `owner` held or waited for is gone.
    OwnerReleased {
        /// The owner.
        owner: O,
    },
    /// Everything that the owners of `client` held or waited for is gone.
    ClientReleased {
        /// The client.
        client: O::Client,
    },
}
