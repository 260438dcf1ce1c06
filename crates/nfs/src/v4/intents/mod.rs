//! Operations that must not run twice, across the end of the server.
//!
//! An operation that changes names writes down what it is about to do, then does it, then its
//! COMPOUND writes down the reply. If the server dies in between, the retransmission finds the
//! steps ([`record`]), and what became of the last one ([`settle`](mod@settle)). Operations on
//! the state alone that could not be done again write their result along with the change.

pub mod record;
mod settle;
#[cfg(test)]
mod tests;

pub use settle::settle;

use std::time::Instant;

use standfast_rpc::xdr;

use self::record::{
    AttributeIntent, Done, Intended, Intent, LinkIntent, MoveIntent, NameIntent, Settled, Step,
};
use self::settle::{Outcome, export_of, look};
use super::context::Compound;
use super::keeper::{Order, ServiceState};
use super::object::File;
use super::operations::owners::Keepable;
use super::protocol::{ChangeInfo, Component, Status};
use super::state::{FileRecord, IntentRecord, Kept};

/// What an operation finds when it begins.
pub(super) enum Begun {
    /// It is to be run.
    Now,
    /// It was run before the server died.
    Before(Box<Past>),
}

/// An operation that was run before the server died.
pub(super) struct Past {
    intent: Intent,
    object: Option<FileRecord>,
}

impl Past {
    /// What the name stands for since, in the same export as `directory`.
    ///
    /// # Errors
    /// `SERVERFAULT` if the step does not say.
    pub(super) fn object(&self, directory: &File) -> Result<File, Status> {
        let key = self.object.as_ref().and_then(FileRecord::key).ok_or(Status::ServerFault)?;
        Ok(directory.sibling(key.handle))
    }

    /// The change attributes before: of the directory or file, and of the directory that a name
    /// moved to.
    fn changes(&self) -> (u64, u64) {
        match &self.intent {
            Intent::Make(it) | Intent::Take(it) => (it.change, it.change),
            Intent::Link(it) => (it.place.change, it.place.change),
            Intent::Move(it) => (it.from.change, it.to.change),
            Intent::MakeAttribute(it) | Intent::TakeAttribute(it) => (it.change, it.change),
        }
    }

    /// The directory or file before, and now.
    pub(super) async fn info(&self, file: &File) -> Result<ChangeInfo, Status> {
        let after = file.attributes().await?.change;
        Ok(ChangeInfo { atomic: false, before: self.changes().0, after })
    }

    /// The directory that a name moved to before, and now.
    pub(super) async fn info_of_target(&self, file: &File) -> Result<ChangeInfo, Status> {
        let after = file.attributes().await?.change;
        Ok(ChangeInfo { atomic: false, before: self.changes().1, after })
    }
}

/// The steps of a request that the server did before it died.
#[derive(Default)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    pub(super) fn read(records: &[IntentRecord]) -> Self {
        Self(records.iter().filter_map(|it| xdr::from_bytes(&it.intent.0).ok()).collect())
    }

    fn at(&self, position: u32) -> impl DoubleEndedIterator<Item = &Step> {
        self.0.iter().filter(move |step| step.position() == position)
    }

    /// What an operation was about to do when the server died, the last time.
    fn intent(&self, position: u32) -> Option<&Intent> {
        self.at(position).rev().find_map(|step| match step {
            Step::Intended(intended) => Some(&intended.intent),
            _ => None,
        })
    }

    /// What became of it, as far as that is known.
    fn outcome(&self, position: u32) -> Option<Outcome> {
        if let Some(Step::Settled(Settled { happened, object, .. })) = self.at(position).last() {
            return Some(Outcome { happened: *happened, object: object.clone() });
        }
        None
    }

    /// Whether another operation followed: then this one was successful.
    fn is_followed(&self, position: u32) -> bool {
        self.0.iter().any(|step| step.position() > position)
    }

    fn done(&self, position: u32) -> Option<&Kept> {
        self.at(position).rev().find_map(|step| match step {
            Step::Done(done) => Some(&done.result),
            _ => None,
        })
    }
}

/// What a name in a directory stands for.
async fn place(directory: &File, name: &Component) -> Result<NameIntent, Status> {
    let wanted = name.clone();
    let looked = directory.look(move |fs, context, directory| {
        let change = fs.attributes(context, directory)?.change;
        let found = match fs.lookup(context, directory, &wanted) {
            Ok(found) => Some(found.handle),
            Err(standfast_vfs::Error::Os(rustix::io::Errno::NOENT)) => None,
            Err(error) => return Err(error),
        };
        Ok((change, found))
    });
    let (change, found) = looked.await?;
    let object = found.map(|handle| FileRecord::from(&directory.sibling(handle).key()));
    Ok(NameIntent { directory: (&directory.key()).into(), change, name: name.clone(), object })
}

