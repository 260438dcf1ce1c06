//! Nodes come, change and go.

use std::net::SocketAddr;

use standfast_settings::is_name;

use super::Applied;
use crate::model::state::MAX_MEMBERS;
use crate::model::{
    Activity, Command, EventKind, Member, Membership, NodeId, Outcome, Refusal, State,
};

impl State {
    pub(super) fn admit(&mut self, at: u64, command: &Command) -> Applied {
        let Command::Admit { token, name, key_fingerprint, format, replace, .. } = command else {
            return Err(Refusal::NotFounded);
        };
        // A retry, since the answer to the first one was lost; or a member whose certificate has
        // ended. Either has the key, and a token that was given to it.
        let known = |known: &&Member| known.key_fingerprint == *key_fingerprint;
        if let Some(id) = self.members.values().find(known).map(|member| member.id) {
            return self.admit_again(at, id, command);
        }
        if *format < self.format {
            return Err(Refusal::FormatTooOld { cluster: self.format, node: *format });
        }
        if !is_name(name) {
            return Err(Refusal::BadName(name.clone()));
        }
        let replaced = self.member_by_name(name).map(|member| member.id);
        match replaced {
            Some(_) if !replace => return Err(Refusal::NameTaken(name.clone())),
            None if *replace => return Err(Refusal::NothingToReplace(name.clone())),
            _ => {}
        }
        if let Some(id) = replaced {
            self.another_votes(id)?;
        }
        if replaced.is_none() && self.members.len() >= MAX_MEMBERS {
            return Err(Refusal::TooManyMembers(MAX_MEMBERS));
        }
        let token = self.usable_token(at, token)?;
        self.use_token(&token);
        let outcome = match replaced {
            Some(id) => self.replace_member(at, id, command),
            None => self.add_member(at, command),
        };
        outcome.ok_or(Refusal::NotFounded)
    }

    fn admit_again(&mut self, at: u64, id: NodeId, command: &Command) -> Applied {
        let Command::Admit { token, certificate_ends_ms, addresses, .. } = command else {
            return Err(Refusal::NotFounded);
        };
        let known = self.tokens.values().find(|known| known.hash == *token);
        if known.ok_or(Refusal::TokenUnknown)?.ends_ms <= at {
            return Err(Refusal::TokenExpired);
        }
        let member = self.members.get_mut(&id).ok_or(Refusal::NoSuchNode(id))?;
        if member.membership == Membership::Leaving {
            return Err(Refusal::IsLeaving(id));
        }
        member.certificate_ends_ms = member.certificate_ends_ms.max(*certificate_ends_ms);
        // It may have moved.
        member.addresses.clone_from(addresses);
        Ok(admitted(member))
    }

    fn add_member(&mut self, at: u64, command: &Command) -> Option<Outcome> {
        let id = NodeId(self.next_node);
        let member = self.admitted_member(at, id, command)?;
        self.next_node += 1;
        self.record(at, EventKind::Joined { node: member.name.clone(), id });
        let outcome = admitted(&member);
        self.members.insert(id, member);
        Some(outcome)
    }

    /// The new machine gets a number of its own: its log is empty, and whoever votes must not forget
    /// what it voted for. The old one is on its way out and loses its name.
    fn replace_member(&mut self, at: u64, old: NodeId, command: &Command) -> Option<Outcome> {
        let outcome = self.add_member(at, command)?;
        if let Some(member) = self.members.get_mut(&old) {
            let node = std::mem::replace(&mut member.name, format!("replaced-{old}"));
            member.membership = Membership::Leaving;
            // Nobody may come as the old one any more.
            member.least_certificate = u64::MAX;
            self.record(at, EventKind::Replaced { node, id: old });
        }
        Some(outcome)
    }

    fn admitted_member(&mut self, at: u64, id: NodeId, command: &Command) -> Option<Member> {
        let Command::Admit {
            name,
            addresses,
            role,
            key_fingerprint,
            format,
            version,
            certificate_ends_ms,
            ..
        } = command
        else {
            return None;
        };
        Some(Member {
            id,
            name: name.clone(),
            addresses: addresses.clone(),
            role: *role,
            activity: Activity::Active,
            membership: Membership::Joining,
            key_fingerprint: key_fingerprint.clone(),
            certificate: self.take_certificate(),
            least_certificate: 0,
            certificate_ends_ms: *certificate_ends_ms,
            since_ms: at,
            format: *format,
            version: version.clone(),
        })
    }

