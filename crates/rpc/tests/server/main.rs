//! The server over loopback, with clients that behave well and badly.

mod cached;
mod callbacks;
mod datagrams;
mod drain;
mod gate;
mod limits;
mod many;
mod program;
mod records;
mod replies;
mod wire;
