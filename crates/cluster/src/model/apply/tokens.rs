//! Who may join.

use super::Applied;
use crate::model::{MAX_TOKENS, Outcome, Refusal, State, Token, TokenHash, TokenId};

/// How long a token that has ended is remembered, in milliseconds: a day.
const REMEMBERED_MS: u64 = 24 * 3600 * 1000;

impl State {
    pub(super) fn create_token(&mut self, at: u64, id: &TokenId, token: &Token) -> Applied {
        if self.tokens.get(id) == Some(token) {
            return Ok(Outcome::Done);
        }
        // What cannot be used any more is kept for a while, so that a late user is told why.
        self.tokens.retain(|_, token| token.ends_ms.saturating_add(REMEMBERED_MS) > at);
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.retain(|_, token| token.ends_ms > at && token.uses_left != Some(0));
        }
        if self.tokens.len() >= MAX_TOKENS {
            return Err(Refusal::TooManyTokens(self.tokens.len()));
        }
        self.tokens.insert(id.clone(), token.clone());
        Ok(Outcome::Done)
    }

    pub(super) fn revoke_token(&mut self, id: &TokenId) -> Applied {
        match self.tokens.remove(id) {
            Some(_) => Ok(Outcome::Done),
            None => Err(Refusal::TokenUnknown),
        }
    }

    pub(super) fn usable_token(&self, at: u64, hash: &TokenHash) -> Result<TokenId, Refusal> {
        let known = self.tokens.iter().find(|(_, token)| &token.hash == hash);
        let (id, token) = known.ok_or(Refusal::TokenUnknown)?;
        if token.uses_left == Some(0) {
            return Err(Refusal::TokenUsed);
        }
        if token.ends_ms <= at {
            return Err(Refusal::TokenExpired);
        }
        Ok(id.clone())
    }

    /// A used token stays, so that a second use is told why it is refused.
    pub(super) fn use_token(&mut self, id: &TokenId) {
        if let Some(left) = self.tokens.get_mut(id).and_then(|token| token.uses_left.as_mut()) {
            *left = left.saturating_sub(1);
        }
    }
}
