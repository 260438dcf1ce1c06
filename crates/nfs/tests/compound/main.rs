//! COMPOUND of NFSv4 over real directories: requests and replies as they are on the wire.

mod attributes;
mod data;
mod frame;
mod names;
mod server;
mod tree;
