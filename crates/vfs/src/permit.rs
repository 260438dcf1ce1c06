//! The right to change a storage that others may take over.

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be changed now.
    Granted,
    /// Not now; that may change.
    Later,
    /// Never again: somebody else has it.
    Ended,
}

/// Who says whether a storage may be changed. It is asked right before each change, since a process
/// that was stopped finds, when it goes on, threads in the middle of their work: what they began for
/// a client then must not overwrite what a successor has done for that client since.
pub trait Permit: Send + Sync {
    /// Whether it may be changed now. It must not wait.
    fn ask(&self) -> Verdict;
}
