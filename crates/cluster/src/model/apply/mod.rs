//! What each command does to the state.

mod found;
mod holders;
mod members;
mod settings;
mod tokens;

use super::{Command, Outcome, Refusal, Stamped, State};

/// What became of a command, with the reasons against it as errors.
type Applied = Result<Outcome, Refusal>;

impl State {
    /// Applies a command. A refused one changes nothing.
    pub fn apply(&mut self, stamped: &Stamped) -> Outcome {
        let at = stamped.at_ms;
        let applied = match &stamped.command {
            Command::Found(initial) => self.found(at, initial),
            _ if !self.is_founded() => Err(Refusal::NotFounded),
            command => self.apply_founded(at, command),
        };
        applied.unwrap_or_else(Outcome::Refused)
    }

    fn apply_founded(&mut self, at: u64, command: &Command) -> Applied {
        match command {
            Command::Found(initial) => self.found(at, initial),
            Command::Admit { .. } => self.admit(at, command),
            Command::RenewCertificate { node, expected, key_fingerprint, ends_ms } => {
                self.renew_certificate(*node, *expected, key_fingerprint, *ends_ms)
            }
            Command::MarkVoting { node } => self.mark_voting(at, *node),
            Command::Remove { node, force } => self.remove(at, *node, *force),
            Command::Forget { node } => self.forget(at, *node),
            Command::Announce { node, addresses, format, version } => {
                self.announce(*node, addresses, *format, version)
            }
            Command::Drain { node } => self.drain(at, *node),
            Command::Resume { node } => self.resume(at, *node),
            Command::ApplySettings { expected, settings } => {
                self.apply_settings(at, *expected, settings)
            }
            Command::PutService { name, service, create } => {
                self.put_service(at, name, service, *create)
            }
            Command::DeleteService { name } => self.delete_service(at, name),
            Command::MoveService { name, target } => self.move_service(at, name, *target),
            Command::CancelMove { name } => self.cancel_move(name),
            Command::ChangeHolder { service, expected, holder, incarnation, reason } => {
                let holder = holder.map(|node| (node, *incarnation));
                self.change_holder(at, service, *expected, holder, reason)
            }
            Command::NameSuccessor { service, epoch, successor } => {
                self.name_successor(service, *epoch, *successor)
            }
            Command::RecordTimeline { service, epoch, steps } => {
                self.record_timeline(at, service, *epoch, steps)
            }
            Command::CreateToken { id, token } => self.create_token(at, id, token),
            Command::RevokeToken { id } => self.revoke_token(id),
            Command::RaiseFormat { format } => self.raise_format(at, *format),
        }
    }
}
