//! The doing: sockets, interfaces, scripts. The thinking is in [`crate::instance`] and
//! [`crate::routers`].

mod alarm;
mod control;
mod daemon;
mod engine;
mod error;
mod fifo;
mod interfaces;
mod notice;
mod notifier;
mod order;
mod plan;
mod port;
mod realtime;
mod receiver;
mod scout;
mod script;
mod status;
mod track;
mod user;
mod vmac;

pub use control::{ControlError, Request, request};
pub use daemon::{Daemon, Handle, HandleError, run};
pub use error::Error;
pub use plan::PlanError;
pub use status::{InstanceStatus, Report, TrackReport};
