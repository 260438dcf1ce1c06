//! The load: requests in flight on a few connections, from one thread.
//!
//! The generator must cost less than what it measures: requests are encoded once and patched
//! ([`Template`]), requests that are ready together leave in one system call, and one call takes
//! in whatever replies have come.

mod clock;
mod generator;
mod lane;
mod outbox;
mod random;
mod session;
mod template;

pub use clock::Bound;
pub use generator::{Measurement, Plan, run};
pub use outbox::Outbox;
pub use random::Random;
pub use session::{Session, credential};
pub use template::{DIGITS, Field, MARKED_NAME, MARKED_WORD, Template};

use standfast_rpc::xdr::Decoder;

use crate::Error;

/// What became of an operation with the last reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is done; so many bytes or names were moved (one, where the operation itself counts).
    Done(u64),
    /// It needs one more call, which [`Work::next`] gives.
    More,
}

/// What one connection asks.
pub trait Work {
    /// Writes the next call for `slot`. `false`: there is nothing left to ask.
    fn next(&mut self, slot: usize, xid: u32, outbox: &mut Outbox) -> bool;

    /// Judges the results of the last call of `slot`.
    ///
    /// # Errors
    /// Anything but a right answer.
    fn judge(&mut self, slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error>;

    /// The warm-up is over. Until then every byte is checked, from now on enough to see that the
    /// answer is to the question.
    fn warmed_up(&mut self) {}

    /// Everything is answered: checks what can be checked only now.
    ///
    /// # Errors
    /// What is wrong.
    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
