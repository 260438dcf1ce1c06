//! Rules that work and that few people want.

use std::ops::Range;

use crate::diagnostic::Issues;
use crate::{ClientRule, Squash};

/// Says what a rule opens up.
pub(crate) fn warn_of_rule(rule: &ClientRule, span: Range<usize>, issues: &mut Issues) {
    let access = &rule.access;
    let (client, root) = (&rule.client, access.squash == Squash::None);
    if client.is_everyone() {
        let danger = match (access.read_only, root) {
            (false, true) => {
                Some("every machine that reaches the server may change every file as root")
            }
            (false, false) => Some("every machine that reaches the server may write"),
            (true, true) => {
                Some("every machine that reaches the server may read every file as root")
            }
            (true, false) => None,
        };
        if let Some(danger) = danger {
            issues
                .warn(span.clone(), format!("{danger} (`{client}`)"))
                .help("name the networks or hosts that need it");
        }
    }
    if !access.secure_ports && access.squash != Squash::All {
        let message = format!(
            "`insecure`: any user of `{client}` can speak for every other user of that machine"
        );
        issues.warn(span, message).help("leave it out, or squash everybody (`all_squash`)");
    }
}
