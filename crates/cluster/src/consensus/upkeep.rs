//! What a member does for itself now and then: found the cluster, say what it is, renew its
//! certificate, follow the settings.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::core::{Core, LEADER_PATIENCE};
use super::elector;
use super::wire::{LeaderAnswer, LeaderError, LeaderRequest};
use crate::model::{Command, FORMAT, NodeId, Outcome, Role};
use crate::pki::{Identity, PkiError, TlsIdentity};

/// How often a member looks after itself if nothing changes.
const LOOK: Duration = Duration::from_secs(60);

/// After a failure it tries again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// A leader that serves lets one lead that does not, but only when nothing has changed for this
/// long.
const SETTLED: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error(transparent)]
    Leader(#[from] LeaderError),
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// Looks after a member for ever.
pub(super) async fn run(core: Arc<Core>, mut identity: Identity) {
    let mut state = core.watch();
    let mut said = false;
    loop {
        let pause = match look_after(&core, &mut identity, &mut said).await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::debug!(%error, "this member cannot look after itself yet");
                AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = settled(&core) => {
                if let Some(better) = better_leader(&core) {
                    elector::hand_over(&core, better).await;
                }
            }
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

async fn look_after(
    core: &Core,
    identity: &mut Identity,
    said: &mut bool,
) -> Result<(), UpkeepError> {
    found(core).await?;
    let state = core.state();
    if !state.is_founded() {
        return Ok(());
    }
    core.peers.forget_strangers();
    if identity.timing.as_ref() != Some(&state.settings.timing) {
        identity.timing = Some(state.settings.timing.clone());
        core.files.write_identity(identity)?;
    }
    if !*said {
        announce(core).await?;
        *said = true;
    }
    renew(core).await
}

/// What the cluster begins with is agreed on, then the file with it is removed.
async fn found(core: &Core) -> Result<(), UpkeepError> {
    let Some(founding) = core.files.founding()? else { return Ok(()) };
    if !core.state().is_founded() {
        let command = Command::Found(Box::new(founding.initial));
        let request = LeaderRequest::Propose(Box::new(command));
        core.ask_leader(request, LEADER_PATIENCE).await?;
    }
    Ok(core.files.remove_founding()?)
}

/// A member whose version changed says so.
async fn announce(core: &Core) -> Result<(), UpkeepError> {
    let state = core.state();
    let Some(member) = state.members.get(&core.node) else { return Ok(()) };
    let version = env!("CARGO_PKG_VERSION");
    if member.format == FORMAT && member.version == version {
        return Ok(());
    }
    let command = Command::Announce {
        node: core.node,
        addresses: member.addresses.clone(),
        format: FORMAT,
        version: version.into(),
    };
    match core.ask_leader(LeaderRequest::Propose(Box::new(command)), LEADER_PATIENCE).await? {
        LeaderAnswer::Outcome(outcome) => {
            if let Outcome::Refused(refusal) = *outcome {
                tracing::error!("{refusal}");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A certificate is renewed when two thirds of its time are over.
async fn renew(core: &Core) -> Result<(), UpkeepError> {
    let state = core.state();
    let Some(member) = state.members.get(&core.node) else { return Ok(()) };
    let lifetime = state.settings.timing.certificate_lifetime;
    let ends = core.files.certificate_ends()?;
    let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
    if left > lifetime / 3 {
        return Ok(());
    }
    let request = LeaderRequest::Renew {
        node: core.node,
        expected: member.certificate,
        request: core.files.key()?.request()?,
    };
    let answer = core.ask_leader(request, LEADER_PATIENCE).await?;
    if let LeaderAnswer::Certificate(certificate) = answer {
        let authority = state.keys.authority_certificate.clone();
        core.files.write_certificates(&certificate, &authority)?;
        let tls = TlsIdentity::load(&core.files)?;
        *core.tls.write() = tls.clone();
        core.peers.set_tls(tls);
        tracing::info!("the certificate of this node was renewed");
    }
    Ok(())
}

/// Returns if this node leads although another one should, and nothing has changed for a while.
async fn settled(core: &Core) {
    if better_leader(core).is_none() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(SETTLED).await;
}

/// A voter that serves nothing and was heard just now, if this leader serves something: the death of
/// a serving node should not be the death of the leader as well.
fn better_leader(core: &Core) -> Option<NodeId> {
    let state = core.state();
    if !core.leads() || state.held_by(core.node).next().is_none() {
        return None;
    }
    let timeout = state.settings.timing.election_timeout;
    let heard = core.peers.heard();
    let voters: Vec<_> = {
        let metrics = core.raft.server_metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().voter_ids().map(NodeId).collect()
    };
    let good = voters.into_iter().filter(|voter| {
        let idle = state.held_by(*voter).next().is_none();
        let alive = heard.get(voter).is_some_and(|at| at.elapsed() < timeout);
        *voter != core.node && idle && alive
    });
    let witness_first = |voter: &NodeId| {
        let role = state.members.get(voter).map(|member| member.role);
        (role != Some(Role::Witness), *voter)
    };
    good.min_by_key(witness_first)
}
