//! The member of a cluster that lives in the daemon.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use standfast_api::{
    ClusterAnswer, ClusterControl, ClusterFailure, ClusterReply, ClusterRequest, TokenStatus,
};
use standfast_cluster::consensus::{Member, MemberOptions, ProposeError, StartError, make_token};
use standfast_cluster::model::{Command, NodeId, Outcome, State, Token, TokenId};
use standfast_cluster::pki::IdentityFiles;
use standfast_settings::{ClusterSettings, differences};
use tokio::sync::Mutex;

use super::status;

/// Runs the member, once this node is one.
pub(crate) struct ClusterHost {
    files: IdentityFiles,
    member: Mutex<Option<Arc<Member>>>,
}

impl ClusterHost {
    pub(crate) fn new(files: IdentityFiles) -> Arc<Self> {
        Arc::new(Self { files, member: Mutex::new(None) })
    }

    /// The running member. A node that became one since the last look is started; `None` if it is
    /// none.
    pub(crate) async fn member(&self) -> Result<Option<Arc<Member>>, StartError> {
        let mut running = self.member.lock().await;
        if running.is_none() && self.files.exist() {
            let member = Member::start(self.files.clone(), MemberOptions::default()).await?;
            let identity = member.identity();
            tracing::info!(cluster = %identity.cluster, node = %identity.node,
                name = identity.name, "member of a cluster");
            *running = Some(member);
        }
        Ok(running.clone())
    }

    /// Stops the member, if there is one.
    pub(crate) async fn stop(&self) {
        if let Some(member) = self.member.lock().await.take() {
            member.stop().await;
        }
    }

    async fn answer(&self, request: ClusterRequest) -> ClusterAnswer {
        let member = self.member().await.map_err(|error| unavailable(&error))?;
        let member = member.ok_or(ClusterFailure::NoCluster)?;
        match request {
            ClusterRequest::Status => {
                Ok(ClusterReply::Status(Box::new(status::cluster(&member).await)))
            }
            ClusterRequest::Events { after } => {
                Ok(ClusterReply::Events { events: status::events(&member.state(), after) })
            }
            ClusterRequest::Settings => Ok(settings(&member.state())),
            ClusterRequest::Plan { settings } => plan(&member, &settings).await,
            ClusterRequest::Apply { settings, expected } => {
                apply(&member, settings, expected).await
            }
            ClusterRequest::CreateToken { lifetime_seconds, uses } => {
                create_token(&member, lifetime_seconds, uses).await
            }
            ClusterRequest::Tokens => Ok(tokens(&member.state())),
            request => {
                let state = fresh(&member).await?;
                let command = command(&state, request)?;
                propose(&member, command).await?;
                Ok(ClusterReply::Done)
            }
        }
    }
}

impl ClusterControl for ClusterHost {
    fn ask(
        self: Arc<Self>,
        request: ClusterRequest,
    ) -> Pin<Box<dyn Future<Output = ClusterAnswer> + Send>> {
        Box::pin(async move { self.answer(request).await })
    }
}

fn unavailable(error: &impl ToString) -> ClusterFailure {
    ClusterFailure::Unavailable { message: error.to_string() }
}

fn refused(message: impl Into<String>) -> ClusterFailure {
    ClusterFailure::Refused { message: message.into() }
}

fn failure(error: ProposeError) -> ClusterFailure {
    match error {
        ProposeError::Refused(message) => ClusterFailure::Refused { message },
        ProposeError::Unavailable(message) => ClusterFailure::Unavailable { message },
    }
}

async fn propose(member: &Member, command: Command) -> Result<Outcome, ClusterFailure> {
    member.propose(command).await.map_err(failure)
}

/// The state for a change: as new as any.
async fn fresh(member: &Member) -> Result<Arc<State>, ClusterFailure> {
    member.read().await.map_err(failure)
}

