//! Tells scripts and the FIFO about changes. The scripts of one router or group run one after the
//! other, so that they see the states in their order; those of different ones run side by side.

use std::collections::HashMap;

use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use tokio::task::JoinSet;

use super::Error;
use super::fifo::Fifo;
use super::notice::{Notice, NoticeKind, Subject};
use super::plan::Plan;
use super::script;
use super::user::{Identity, identity};
use crate::settings::NotifySettings;

/// Changes of one router that may wait for its scripts.
const MOST_WAITING: usize = 64;

struct Listener {
    settings: NotifySettings,
    identity: Identity,
}

/// Everybody who wants to know.
pub(super) struct Notifier {
    names: HashMap<Subject, String>,
    listeners: HashMap<Subject, Vec<Listener>>,
    fifo: Option<Fifo>,
    priority_changes: bool,
}

impl Notifier {
    pub(super) fn new(plan: &Plan) -> Result<Self, Error> {
        let instances = plan
            .routers
            .iter()
            .enumerate()
            .map(|(index, router)| (Subject::Instance(index), &router.name, &router.notify));
        let groups = plan
            .groups
            .iter()
            .enumerate()
            .map(|(index, group)| (Subject::Group(index), &group.name, &group.notify));
        let mut names = HashMap::new();
        let mut listeners = HashMap::new();
        for (subject, name, notify) in instances.chain(groups) {
            let mut own = Vec::new();
            for settings in notify {
                let what = format!("the notify script of `{name}`");
                let identity = identity(
                    &what,
                    settings.user.as_deref(),
                    settings.group.as_deref(),
                    plan.script_user.as_deref(),
                )?;
                own.push(Listener { settings: settings.clone(), identity });
            }
            names.insert(subject, name.clone());
            listeners.insert(subject, own);
        }
        let fifo = plan.notify_fifo.as_deref().map(Fifo::new).transpose()?;
        let priority_changes = plan.notify_priority_changes;
        Ok(Self { names, listeners, fifo, priority_changes })
    }

    /// Tells every change until there are no more, and lets the last scripts end.
    pub(super) async fn run(mut self, mut notices: Receiver<Notice>) {
        let mut queues: HashMap<Subject, Sender<Vec<String>>> = HashMap::new();
        let mut workers = JoinSet::new();
        for (subject, listeners) in self.listeners.drain() {
            let (sender, receiver) = channel(MOST_WAITING);
            queues.insert(subject, sender);
            workers.spawn(work(listeners, receiver));
        }
        while let Some(notice) = notices.recv().await {
            let Some(name) = self.names.get(&notice.subject) else { continue };
            let Some(word) = notice.word() else { continue };
            // Here and not where it happens: whoever writes the log may have to wait for a disk.
            match notice.kind {
                NoticeKind::State { from, reason } => {
                    let (to, reason) = (notice.state, format!("{reason:?}"));
                    tracing::info!(instance = name, %from, %to, reason, "changed state");
                }
                NoticeKind::GroupState => {
                    tracing::info!(group = name, to = %notice.state, "changed state");
                }
                NoticeKind::Priority | NoticeKind::MasterRxLowerPri => {}
            }
            let (kind, priority) = (notice.kind_of_subject(), notice.priority.to_string());
            let told = notice.kind != NoticeKind::Priority || self.priority_changes;
            if let Some(fifo) = self.fifo.as_mut().filter(|_| told) {
                fifo.write(&format!("{kind} \"{name}\" {word} {priority}\n"));
            }
            if matches!(notice.kind, NoticeKind::Priority | NoticeKind::MasterRxLowerPri) {
                continue;
            }
            let arguments = vec![kind.into(), name.clone(), word.into(), priority];
            if let Some(queue) = queues.get(&notice.subject)
                && let Err(TrySendError::Full(_)) = queue.try_send(arguments)
            {
                tracing::warn!(name, word, "notify scripts cannot keep up; a change is not told");
            }
        }
        drop(queues);
        while workers.join_next().await.is_some() {}
    }
}

/// Runs the scripts of one router or group.
async fn work(listeners: Vec<Listener>, mut changes: Receiver<Vec<String>>) {
    while let Some(arguments) = changes.recv().await {
        let state = arguments.get(2).map(String::as_str).unwrap_or_default();
        for listener in listeners.iter().filter(|listener| listener.settings.concerns(state)) {
            let settings = &listener.settings;
            let mut command = settings.command.clone();
            if settings.arguments {
                command.extend(arguments.iter().cloned());
            }
            let run = script::run(&command, &listener.identity, settings.timeout).await;
            if !run.outcome.is_success() {
                let (outcome, said) = (&run.outcome, &run.said);
                tracing::warn!(?command, %outcome, said, "a notify script failed");
            }
        }
    }
}
