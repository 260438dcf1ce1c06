//! The steps of a request that the server did before it died.

use standfast_rpc::xdr;
use standfast_vfs::Handle;

use super::record::{Done, Intended, Intent, NotedStep, Outcome, Settled, Step};
use crate::v4::state::{FileRecord, IntentRecord, Kept};

/// The steps of a request, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    pub(crate) fn of_records(records: &[IntentRecord]) -> Self {
        Self(records.iter().filter_map(|it| xdr::from_bytes(&it.intent.0).ok()).collect())
    }

    pub(crate) fn of_noted<'s>(steps: impl IntoIterator<Item = &'s NotedStep>) -> Self {
        let mut all = Vec::new();
        for NotedStep { position, intent, outcome, .. } in steps {
            let position = *position;
            all.push(Step::Intended(Intended { position, intent: intent.clone() }));
            if let Some(Outcome { happened, object }) = outcome.clone() {
                all.push(Step::Settled(Settled { position, happened, object }));
            }
        }
        Self(all)
    }

    fn at(&self, position: u32) -> impl DoubleEndedIterator<Item = &Step> {
        self.0.iter().filter(move |step| step.position() == position)
    }

    /// What an operation was about to do when the server died, the last time.
    pub(crate) fn intent(&self, position: u32) -> Option<&Intent> {
        self.at(position).rev().find_map(|step| match step {
            Step::Intended(intended) => Some(&intended.intent),
            _ => None,
        })
    }

    /// What became of it, as far as that is known.
    pub(crate) fn outcome(&self, position: u32) -> Option<Outcome> {
        if let Some(Step::Settled(Settled { happened, object, .. })) = self.at(position).last() {
            return Some(Outcome { happened: *happened, object: object.clone() });
        }
        None
    }

    /// The operations of which it is not known what became of them.
    pub(crate) fn open(&self) -> Vec<Intended> {
        let mut open: Vec<Intended> = Vec::new();
        for step in &self.0 {
            open.retain(|earlier| earlier.position != step.position());
            if let Step::Intended(intended) = step {
                open.push(intended.clone());
            }
        }
        open
    }

    /// Whether another operation followed: then this one was successful.
    pub(crate) fn is_followed(&self, position: u32) -> bool {
        self.0.iter().any(|step| step.position() > position)
    }

    /// The result of an operation on the state.
    pub(crate) fn done(&self, position: u32) -> Option<&Kept> {
        self.at(position).rev().find_map(|step| match step {
            Step::Done(Done { result, .. }) => Some(result),
            _ => None,
        })
    }
}

/// An operation that was run before the server died.
pub(crate) struct Past {
    pub(crate) intent: Intent,
    pub(crate) object: Option<FileRecord>,
}

impl Past {
    /// What the name stands for since.
    pub(crate) fn object(&self) -> Option<Handle> {
        Some(self.object.as_ref().and_then(FileRecord::key)?.handle)
    }

    /// The change attributes before: of the directory or file, and of the directory that a name
    /// moved to.
    pub(crate) fn changes(&self) -> (u64, u64) {
        match &self.intent {
            Intent::Make(it) | Intent::Take(it) => (it.change, it.change),
            Intent::Link(it) => (it.place.change, it.place.change),
            Intent::Move(it) => (it.from.change, it.to.change),
            Intent::MakeAttribute(it) | Intent::TakeAttribute(it) => (it.change, it.change),
            Intent::Return(_) => (0, 0),
        }
    }
}
