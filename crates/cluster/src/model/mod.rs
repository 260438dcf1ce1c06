//! The replicated state and the commands on it: pure, deterministic.
//!
//! [`State::apply`] is the only way in which the state changes. It takes a [`Command`], never looks
//! at a clock or at anything else, and gives the same [`Outcome`] on every node. Where a retry may
//! come (the answer was lost, the leader changed), a command that was applied already is answered as
//! the first time.

mod apply;
mod command;
mod event;
mod ids;
mod lease;
mod member;
mod named;
mod refusal;
mod secret;
mod state;
mod token;

pub use command::{Command, InitialState, Outcome, Refusal, Stamped};
pub use event::{Event, EventKind};
pub use ids::{ClusterId, Epoch, NodeId};
pub use lease::{ChangeReason, LeaseRecord, PlannedMove};
pub use member::{Activity, Member, Membership, Role};
pub use secret::Secret;
pub use state::{Keys, MAX_EVENTS, MAX_TOKENS, State};
pub use token::{Token, TokenHash, TokenId};

/// The format of the state and the commands that this version writes. It grows when a command or a
/// field comes that an older version must not miss; until every member has said that it knows the
/// new format, the cluster goes on in the old one.
pub const FORMAT: u32 = 1;
