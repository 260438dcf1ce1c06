//! The token that lets a node join: one line of text.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};

use super::{PkiError, random};
use crate::model::{Secret, TokenHash, TokenId};

/// What every token begins with; the number is the version of its form.
const PREFIX: &str = "standfast1_";

const FINGERPRINT: usize = 32;
const SECRET: usize = 16;
const CHECK: usize = 4;

/// Longer texts are not looked at.
const MAX_TEXT: usize = 4096;

/// Who to ask, whom to believe, and the secret that lets one in.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the authority's certificate.
    pub authority: [u8; FINGERPRINT],
    secret: [u8; SECRET],
    /// Addresses at which members may be found.
    pub addresses: Vec<String>,
}

impl JoinToken {
    /// A new token with a random secret.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(authority: [u8; FINGERPRINT], addresses: Vec<String>) -> Result<Self, PkiError> {
        Ok(Self { authority, secret: random()?, addresses })
    }

    /// The secret, in hexadecimal.
    pub fn secret(&self) -> Secret {
        Secret::new(HEXLOWER.encode(&self.secret))
    }

    /// What the cluster keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(HEXLOWER.encode(digest(&SHA256, &self.secret).as_ref()))
    }

    /// The name by which people speak of it.
    pub fn id(&self) -> TokenId {
        TokenId(self.hash().0[..10].to_owned())
    }

    /// The token as one line of text, with the secret in it.
    pub fn reveal(&self) -> String {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.authority);
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(self.addresses.join(",").as_bytes());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

/// Tells a mistyped token from a wrong one.
fn check(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..CHECK]);
    check
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({})", self.id())
    }
}

impl FromStr for JoinToken {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(PkiError::Token("it is too long"));
        }
        let body = text
            .strip_prefix(PREFIX)
            .ok_or(PkiError::Token("it does not begin with `standfast1_`"))?;
        let bytes = BASE64URL_NOPAD
            .decode(body.as_bytes())
            .map_err(|_| PkiError::Token("it has letters that no token has, or is cut short"))?;
        let (bytes, found) =
            bytes.split_last_chunk::<CHECK>().ok_or(PkiError::Token("it is too short"))?;
        if check(bytes) != *found {
            return Err(PkiError::Token("it was mistyped or cut short"));
        }
        let (authority, rest) =
            bytes.split_first_chunk().ok_or(PkiError::Token("it is too short"))?;
        let (secret, rest) = rest.split_first_chunk().ok_or(PkiError::Token("it is too short"))?;
        let addresses =
            std::str::from_utf8(rest).map_err(|_| PkiError::Token("its addresses are no text"))?;
        let addresses = addresses.split(',').filter(|text| !text.is_empty());
        Ok(Self {
            authority: *authority,
            secret: *secret,
            addresses: addresses.map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_it_was_written() {
        let token = JoinToken::new([7; 32], vec!["10.0.0.1:7420".into(), "[::1]:1".into()]);
        let token = token.unwrap();
        let text = token.reveal();
        assert_eq!(format!("  {text}\n").parse::<JoinToken>().unwrap(), token);
        assert!(!format!("{token:?}").contains(&text[12..40]));
    }

    #[test]
    fn a_mistyped_token_is_told_from_a_wrong_one() {
        let text = JoinToken::new([7; 32], vec!["a:1".into()]).unwrap().reveal();
        for end in 0..text.len() {
            assert!(text[..end].parse::<JoinToken>().is_err(), "{end}");
        }
        for at in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<JoinToken>().is_err(), "{changed}");
        }
    }
}
