//! The members and policies of the replicated state, as the plan wants them.

use std::collections::BTreeSet;
use std::time::Duration;

use standfast_settings::{Failback as FailbackSetting, ServiceSettings};

use super::{Failback, NodeView, Placement, PlacementPolicy, ServiceView, Why};
use crate::lease::{NodeId, ServiceId};
use crate::model::{Activity, ChangeReason, Role, State};

impl From<&State> for Placement {
    /// Who is alive, what is where and what is idle is not in it.
    fn from(state: &State) -> Self {
        let nodes = state.members.values().map(|member| {
            let view = NodeView {
                alive: false,
                witness: member.role == Role::Witness,
                drained: member.activity == Activity::Draining || !member.can_serve(),
            };
            (member.id, view)
        });
        let services = state
            .settings
            .services
            .iter()
            .map(|(name, settings)| (ServiceId::of_name(name), view(state, name, settings)));
        Self { nodes: nodes.collect(), services: services.collect(), balance: true }
    }
}

fn view(state: &State, name: &str, settings: &ServiceSettings) -> ServiceView {
    let node = |name: &String| state.member_by_name(name).map(|member| member.id);
    let services = |names: &[String]| -> BTreeSet<ServiceId> {
        names.iter().map(|name| ServiceId::of_name(name)).collect()
    };
    let only: Vec<NodeId> = settings.only.iter().filter_map(node).collect();
    let unable = if settings.only.is_empty() {
        BTreeSet::new()
    } else {
        state.members.keys().filter(|node| !only.contains(node)).copied().collect()
    };
    let policy = PlacementPolicy {
        preferred: settings.prefer.iter().filter_map(node).collect(),
        apart_from: services(&settings.apart_from),
        together_with: services(&settings.together_with),
        failback: match settings.failback {
            FailbackSetting::Stay => Failback::Stay,
            FailbackSetting::Idle => Failback::WhenIdle,
            FailbackSetting::Now => Failback::Now,
        },
        wish: state.moves.get(name).map(|planned| planned.target),
    };
    ServiceView { policy, holder: None, unable, idle: false }
}

impl Why {
    /// The reason that is kept with the change. `silence` is for how long the holder did not answer.
    pub fn reason(self, silence: Option<Duration>) -> ChangeReason {
        match self {
            Self::Stays => ChangeReason::Failure { detail: "its daemon started anew".into() },
            Self::First => ChangeReason::Start,
            Self::HolderLost => {
                let for_how_long = silence.map_or_else(
                    || "no heartbeat".into(),
                    |silence| format!("no heartbeat for {} ms", silence.as_millis()),
                );
                ChangeReason::Failure { detail: for_how_long }
            }
            Self::HolderUnable => crate::health::unable(),
            Self::Drain => ChangeReason::Drain,
            Self::Wish => ChangeReason::Move,
            Self::Failback => ChangeReason::Failback,
            Self::Company | Self::Balance => ChangeReason::Balance,
        }
    }
}
