//! The beginning of a cluster, and its format.

use super::Applied;
use crate::model::{EventKind, InitialState, Membership, Outcome, Refusal, State};

impl State {
    pub(super) fn found(&mut self, at: u64, initial: &InitialState) -> Applied {
        if self.is_founded() {
            return match self.cluster == initial.cluster {
                true => Ok(Outcome::Done),
                false => Err(Refusal::Founded(self.cluster)),
            };
        }
        let mut member = initial.member.clone();
        member.membership = Membership::Voting;
        member.since_ms = at;
        // The format of the first member: whoever joins knows it, or is refused.
        self.format = member.format.max(1);
        self.cluster = initial.cluster;
        self.keys = initial.keys.clone();
        self.next_node = member.id.0 + 1;
        self.next_certificate = member.certificate + 1;
        self.settings = initial.settings.clone();
        self.settings_version = 1;
        self.record(at, EventKind::Founded { node: member.name.clone() });
        self.members.insert(member.id, member);
        Ok(Outcome::Done)
    }

    pub(super) fn raise_format(&mut self, at: u64, format: u32) -> Applied {
        if format <= self.format {
            return Ok(Outcome::Done);
        }
        if let Some(member) = self.members.values().find(|member| member.format < format) {
            return Err(Refusal::FormatUnknown { node: member.id, format });
        }
        self.format = format;
        self.record(at, EventKind::Format { format });
        Ok(Outcome::Done)
    }
}
