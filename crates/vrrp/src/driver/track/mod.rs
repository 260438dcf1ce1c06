//! Watching what is tracked. Each watcher is a task that reports to the thread of the virtual
//! routers until it is dropped.

mod file;
mod process;
mod ready;
mod script;

use tokio::task::JoinSet;

use super::Error;
use super::order::{Order, Orders};
use super::plan::{Plan, Tracker};
use super::user::identity;
use crate::routers::TrackId;
use crate::tracking::Status;

/// Where a watcher reports to.
#[derive(Clone, Debug)]
struct Reporter {
    track: TrackId,
    orders: Orders,
}

impl Reporter {
    fn report(&self, status: Status) {
        self.orders.give(Order::Track(self.track, status));
    }
}

/// Starts all watchers; they end when the set is dropped.
pub(super) fn start(plan: &Plan, orders: &Orders) -> Result<JoinSet<()>, Error> {
    let mut watchers = JoinSet::new();
    for (index, track) in plan.tracks.iter().enumerate() {
        let reporter = Reporter { track: TrackId(index), orders: orders.clone() };
        match &track.tracker {
            // The thread itself sees the interfaces, and services report by themselves.
            Tracker::Interface | Tracker::Service => {}
            Tracker::Script(settings) => {
                let what = format!("script `{}`", settings.name);
                let user = settings.user.as_deref();
                let group = settings.group.as_deref();
                let identity = identity(&what, user, group, plan.script_user.as_deref())?;
                watchers.spawn(script::watch(settings.clone(), identity, track.initial, reporter));
            }
            Tracker::Process(settings) => {
                watchers.spawn(process::watch(settings.clone(), reporter));
            }
            Tracker::File(settings) => {
                watchers.spawn(file::watch(settings.path.clone(), reporter));
            }
        }
    }
    Ok(watchers)
}
