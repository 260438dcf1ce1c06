//! Authentication data of version 2, as RFC 2338 defined it and Keepalived still speaks it.

use std::fmt;

/// Octets of authentication data at the end of every version 2 packet.
pub(super) const DATA_LENGTH: usize = 8;
pub(super) const TYPE_NONE: u8 = 0;
pub(super) const TYPE_PASSWORD: u8 = 1;
pub(super) const TYPE_AH: u8 = 2;

/// A simple text password: eight octets on the wire, padded with zeros, longer ones cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; DATA_LENGTH]);

impl Password {
    /// Takes the first eight octets of `text`, as Keepalived does.
    pub fn new(text: &str) -> Self {
        let mut data = [0; DATA_LENGTH];
        for (to, from) in data.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Self(data)
    }

    pub(super) fn from_wire(data: [u8; DATA_LENGTH]) -> Self {
        Self(data)
    }

    pub(super) fn octets(&self) -> [u8; DATA_LENGTH] {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How an advertisement is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all: version 3, and version 2 as RFC 3768 has it.
    None,
    /// By a password in clear text (type 1 of RFC 2338).
    Password(Password),
}
