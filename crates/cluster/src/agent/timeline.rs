//! How long each step took, for people to see.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Step;
use crate::heartbeat::Moment;
use crate::lease::{Epoch, ServiceId};

/// What a timeline tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passage {
    /// This node became the holder.
    Takeover,
    /// This node gave the service up.
    Release,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which.
    pub step: Step,
    /// When it began, after the beginning of the passage.
    pub from: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// The steps of one change of holder on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The service.
    pub service: ServiceId,
    /// The epoch that begins or ends.
    pub epoch: Epoch,
    /// Begins or ends.
    pub passage: Passage,
    /// When this node learnt of the change, by its own clock.
    pub begun: Moment,
    /// When the lease began, after that; only of a takeover.
    pub leased: Option<Duration>,
    /// What was done.
    pub marks: Vec<Mark>,
}

/// Steps kept of one passage; one that fails for hours would have more.
const MOST_MARKS: usize = 64;

impl Timeline {
    pub(super) fn new(service: ServiceId, epoch: Epoch, passage: Passage, begun: Moment) -> Self {
        Self { service, epoch, passage, begun, leased: None, marks: Vec::new() }
    }

    pub(super) fn mark(&mut self, step: Step, from: Moment, now: Moment, failure: Option<String>) {
        if self.marks.len() < MOST_MARKS {
            let took = now.since(from);
            self.marks.push(Mark { step, from: from.since(self.begun), took, failure });
        }
    }
}
