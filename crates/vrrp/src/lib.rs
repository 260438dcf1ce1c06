//! VRRP versions 2 and 3.

pub mod driver;
pub mod import;
pub mod instance;
pub mod packet;
pub mod routers;
pub mod settings;
pub mod statistics;
pub mod timers;
pub mod tracking;
