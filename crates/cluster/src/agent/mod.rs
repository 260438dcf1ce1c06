//! What a node does to make what is into what should be, step by step.
//!
//! One [`ServiceAgent`] per service. It knows what is done so far and what right the node has, and
//! says which step comes next; a driver runs the step and reports. Every step is idempotent: it may
//! run again after a crash at any point. A new run of the daemon knows nothing, so it begins by
//! undoing whatever a run before it may have left.
//!
//! ```text
//! takeover:  fence  promote  replay  listen  raise  announce  tickle
//!            └ at the commit ┘└ once the lease has begun ...
//! release:   (drain)  lower  silence  demote
//! ```

mod service;
mod step;
mod timeline;

pub use service::{Facts, ServiceAgent};
pub use step::{Command, Step};
pub use timeline::{Mark, Passage, Timeline};
