//! Procedures on names, which must not run twice: their steps are noted, and a retransmission that
//! comes after the end of the server finds them.

use std::sync::Arc;

use standfast_rpc::reply_cache::Left;
use standfast_vfs::{
    Attributes, ChangeTime, Changed, Context, Error, FileSystem, Found, Handle, Renamed,
};

use super::protocol::{Name, Status, WccData};
use super::request::{Object, Request};
use crate::intents::record::Outcome as Ended;
use crate::intents::{Calls, NameIn, Past, RequestName, Wish, settled};
use crate::locks::FileKey;
use crate::v4::protocol::Component;
use crate::workers::{ChangeOf, Outcome};

/// What came of a procedure.
pub(super) enum Ran<T> {
    /// It ran.
    Now(T),
    /// It was run before the server died.
    Before(Box<Past>),
}

/// A change of names.
pub(super) trait NameChange: Outcome {
    /// The object that was made.
    fn made(&self) -> Option<Handle> {
        None
    }
}

impl NameChange for Changed<Found> {
    fn made(&self) -> Option<Handle> {
        self.result.as_ref().ok().map(|found| found.handle)
    }
}

impl NameChange for Changed<()> {}
impl NameChange for Changed<Attributes> {}
impl NameChange for Renamed {}

/// A change, unless its step could not be noted: then it was not tried.
struct Noted<T>(Option<T>);

impl<T: Outcome> Outcome for Noted<T> {
    fn failed(&self) -> bool {
        self.0.as_ref().is_none_or(Outcome::failed)
    }

    fn fail(&mut self, error: Error) {
        if let Some(change) = &mut self.0 {
            change.fail(error);
        }
    }
}

/// Notes what is to be done, does it, and notes what became of it. The names are locked.
fn run_noted<T: NameChange>(
    (calls, request): (&Arc<Calls>, RequestName),
    wish: &Wish,
    files: &dyn FileSystem,
    context: Context<'_>,
    operation: impl FnOnce() -> T,
) -> Noted<T> {
    let Ok(Some(intent)) = wish.intent(files, context) else { return Noted(Some(operation())) };
    let export = intent.export().unwrap_or_default();
    let ongoing = match calls.begin(request, 0, intent, true) {
        Ok(ongoing) => ongoing,
        Err(error) => {
            tracing::warn!(%error, "an operation is put off, as its intent cannot be noted");
            return Noted(None);
        }
    };
    let change = operation();
    let object = change.made().map(|handle| (&FileKey { export, handle }).into());
    ongoing.end(Ended { happened: !change.failed(), object });
    Noted(Some(change))
}

impl Object {
    /// A name in a directory of the export.
    pub(super) fn name_in(&self, directory: Handle, name: &Name) -> NameIn {
        let directory = FileKey { export: self.export.id().0, handle: directory };
        NameIn { directory, name: Component::from(name.0.clone()) }
    }

    /// Runs an operation that changes names, once, until the change is stable.
    pub(super) async fn change_names<T, F>(
        &self,
        request: &Request<'_>,
        (wish, change): (Wish, ChangeOf),
        operation: F,
    ) -> Result<Ran<T>, Status>
    where
        T: NameChange,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static,
    {
        let service = request.service;
        let _locked = wish.lock(service.name_locks()).await;
        let Some(keeping) = &self.keeping else {
            return self.change_of(change, operation).await.map(Ran::Now);
        };
        let name = RequestName::Call(*keeping.request());
        let calls = Arc::clone(service.calls());
        if let Some(past) = self.past(&calls, &name).await? {
            keeping.leave(Left::Reply);
            return Ok(Ran::Before(Box::new(past)));
        }
        let noted = move |files: &dyn FileSystem, context: Context<'_>, handle: &Handle| {
            let operation = || operation(files, context, handle);
            run_noted((&calls, name), &wish, files, context, operation)
        };
        let changed = self.change_of(change, noted).await?;
        changed.0.map(Ran::Now).ok_or(Status::Jukebox)
    }

    /// What the procedure did before the server died.
    async fn past(&self, calls: &Calls, name: &RequestName) -> Result<Option<Past>, Status> {
        let steps = calls.steps(name);
        let Some(intent) = steps.intent(0).cloned() else { return Ok(None) };
        let outcome = match steps.outcome(0) {
            Some(outcome) => outcome,
            None => {
                let looked = intent.clone();
                let outcome = self.run(move |files, _, _| settled(files, &looked)).await?;
                outcome.map_err(|_| Status::Jukebox)?
            }
        };
        let Ended { happened, object } = outcome;
        Ok(happened.then_some(Past { intent, object }))
    }

    /// What goes along with the reply to a procedure that was run before the server died: a
    /// directory as it is now.
    pub(super) async fn wcc_now(&self, directory: Handle) -> WccData {
        let looked = self.look(move |files, context, _| files.attributes(context, &directory));
        let none = None::<ChangeTime>;
        self.wcc(none, looked.await.ok().as_ref())
    }
}
