//! The steps of a request as they are written down.

use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use crate::v4::protocol::{Component, SessionId, StateId};
use crate::v4::state::{FileRecord, Kept};

xdr_enum! {
    /// The version of what is in a place of the [`super::StepStore`].
    pub enum StepFormat {
        /// The first.
        One = 1,
    }
}

xdr_struct! {
    /// A name in a directory, and what it stands for.
    pub struct NameIntent {
        /// The directory.
        pub directory: FileRecord,
        /// Its change attribute before.
        pub change: u64,
        /// The name.
        pub name: Component,
        /// What it stood for before.
        pub object: Option<FileRecord>,
    }

    /// A name that moves.
    pub struct MoveIntent {
        /// From here.
        pub from: NameIntent,
        /// To here.
        pub to: NameIntent,
    }

    /// An object that gets another name.
    pub struct LinkIntent {
        /// The object.
        pub object: FileRecord,
        /// The name.
        pub place: NameIntent,
    }

    /// An extended attribute of a file.
    pub struct AttributeIntent {
        /// The file.
        pub file: FileRecord,
        /// Its change attribute before.
        pub change: u64,
        /// The attribute.
        pub name: Component,
    }

    /// What became of an operation.
    pub struct Outcome {
        /// It happened.
        pub happened: bool,
        /// What the name stands for since.
        pub object: Option<FileRecord>,
    }

    /// A call of a protocol without sessions (the key of the reply cache).
    pub struct CallRecord {
        /// The client's IPv6 address, or its IPv4 address in one.
        pub client: [u8; 16],
        /// Transaction id.
        pub xid: u32,
        /// Length of the request in bytes.
        pub length: u64,
        /// Of the request's first part.
        pub checksum: u32,
    }

    /// A request in a session.
    pub struct SlotRecord {
        /// The session.
        pub session: SessionId,
        /// The slot.
        pub slot: u32,
        /// Of the request.
        pub sequence: u32,
    }

    /// A step as it is in the [`super::StepStore`].
    pub struct NotedStep {
        /// Its version.
        pub format: StepFormat,
        /// The epoch that wrote it.
        pub epoch: u64,
        /// Its place among the steps of that epoch.
        pub serial: u64,
        /// When the operation began, in seconds since 1970.
        pub begun: u64,
        /// The request.
        pub request: RequestRecord,
        /// Its place in the request.
        pub position: u32,
        /// What it is about to do.
        pub intent: Intent,
        /// What became of it, once that is known.
        pub outcome: Option<Outcome>,
    }

    /// What an operation is about to do.
    pub struct Intended {
        /// Its place in the COMPOUND.
        pub position: u32,
        /// What it is.
        pub intent: Intent,
    }

    /// What became of an operation that was about to do something when the server died.
    pub struct Settled {
        /// Its place in the COMPOUND.
        pub position: u32,
        /// It happened.
        pub happened: bool,
        /// What the name stands for since.
        pub object: Option<FileRecord>,
    }

    /// What an operation did.
    pub struct Done {
        /// Its place in the COMPOUND.
        pub position: u32,
        /// Its encoded result.
        pub result: Kept,
    }
}

xdr_union! {
    /// What an operation is about to do, which must not be done twice.
    pub enum Intent {
        /// Make an object: the name stood for nothing.
        Make(NameIntent) = 1,
        /// Take a name away.
        Take(NameIntent) = 2,
        /// Move a name.
        Move(MoveIntent) = 3,
        /// Give a name to an object: it stood for nothing.
        Link(LinkIntent) = 4,
        /// Make an extended attribute that was not there.
        MakeAttribute(AttributeIntent) = 5,
        /// Take an extended attribute away.
        TakeAttribute(AttributeIntent) = 6,
        /// Give a delegation back.
        Return(StateId) = 7,
    }

    /// What tells a request from all others.
    pub enum RequestRecord {
        /// A call of a protocol without sessions.
        Call(CallRecord) = 1,
        /// A request in a session.
        InSlot(SlotRecord) = 2,
    }

    /// A step of a COMPOUND.
    pub enum Step {
        /// It is about to do something.
        Intended(Intended) = 1,
        /// It is known what became of that.
        Settled(Settled) = 2,
        /// It did something, in the same record as the changes of the state.
        Done(Done) = 3,
    }
}

impl Step {
    pub(crate) fn position(&self) -> u32 {
        match self {
            Self::Intended(step) => step.position,
            Self::Settled(step) => step.position,
            Self::Done(step) => step.position,
        }
    }
}