impl Compound<'_> {
    /// Begins to make an object of this name, which is locked.
    ///
    /// # Errors
    /// `SERVERFAULT` if the log has stopped: there will be no reply. `DELAY` while the filesystem
    /// does not tell what became of an earlier run.
    pub(super) async fn begin_make(
        &mut self,
        directory: &File,
        name: &Component,
    ) -> Result<Begun, Status> {
        if let Some(begun) = self.begun(directory).await? {
            return Ok(begun);
        }
        match place(directory, name).await {
            Ok(place) if place.object.is_none() => self.intend(Intent::Make(place)).await,
            // It will fail.
            _ => Ok(Begun::Now),
        }
    }

    /// Begins to take this name away, which is locked.
    ///
    /// # Errors
    /// As [`Compound::begin_make`].
    pub(super) async fn begin_take(
        &mut self,
        directory: &File,
        name: &Component,
    ) -> Result<Begun, Status> {
        if let Some(begun) = self.begun(directory).await? {
            return Ok(begun);
        }
        match place(directory, name).await {
            Ok(place) if place.object.is_some() => self.intend(Intent::Take(place)).await,
            _ => Ok(Begun::Now),
        }
    }

    /// Begins to move a name; both are locked.
    ///
    /// # Errors
    /// As [`Compound::begin_make`].
    pub(super) async fn begin_move(
        &mut self,
        (from, from_name): (&File, &Component),
        (to, to_name): (&File, &Component),
    ) -> Result<Begun, Status> {
        if let Some(begun) = self.begun(from).await? {
            return Ok(begun);
        }
        match (place(from, from_name).await, place(to, to_name).await) {
            // Two names of one object: nothing moves.
            (Ok(from), Ok(to)) if from.object.is_some() && from.object != to.object => {
                self.intend(Intent::Move(MoveIntent { from, to })).await
            }
            _ => Ok(Begun::Now),
        }
    }

    /// Begins to give an object this name, which is locked.
    ///
    /// # Errors
    /// As [`Compound::begin_make`].
    pub(super) async fn begin_link(
        &mut self,
        object: &File,
        directory: &File,
        name: &Component,
    ) -> Result<Begun, Status> {
        if let Some(begun) = self.begun(directory).await? {
            return Ok(begun);
        }
        match place(directory, name).await {
            Ok(place) if place.object.is_none() => {
                let object = (&object.key()).into();
                self.intend(Intent::Link(LinkIntent { object, place })).await
            }
            _ => Ok(Begun::Now),
        }
    }

    /// Begins to make an extended attribute of a file, or to take it away.
    ///
    /// # Errors
    /// As [`Compound::begin_make`].
    pub(super) async fn begin_attribute(
        &mut self,
        file: &File,
        name: &Component,
        makes: bool,
    ) -> Result<Begun, Status> {
        if let Some(begun) = self.begun(file).await? {
            return Ok(begun);
        }
        let wanted = name.clone();
        let looked = file.run(move |fs, context, file| {
            let has = fs.extended_attribute(context, file, &wanted).is_ok();
            Ok((fs.attributes(context, file)?.change, has))
        });
        match looked.await {
            Ok((change, has)) if has != makes => {
                let it = AttributeIntent { file: (&file.key()).into(), change, name: name.clone() };
                self.intend(if makes {
                    Intent::MakeAttribute(it)
                } else {
                    Intent::TakeAttribute(it)
                })
                .await
            }
            _ => Ok(Begun::Now),
        }
    }

    /// Whether the operation that runs was about to do something when the server died.
    pub(super) fn was_begun(&self) -> bool {
        self.steps.intent(self.position).is_some()
    }

    /// Whether the operation that runs was run before the server died.
    async fn begun(&self, file: &File) -> Result<Option<Begun>, Status> {
        if self.session.is_none() {
            // Minor version 0 has no slot to note steps in.
            return Ok(Some(Begun::Now));
        }
        let position = self.position;
        let Some(intent) = self.steps.intent(position).cloned() else { return Ok(None) };
        let outcome = match self.steps.outcome(position) {
            Some(outcome) => outcome,
            None => {
                let looked = intent.clone();
                let outcome = file.run(move |fs, _, _| look(fs, &looked));
                let outcome = outcome.await.map_err(|_| Status::Delay)?;
                let happened = outcome.happened || self.steps.is_followed(position);
                Outcome { happened, ..outcome }
            }
        };
        let Outcome { happened, object } = outcome;
        Ok(happened.then_some(Begun::Before(Box::new(Past { intent, object }))))
    }

    /// Notes what the operation that runs is about to do.
    async fn intend(&mut self, intent: Intent) -> Result<Begun, Status> {
        let Some(session) = self.session else { return Ok(Begun::Now) };
        let order = self.nfs.keeper.log().order(export_of(&intent));
        let step = Step::Intended(Intended { position: self.position, intent });
        let step = Kept::from(xdr::to_bytes(&step));
        let keeper = &self.nfs.keeper;
        let ((), pending) = keeper.with(|state, now| state.intend(session.name, step, now));
        match order {
            Order::Kept => self.wait_for(pending),
            Order::Loose => pending.durable().await.map_err(|_| Status::ServerFault)?,
        }
        Ok(Begun::Now)
    }

    /// Runs an operation on the state that could not be run again: its result is in the same
    /// record as what it changes.
    pub(super) fn once<A: Keepable>(
        &mut self,
        operation: impl FnOnce(&mut ServiceState, Instant) -> A,
    ) -> A {
        if let Some(result) = self.past_result() {
            return A::kept(&result);
        }
        let (session, position) = (self.session, self.position);
        self.state(|state, now| {
            let answer = operation(state, now);
            if let Some(session) = session.filter(|_| answer.status() == Status::Ok) {
                let result = Kept::from(xdr::to_bytes(&answer));
                state.intend(session.name, done(position, result), now);
            }
            answer
        })
    }

    /// The result that the operation that runs had before the server died.
    pub(super) fn past_result(&self) -> Option<Kept> {
        self.steps.done(self.position).cloned()
    }
}

/// A step that is done.
pub(super) fn done(position: u32, result: Kept) -> Kept {
    Kept::from(xdr::to_bytes(&Step::Done(Done { position, result })))
}
