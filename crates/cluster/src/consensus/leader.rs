//! What only the leader does.

use std::time::{Duration, Instant, SystemTime};

use data_encoding::HEXLOWER_PERMISSIVE;
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};

use super::core::{COME_AGAIN, Core, no_quorum, now_ms};
use super::wire::{JoinAnswer, JoinRequest, LeaderAnswer, LeaderError, LeaderRequest};
use crate::model::{Command, NodeId, Outcome, Stamped, State, TokenHash};
use crate::pki::{Authority, PkiError, Request, fingerprint};

impl Core {
    /// Does what is asked of the leader, if this node leads.
    pub(super) async fn lead(&self, request: LeaderRequest) -> Result<LeaderAnswer, LeaderError> {
        if let Some(problem) = self.disk.problem() {
            return Err(LeaderError::Unavailable(problem));
        }
        match request {
            LeaderRequest::Propose(command) => {
                let outcome = self.write(*command).await?;
                Ok(LeaderAnswer::Outcome(Box::new(outcome)))
            }
            LeaderRequest::ReadIndex => self.read_index().await,
            LeaderRequest::Renew { node, expected, request } => {
                self.renew(node, expected, &request).await
            }
            LeaderRequest::Join(request) => self.admit(request).await,
            LeaderRequest::Heard => Ok(self.members_heard()),
        }
    }

    async fn write(&self, command: Command) -> Result<Outcome, LeaderError> {
        let stamped = Stamped { at_ms: now_ms(), command };
        match self.raft.client_write(stamped).await {
            Ok(response) => Ok(response.data),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(LeaderError::NotLeader(to.leader_id))
            }
            Err(error) => Err(LeaderError::Unavailable(error.to_string())),
        }
    }

    async fn read_index(&self) -> Result<LeaderAnswer, LeaderError> {
        match self.raft.ensure_linearizable().await {
            Ok(index) => Ok(LeaderAnswer::Index(index.map_or(0, |id| id.index))),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => {
                Err(LeaderError::NotLeader(to.leader_id))
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                Err(LeaderError::Unavailable(no_quorum()))
            }
            Err(error) => Err(LeaderError::Unavailable(error.to_string())),
        }
    }

    async fn renew(
        &self,
        node: NodeId,
        expected: u64,
        request: &str,
    ) -> Result<LeaderAnswer, LeaderError> {
        let request = Request::from_pem(request).map_err(refused)?;
        let state = self.state();
        let ends_ms = now_ms() + lifetime_ms(&state);
        let key_fingerprint = request.fingerprint();
        let command = Command::RenewCertificate { node, expected, key_fingerprint, ends_ms };
        match self.write(command).await? {
            Outcome::Certificate { certificate, ends_ms } => {
                let made = certify(&self.state(), &request, node, certificate, ends_ms);
                Ok(LeaderAnswer::Certificate(made.map_err(refused)?))
            }
            other => Err(refused_outcome(other)),
        }
    }

    /// Lets a node in.
    async fn admit(&self, join: JoinRequest) -> Result<LeaderAnswer, LeaderError> {
        let request = Request::from_pem(&join.request).map_err(refused)?;
        let secret = HEXLOWER_PERMISSIVE.decode(join.secret.expose().as_bytes());
        let secret = secret.map_err(|_| LeaderError::Refused("the token is malformed".into()))?;
        let state = self.state();
        if let Some(member) = join.member.filter(|member| state.was_removed(*member)) {
            let why = format!("it was removed from this cluster, as node {member}; {COME_AGAIN}");
            return Err(LeaderError::Refused(why));
        }
        let command = Command::Admit {
            token: TokenHash(fingerprint(&secret)),
            name: join.name,
            addresses: join.addresses,
            role: join.role,
            key_fingerprint: request.fingerprint(),
            format: join.format,
            version: join.version,
            replace: join.replace,
            certificate_ends_ms: now_ms() + lifetime_ms(&state),
        };
        match self.write(command).await? {
            Outcome::Admitted { node, certificate, ends_ms } => {
                let state = self.state();
                let made = certify(&state, &request, node, certificate, ends_ms);
                Ok(LeaderAnswer::Joined(Box::new(JoinAnswer {
                    cluster: state.cluster,
                    node,
                    certificate: made.map_err(refused)?,
                    authority: state.keys.authority_certificate.clone(),
                })))
            }
            other => Err(refused_outcome(other)),
        }
    }

    fn members_heard(&self) -> LeaderAnswer {
        let now = Instant::now();
        let age = |at: Instant| {
            u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX)
        };
        let mut heard: Vec<_> =
            self.peers.heard().into_iter().map(|(node, at)| (node, age(at))).collect();
        heard.push((self.node, 0));
        LeaderAnswer::Heard(heard)
    }
}

fn lifetime_ms(state: &State) -> u64 {
    let lifetime = state.settings.timing.certificate_lifetime;
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX)
}

fn certify(
    state: &State,
    request: &Request,
    node: NodeId,
    certificate: u64,
    ends_ms: u64,
) -> Result<String, PkiError> {
    let keys = &state.keys;
    let authority =
        Authority::open(state.cluster, &keys.authority_certificate, &keys.authority_key)?;
    let ends = SystemTime::UNIX_EPOCH + Duration::from_millis(ends_ms);
    authority.certify(request, node, certificate, SystemTime::now(), ends)
}

fn refused(error: PkiError) -> LeaderError {
    LeaderError::Refused(error.to_string())
}

fn refused_outcome(outcome: Outcome) -> LeaderError {
    match outcome {
        Outcome::Refused(refusal) => LeaderError::Refused(refusal.to_string()),
        _ => LeaderError::Unavailable("the command had another outcome than was expected".into()),
    }
}
