//! A refusal for people, who know nodes by their names.

use super::{Activity, Membership, NodeId, Refusal, Role, State};

impl Refusal {
    /// Why a command changed nothing, with the names of the nodes and what to do next.
    pub fn explain(&self, state: &State) -> String {
        match self {
            Self::LastVoter(node) => format!(
                "`{}` is the last node that votes: nothing would remain. To end the cluster, stop \
                 its daemon and move its state directory away",
                state.name_of(*node)
            ),
            Self::HoldsServices { node, services } => {
                let name = state.name_of(*node);
                format!(
                    "`{name}` holds {}; drain it first with `standfast node drain {name}`, or give \
                     --force if it is dead",
                    services.join(", ")
                )
            }
            Self::IsLeaving(node) => format!("`{}` is being removed", state.name_of(*node)),
            Self::CannotServe(node) => cannot_serve(state, *node),
            Self::FormatUnknown { node, format } => format!(
                "`{}` does not know format {format} yet; upgrade it first",
                state.name_of(*node)
            ),
            Self::NoSuchService(name) => {
                let services: Vec<_> = state.settings.services.keys().map(String::as_str).collect();
                match services.is_empty() {
                    true => format!("there is no service `{name}`; there are none yet"),
                    false => {
                        format!("there is no service `{name}`; there are {}", services.join(", "))
                    }
                }
            }
            other => other.to_string(),
        }
    }
}

fn cannot_serve(state: &State, node: NodeId) -> String {
    let name = state.name_of(node);
    match state.members.get(&node) {
        None => format!("`{name}` is no node of the cluster"),
        Some(member) if member.role == Role::Witness => {
            format!("`{name}` is a witness, which votes and holds no services")
        }
        Some(member) if member.membership == Membership::Leaving => {
            format!("`{name}` is being removed")
        }
        Some(member) if member.activity == Activity::Draining => format!(
            "`{name}` is drained and gets no services; `standfast node resume {name}` ends that"
        ),
        Some(_) => format!("`{name}` cannot hold services now"),
    }
}
