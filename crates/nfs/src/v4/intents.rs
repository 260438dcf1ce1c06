//! Operations of a COMPOUND that must not run twice, across the end of the server.
//!
//! In a session, what an operation is about to do is a record of the journal, and the reply of the
//! COMPOUND is another. Minor version 0 has no slot to keep steps in: they are those of a call
//! ([`crate::intents::Calls`]), as those of NFSv3. Operations on the state alone that could not be
//! done again write their result along with the change.

use std::time::Instant;

use standfast_rpc::xdr;

use super::context::{Compound, InSession};
use super::keeper::{Order, ServiceState};
use super::object::File;
use super::operations::owners::Keepable;
use super::protocol::{ChangeInfo, Component, Status};
use super::state::{Kept, SlotName};
use crate::intents::record::{Done, Intended, Intent, Outcome, Step};
use crate::intents::{NameIn, Ongoing, Past, RequestName, Wish, settled};

/// What an operation finds when it begins.
pub(super) enum Begun {
    /// It is to be run, and what becomes of it is to be told to [`Begin::end`].
    Now(Begin),
    /// It was run before the server died.
    Before(Box<Past>),
}

/// An operation that is to be run.
#[derive(Default)]
#[must_use = "what becomes of it is to be noted before the names are unlocked"]
pub(super) struct Begin(Option<Box<Ongoing>>);

impl Begin {
    /// Notes what became of it, while the names are still locked.
    pub(super) fn end<T, E>(self, result: &Result<T, E>, made: impl FnOnce(&T) -> Option<File>) {
        let Some(ongoing) = self.0 else { return };
        ongoing.end(match result {
            Ok(value) => {
                Outcome { happened: true, object: made(value).map(|file| (&file.key()).into()) }
            }
            Err(_) => Outcome::NO,
        });
    }
}

impl Past {
    /// What the name stands for since, in the same export as `directory`.
    ///
    /// # Errors
    /// `SERVERFAULT` if the step does not say.
    pub(super) fn file(&self, directory: &File) -> Result<File, Status> {
        self.object().map(|handle| directory.sibling(handle)).ok_or(Status::ServerFault)
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

impl File {
    /// A name in it, or of an extended attribute of it.
    pub(super) fn name_in(&self, name: &Component) -> NameIn {
        NameIn { directory: self.key(), name: name.clone() }
    }
}

impl Compound<'_> {
    /// Begins an operation; the names are locked.
    ///
    /// # Errors
    /// `SERVERFAULT` if the log has stopped: there will be no reply. `DELAY` while the filesystem
    /// does not tell what became of an earlier run, or no step can be noted.
    pub(super) async fn begin(&mut self, file: &File, wish: Wish) -> Result<Begun, Status> {
        let position = self.position;
        if let Some(intent) = self.steps.intent(position).cloned() {
            let outcome = match self.steps.outcome(position) {
                Some(outcome) => outcome,
                None => {
                    let looked = intent.clone();
                    let outcome = file.run(move |fs, _, _| settled(fs, &looked));
                    let outcome = outcome.await.map_err(|_| Status::Delay)?;
                    let happened = outcome.happened || self.steps.is_followed(position);
                    Outcome { happened, ..outcome }
                }
            };
            let Outcome { happened, object } = outcome;
            if happened {
                return Ok(Begun::Before(Box::new(Past { intent, object })));
            }
        }
        let Some(name) = self.request_name() else { return Ok(Begun::Now(Begin(None))) };
        let intent = file.look(move |fs, context, _| wish.intent(fs, context)).await?;
        let Some(intent) = intent else { return Ok(Begun::Now(Begin(None))) };
        self.intend(intent.clone()).await?;
        let (calls, is_noted) = (self.nfs.service.calls(), self.session.is_none());
        let ongoing = calls.begin(name, position, intent, is_noted).map_err(|error| {
            tracing::warn!(%error, "an operation is put off, as its intent cannot be noted");
            Status::Delay
        })?;
        self.noted = true;
        Ok(Begun::Now(Begin(Some(Box::new(ongoing)))))
    }

    /// Before the first operation: finds what of this request the server did before it died, if it
    /// has no session that tells.
    pub(super) fn recall_steps(&mut self) {
        if self.minor == 0
            && let Some(name) = self.request_name()
        {
            self.steps = self.nfs.service.calls().steps(&name);
        }
    }

    /// After the last one, whose reply is durable. The steps of a call without a session go when
    /// its reply is in the journal.
    pub(super) fn forget_steps(&self) {
        let name = self.request_name().filter(|_| self.noted && self.session.is_some());
        if let Some(name) = name {
            self.nfs.service.calls().end(&name);
        }
    }

    /// Whether the operation that runs was about to do something when the server died.
    pub(super) fn was_begun(&self) -> bool {
        self.steps.intent(self.position).is_some()
    }

    /// What tells this request from all others; `None`: its reply is not kept.
    pub(super) fn request_name(&self) -> Option<RequestName> {
        match self.session {
            Some(InSession { name: SlotName { session, slot }, sequence, .. }) => {
                Some(RequestName::InSlot { session, slot, sequence })
            }
            None => self.call.keeping.as_ref().map(|keeping| RequestName::Call(*keeping.request())),
        }
    }

    /// Notes in the journal what the operation that runs is about to do, in a session.
    async fn intend(&mut self, intent: Intent) -> Result<(), Status> {
        let Some(session) = self.session else { return Ok(()) };
        let order = self.nfs.keeper.log().order(intent.export().unwrap_or_default());
        let step = Step::Intended(Intended { position: self.position, intent });
        let step = Kept::from(xdr::to_bytes(&step));
        let keeper = &self.nfs.keeper;
        let ((), pending) = keeper.with(|state, now| state.intend(session.name, step, now));
        match order {
            Order::Kept => self.wait_for(pending),
            Order::Loose => pending.durable().await.map_err(|_| Status::ServerFault)?,
        }
        Ok(())
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
