//! Tokens that let a node join.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a token, by which people speak of it. It is no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub String);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a token's secret, in hexadecimal. The secret has 128 random bits, so that one round
/// of a fast hash is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub String);

/// The right to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The hash of its secret.
    pub hash: TokenHash,
    /// When it ends, milliseconds of the Unix epoch.
    pub ends_ms: u64,
    /// How many more nodes it lets in; without a limit if there is none.
    pub uses_left: Option<u32>,
}