fn settings(state: &State) -> ClusterReply {
    ClusterReply::Settings {
        version: state.settings_version,
        settings: Box::new(state.settings.clone()),
    }
}

async fn plan(member: &Member, settings: &ClusterSettings) -> ClusterAnswer {
    let state = fresh(member).await?;
    check_nodes(&state, settings)?;
    Ok(ClusterReply::Differences {
        version: state.settings_version,
        differences: differences(&state.settings, settings),
    })
}

async fn apply(
    member: &Member,
    settings: Box<ClusterSettings>,
    expected: Option<u64>,
) -> ClusterAnswer {
    let state = fresh(member).await?;
    check_nodes(&state, &settings)?;
    let differences = differences(&state.settings, &settings);
    let expected = expected.unwrap_or(state.settings_version);
    match propose(member, Command::ApplySettings { expected, settings }).await? {
        Outcome::Settings { version } => Ok(ClusterReply::Differences { version, differences }),
        _ => Ok(ClusterReply::Done),
    }
}

/// A node that is named for a placement should be there.
fn check_nodes(state: &State, settings: &ClusterSettings) -> Result<(), ClusterFailure> {
    for (name, service) in &settings.services {
        for node in service.prefer.iter().chain(&service.only) {
            if state.member_by_name(node).is_none() {
                return Err(refused(format!(
                    "the service `{name}` names the node `{node}`, which is not in the cluster"
                )));
            }
        }
    }
    Ok(())
}

fn node(state: &State, name: &str) -> Result<NodeId, ClusterFailure> {
    let member = state.member_by_name(name);
    member.map(|member| member.id).ok_or_else(|| {
        let known: Vec<_> = state.members.values().map(|member| member.name.as_str()).collect();
        refused(format!("there is no node `{name}`; there are {}", known.join(", ")))
    })
}

/// The command that does what is ordered.
fn command(state: &State, request: ClusterRequest) -> Result<Command, ClusterFailure> {
    Ok(match request {
        ClusterRequest::RevokeToken { id } => Command::RevokeToken { id: TokenId(id) },
        ClusterRequest::Drain { node: name } => Command::Drain { node: node(state, &name)? },
        ClusterRequest::Resume { node: name } => Command::Resume { node: node(state, &name)? },
        ClusterRequest::RemoveNode { node: name, force } => {
            Command::Remove { node: node(state, &name)?, force }
        }
        ClusterRequest::CreateService { name, service } => {
            let mut settings = state.settings.clone();
            settings.services.insert(name.clone(), (*service).clone());
            check_nodes(state, &settings)?;
            Command::PutService { name, service, create: true }
        }
        ClusterRequest::DeleteService { name } => Command::DeleteService { name },
        ClusterRequest::MoveService { name, node: to } => {
            Command::MoveService { name, target: node(state, &to)? }
        }
        _ => return Err(refused("this is no order")),
    })
}

async fn create_token(member: &Member, lifetime_seconds: u64, uses: Option<u32>) -> ClusterAnswer {
    let state = fresh(member).await?;
    let addresses = state.members.values().flat_map(|member| member.addresses.first());
    let addresses = addresses.take(3).map(ToString::to_string).collect();
    let token = make_token(&state.keys.authority_certificate, addresses)
        .map_err(|error| unavailable(&error))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let ends_ms = now_ms.saturating_add(lifetime_seconds.saturating_mul(1000));
    let kept = Token { hash: token.hash(), ends_ms, uses_left: uses };
    propose(member, Command::CreateToken { id: token.id(), token: kept }).await?;
    Ok(ClusterReply::Token { id: token.id().0, token: token.reveal() })
}

fn tokens(state: &State) -> ClusterReply {
    let of_one = |(id, token): (&TokenId, &Token)| TokenStatus {
        id: id.0.clone(),
        ends: token.ends_ms / 1000,
        uses_left: token.uses_left,
    };
    ClusterReply::Tokens { tokens: state.tokens.iter().map(of_one).collect() }
}
