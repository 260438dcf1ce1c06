//! Clients in user space that treat failures as the Linux client does.

mod transport;
mod v3;
mod v41;

use std::collections::BTreeSet;
use std::future::Future;

use bytes::Bytes;

pub use transport::{NewSocket, Place, here};
pub use v3::Nfs3;
pub use v41::Nfs41;

use crate::history::Answer;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name exists already.
    #[error("it exists already")]
    Exists,
    /// There is no such name.
    #[error("there is no such name")]
    NoEntry,
    /// Another holds the lock.
    #[error("another holds the lock")]
    Denied,
    /// The protocol has no such operation here.
    #[error("not possible over this protocol")]
    Unsupported,
    /// Any other status, or a reply that is none.
    #[error("{0}")]
    Other(String),
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Exists => Self::Exists,
            Refusal::NoEntry => Self::NoEntry,
            Refusal::Denied => Self::Denied,
            Refusal::Unsupported | Refusal::Other(_) => Self::Refused(refusal.to_string()),
        }
    }
}

/// How a name is made that must be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewName {
    /// GUARDED: a retransmission needs the server's memory of the first answer.
    Guarded,
    /// EXCLUSIVE: the verifier tells a retransmission.
    Exclusive([u8; 8]),
}

/// What a client can do in its directory. Nothing here gives up; a future that is dropped leaves
/// open whether it was done.
pub trait FileClient: Send + Sync + 'static {
    /// An open file.
    type File: Send + Sync + 'static;

    /// Makes a name that must be new.
    fn create(&self, name: &str, how: NewName) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Opens a file for reading and writing, and makes it if it is not there.
    fn open(&self, name: &str) -> impl Future<Output = Result<Self::File, Refusal>> + Send;

    /// Writes, stable when it returns.
    fn write(
        &self,
        file: &Self::File,
        offset: u64,
        data: Bytes,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Reads; fewer bytes at the end of the file.
    fn read(
        &self,
        file: &Self::File,
        offset: u64,
        count: u32,
    ) -> impl Future<Output = Result<Bytes, Refusal>> + Send;

    /// Renames.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Removes a file's name.
    fn remove(&self, name: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Takes the exclusive lock of a whole file, or says at once that another has it.
    fn lock(&self, file: &mut Self::File) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Gives it back.
    fn unlock(&self, file: &mut Self::File) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The names in the directory.
    fn list(&self) -> impl Future<Output = Result<BTreeSet<String>, Refusal>> + Send;
}
