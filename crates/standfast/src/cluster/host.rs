//! The member of a cluster that lives in the daemon.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use standfast_api::{
    ClusterAnswer, ClusterControl, ClusterFailure, ClusterReply, ClusterRequest, TokenStatus,
};
use standfast_cluster::consensus::{Member, MemberOptions, ProposeError, StartError, make_token};
use standfast_cluster::health::{Seen, Severity};
use standfast_cluster::heartbeat::Timing;
use standfast_cluster::lease::Gates;
use standfast_cluster::model::{Command, NodeId, Outcome, State, Token, TokenId};
use standfast_cluster::pki::IdentityFiles;
use standfast_serving::{Instance, Node};
use standfast_settings::{ClusterSettings, Settings, differences};
use tokio::sync::{Mutex, watch};

use super::hands::Hands;
use super::thinking::Thinking;
use super::{leave, status};
use crate::keeper::Keeper;

/// Runs the member, once this node is one.
pub(crate) struct ClusterHost {
    files: IdentityFiles,
    node: Arc<Node>,
    settings: Settings,
    member: Mutex<Option<Arc<Member>>>,
    thinking: Arc<parking_lot::Mutex<Option<Thinking>>>,
    /// What the parts of the daemon that serve the cluster see: they write it, `status` tells it.
    seen: Arc<watch::Sender<Seen>>,
}

impl ClusterHost {
    pub(crate) fn new(files: IdentityFiles, node: Arc<Node>, settings: Settings) -> Arc<Self> {
        let (member, thinking, seen) = Default::default();
        Arc::new(Self { files, node, settings, member, thinking, seen })
    }

    /// Whether the addresses of this machine are left to the services of the cluster: it is a member
    /// and has no exports of its own.
    pub(crate) fn leaves_addresses(&self) -> bool {
        self.settings.exports.is_empty() && self.files.exist()
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
            self.think(&member);
            *running = Some(member);
        }
        Ok(running.clone())
    }

    /// Takes part in the leases, as soon as the cluster knows this node.
    fn think(&self, member: &Arc<Member>) {
        let (member, thinking) = (Arc::clone(member), Arc::clone(&self.thinking));
        let (node, settings) = (Arc::clone(&self.node), self.settings.clone());
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            let keeper = Keeper::start();
            if let Err(error) = &keeper {
                tracing::error!(%error, "there is no keeper: should this daemon die, clients hear it");
            }
            let (keeper, of_member) = (keeper.ok(), Arc::clone(&member));
            let of_hands = Arc::clone(&seen);
            let hands = |gates: Gates| {
                if let Some(keeper) = keeper.clone() {
                    gates.tell(move |until| keeper.lease(until));
                }
                Hands::new(node, settings, of_member, gates, keeper, of_hands)
            };
            match Thinking::start(&member, Arc::clone(&seen), hands).await {
                Ok(started) => {
                    *thinking.lock() = Some(started);
                    leave::come_back(&member).await;
                }
                Err(error) => {
                    tracing::error!(%error, "this node holds no service");
                    let finding = (Severity::Err, format!("it can hold no service: {error}"));
                    seen.send_modify(|seen| {
                        seen.findings.insert("this node".into(), finding);
                    });
                }
            }
        });
    }

    /// The services that run on this node.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        let thinking = self.thinking.lock();
        thinking.as_ref().map(|thinking| thinking.hands().instances()).unwrap_or_default()
    }

    /// Stops the member, if there is one.
    pub(crate) async fn stop(&self) {
        let member = self.member.lock().await.take();
        if let Some(member) = &member {
            leave::give_away(member).await;
        }
        let thinking = self.thinking.lock().take();
        if let Some(thinking) = thinking {
            thinking.stop().await;
        }
        if let Some(member) = member {
            member.stop().await;
        }
    }

    async fn answer(&self, request: ClusterRequest) -> ClusterAnswer {
        let member = self.member().await.map_err(|error| unavailable(&error))?;
        let member = member.ok_or(ClusterFailure::NoCluster)?;
        match request {
            ClusterRequest::Status => {
                let seen = self.seen.borrow().clone();
                Ok(ClusterReply::Status(Box::new(status::cluster(&member, &seen).await)))
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
    match member.decide(command).await.map_err(failure)? {
        Outcome::Refused(refusal) => Err(refused(refusal.explain(&member.state()))),
        outcome => Ok(outcome),
    }
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
    check(&state, settings)?;
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
    check(&state, &settings)?;
    let differences = differences(&state.settings, &settings);
    let expected = expected.unwrap_or(state.settings_version);
    match propose(member, Command::ApplySettings { expected, settings }).await? {
        Outcome::Settings { version } => Ok(ClusterReply::Differences { version, differences }),
        _ => Ok(ClusterReply::Done),
    }
}

/// What the cluster would refuse, and what it would not but should: a typing error in the name of a
/// node.
fn check(state: &State, settings: &ClusterSettings) -> Result<(), ClusterFailure> {
    let mut wrong = settings.check().err().unwrap_or_default();
    let timing = Timing::from(&settings.timing).check();
    wrong.extend(timing.err().map(|error| error.to_string()));
    wrong.extend(state.check_nodes_of(settings));
    if wrong.is_empty() { Ok(()) } else { Err(refused(wrong.join("\n"))) }
}

fn node(state: &State, name: &str) -> Result<NodeId, ClusterFailure> {
    let member = state.member_by_name(name);
    member.map(|member| member.id).ok_or_else(|| {
        let known: Vec<_> = state.members.values().map(|member| member.name.as_str()).collect();
        refused(format!("there is no node `{name}`; there are {}", known.join(", ")))
    })
}

fn token(state: &State, id: String) -> Result<TokenId, ClusterFailure> {
    let id = TokenId(id);
    match state.tokens.contains_key(&id) {
        true => Ok(id),
        false => Err(refused(format!(
            "there is no token `{id}`; `standfast token list` shows those that there are"
        ))),
    }
}

/// The command that does what is ordered.
fn command(state: &State, request: ClusterRequest) -> Result<Command, ClusterFailure> {
    Ok(match request {
        ClusterRequest::RevokeToken { id } => Command::RevokeToken { id: token(state, id)? },
        ClusterRequest::Drain { node: name } => Command::Drain { node: node(state, &name)? },
        ClusterRequest::Resume { node: name } => Command::Resume { node: node(state, &name)? },
        ClusterRequest::RemoveNode { node: name, force } => {
            Command::Remove { node: node(state, &name)?, force }
        }
        ClusterRequest::CreateService { name, service } => {
            let wrong = state.check_nodes_of_service(&name, &service);
            if !wrong.is_empty() {
                return Err(refused(wrong.join("\n")));
            }
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
