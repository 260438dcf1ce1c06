//! The messages of NFSv3 and MOUNT on the wire: byte for byte as the RFCs have them, and whatever
//! is in them, read as it was written.

mod draw;
mod fixture;
mod mount;
mod round_trip;
mod v3;
