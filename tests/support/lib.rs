//! What the stories share: a server in a lab, its clients, and calls made by hand.

pub mod guests;
pub mod load;
pub mod locker;
pub mod nfs3;
pub mod program;
pub mod server;
pub mod wire;
pub mod work;

use std::error::Error;
use std::time::Duration;

/// Long enough for anything on a busy machine.
pub const SOON: Duration = Duration::from_secs(300);

/// What a story gives back, or a step of it.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