    fn take_certificate(&mut self) -> u64 {
        let certificate = self.next_certificate;
        self.next_certificate += 1;
        certificate
    }

    pub(super) fn renew_certificate(
        &mut self,
        node: NodeId,
        expected: u64,
        key_fingerprint: &str,
        ends_ms: u64,
    ) -> Applied {
        let next = self.next_certificate;
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        if member.certificate == expected {
            member.certificate = next;
            member.certificate_ends_ms = ends_ms;
            member.key_fingerprint = key_fingerprint.into();
            self.next_certificate += 1;
        }
        let member = self.members.get(&node).ok_or(Refusal::NoSuchNode(node))?;
        Ok(Outcome::Certificate {
            certificate: member.certificate,
            ends_ms: member.certificate_ends_ms,
        })
    }

    pub(super) fn mark_voting(&mut self, at: u64, node: NodeId) -> Applied {
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        match member.membership {
            Membership::Leaving => return Err(Refusal::IsLeaving(node)),
            Membership::Voting => return Ok(Outcome::Done),
            Membership::Joining => {}
        }
        member.membership = Membership::Voting;
        let name = member.name.clone();
        self.record(at, EventKind::Voting { node: name });
        Ok(Outcome::Done)
    }

    pub(super) fn remove(&mut self, at: u64, node: NodeId, force: bool) -> Applied {
        let Some(member) = self.members.get(&node) else {
            return if self.was_removed(node) {
                Ok(Outcome::Done)
            } else {
                Err(Refusal::NoSuchNode(node))
            };
        };
        if member.membership == Membership::Leaving {
            return Ok(Outcome::Done);
        }
        self.another_votes(node)?;
        let services: Vec<_> = self.held_by(node).cloned().collect();
        if !force && !services.is_empty() {
            return Err(Refusal::HoldsServices { node, services });
        }
        let name = member.name.clone();
        if let Some(member) = self.members.get_mut(&node) {
            member.membership = Membership::Leaving;
        }
        self.record(at, EventKind::Leaving { node: name, forced: force });
        Ok(Outcome::Done)
    }

    fn another_votes(&self, node: NodeId) -> Result<(), Refusal> {
        let voter = |other: &Member| other.id != node && other.membership == Membership::Voting;
        self.members.values().any(voter).then_some(()).ok_or(Refusal::LastVoter(node))
    }

    pub(super) fn forget(&mut self, at: u64, node: NodeId) -> Applied {
        match self.members.get(&node).map(|member| member.membership) {
            Some(Membership::Leaving) => {}
            // Somebody forgot it already; or nobody asked for its removal.
            None => return Ok(Outcome::Done),
            Some(_) => return Err(Refusal::NoSuchNode(node)),
        }
        if let Some(member) = self.members.remove(&node) {
            self.moves.retain(|_, planned| planned.target != node);
            self.record(at, EventKind::Removed { node: member.name, id: node });
        }
        Ok(Outcome::Done)
    }

    pub(super) fn announce(
        &mut self,
        node: NodeId,
        addresses: &[SocketAddr],
        format: u32,
        version: &str,
    ) -> Applied {
        let cluster = self.format;
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        if format < cluster {
            return Err(Refusal::FormatTooOld { cluster, node: format });
        }
        member.addresses = addresses.to_vec();
        member.format = format;
        member.version = version.into();
        Ok(Outcome::Done)
    }

    pub(super) fn drain(&mut self, at: u64, node: NodeId) -> Applied {
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        if member.activity == Activity::Draining {
            return Ok(Outcome::Done);
        }
        member.activity = Activity::Draining;
        let name = member.name.clone();
        self.moves.retain(|_, planned| planned.target != node);
        self.record(at, EventKind::Draining { node: name });
        Ok(Outcome::Done)
    }

    pub(super) fn resume(&mut self, at: u64, node: NodeId) -> Applied {
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        if member.membership == Membership::Leaving {
            return Err(Refusal::IsLeaving(node));
        }
        if member.activity == Activity::Active {
            return Ok(Outcome::Done);
        }
        member.activity = Activity::Active;
        let name = member.name.clone();
        self.record(at, EventKind::Resumed { node: name });
        Ok(Outcome::Done)
    }
}

fn admitted(member: &Member) -> Outcome {
    Outcome::Admitted {
        node: member.id,
        certificate: member.certificate,
        ends_ms: member.certificate_ends_ms,
    }
}
