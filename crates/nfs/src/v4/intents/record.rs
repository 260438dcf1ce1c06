//! The steps of a COMPOUND as they are written down.

use standfast_rpc::{xdr_struct, xdr_union};

use super::super::protocol::Component;
use super::super::state::{FileRecord, Kept};

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

    /// What an operation is about to do.
    pub struct Intended {
        /// Its place in the COMPOUND.
        pub position: u32,
        /// What.
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
    pub(super) fn position(&self) -> u32 {
        match self {
            Self::Intended(step) => step.position,
            Self::Settled(step) => step.position,
            Self::Done(step) => step.position,
        }
    }
}
