//! What a node wants done.

use std::collections::BTreeMap;

use crate::agent::{Command, Timeline};
use crate::heartbeat::{Datagram, Notice};
use crate::lease::{Change, Right, ServiceId};
use crate::placement::{NoPlace, Why};

/// Something to be done or to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram over its link.
    Send(Datagram),
    /// Have a change committed. It may get lost; then it is proposed again.
    Propose(Change, Why),
    /// Run a step.
    Run(Command),
    /// The right to a service is this one now: to be put on its gate before anything else is done.
    Right(ServiceId, Right),
    /// The steps of a change of holder, complete.
    Timeline(Timeline),
    /// A peer is reached, or not any more.
    Notice(Notice),
    /// On the leader: all services that can be nowhere at the moment.
    Homeless(BTreeMap<ServiceId, NoPlace>),
}
