//! The compact form of a rule: `10.0.0.0/8:rw,no_root_squash`.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::danger::warn_of_rule;
use crate::diagnostic::{Issue, Issues, Severity};
use crate::options::{OptionSet, is_option, read_options, refuse_export_options};
use crate::{ClientAccess, ClientMatch, ClientRule};

/// Why a text is no rule: every error in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowError(Vec<Issue>);

impl std::error::Error for AllowError {}

impl std::fmt::Display for AllowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errors: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&errors.join("; "))
    }
}

/// The form of the command line's `--allow`, with the defaults of exports(5).
impl FromStr for ClientRule {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let mut issues = Issues::default();
        let rule = read_rule(text, &ClientAccess::default(), &mut issues);
        let errors = issues.into_vec().into_iter().filter(|i| i.severity == Severity::Error);
        rule.ok_or_else(|| AllowError(errors.collect()))
    }
}

/// Reads `CLIENT[:OPTION,…]`. Places are byte ranges of `text`.
///
/// IPv6 addresses need no brackets: no option looks like a group of an address, so the longest
/// address or network that a colon ends is the client.
pub(crate) fn read_rule(
    text: &str,
    defaults: &ClientAccess,
    issues: &mut Issues,
) -> Option<ClientRule> {
    let (client_text, options) = split(text);
    let mut found = Issues::default();
    let client = client_text.parse::<ClientMatch>().map_err(|error| {
        found.error(0..client_text.len(), error.to_string());
    });
    let mut set = OptionSet::new(defaults);
    if let Some(options) = options {
        let mut of_options = Issues::default();
        read_options(options, &mut set, &mut of_options);
        refuse_export_options(options, &mut of_options);
        let offset = client_text.len() + 1;
        found.absorb(of_options, |span| span.start + offset..span.end + offset);
    }
    let rule = client.ok().map(|client| ClientRule { client, access: set.access() });
    if let Some(rule) = &rule {
        warn_of_rule(rule, 0..text.len(), &mut found);
    }
    let usable = !found.has_errors();
    issues.absorb(found, |span| span);
    rule.filter(|_| usable)
}

/// Client and options, at the colon between them.
fn split(text: &str) -> (&str, Option<&str>) {
    let is_address = |text: &str| {
        let bare = text.trim_start_matches('[').replacen(']', "", 1);
        bare.contains(':') && (bare.parse::<IpAddr>().is_ok() || bare.parse::<IpNet>().is_ok())
    };
    if is_address(text) {
        return (text, None);
    }
    let at = |(index, _): (usize, &str)| (&text[..index], Some(&text[index + 1..]));
    let after_address = text.rmatch_indices(':').map(at).find(|(client, _)| is_address(client));
    let before_option = || {
        let names_option = |(_, options): &(&str, Option<&str>)| {
            options.and_then(|o| o.split([',', '=']).next()).is_some_and(is_option)
        };
        text.match_indices(':').map(at).find(names_option)
    };
    let at_first_colon = || text.match_indices(':').next().map(at);
    after_address.or_else(before_option).or_else(at_first_colon).unwrap_or((text, None))
}

/// A rule in the compact form, which [`read_rule`] reads back.
pub(crate) fn format_rule(rule: &ClientRule) -> String {
    format!("{}:{}", rule.client, crate::options::format_access(&rule.access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_ends_where_the_options_begin() {
        for (text, client, options) in [
            ("10.0.0.0/8:rw,no_root_squash", "10.0.0.0/8", "rw,no_root_squash"),
            ("10.0.0.0/8", "10.0.0.0/8", "ro"),
            ("@trusted:ro", "@trusted", "ro"),
            ("*.example.org:rw", "*.example.org", "rw"),
            ("*:rw", "*", "rw"),
            ("2001:db8::/32:rw", "2001:db8::/32", "rw"),
            ("2001:db8::/32", "2001:db8::/32", "ro"),
            ("2001:db8::1", "2001:db8::1", "ro"),
            ("2001:db8:0:0:0:0:0:1:rw", "2001:db8::1", "rw"),
            ("::1:rw", "::1", "rw"),
            ("::1:1", "::1:1", "ro"),
            (":::rw", "::", "rw"),
            ("::1:sec=sys:krb5,rw", "::1", "rw"),
            ("[2001:db8::]/32:rw", "2001:db8::/32", "rw"),
            ("[::1]:rw", "::1", "rw"),
            ("[::1]", "::1", "ro"),
            ("host[0-9]:rw", "host[0-9]", "rw"),
            ("host:", "host", "ro"),
        ] {
            let rule: ClientRule = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(format_rule(&rule), format!("{client}:{options}"), "{text}");
            assert_eq!(format_rule(&rule).parse(), Ok(rule), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said_at_once() {
        for (text, expected) in [
            ("", "the client is missing"),
            (":rw", "the client is missing"),
            (
                "10.0.0.0/99:rx",
                "`10.0.0.0/99` is not a network; write address/prefix, such as 10.0.0.0/8 or \
                 2001:db8::/32; unknown option `rx` (did you mean `ro`?)",
            ),
            (
                "2001:db8:zz::/32:rw",
                "`2001:db8:zz::/32` is not a network; write address/prefix, such as 10.0.0.0/8 or \
                 2001:db8::/32",
            ),
            ("host:fsid=1", "`fsid` is a setting of the export, not of one client"),
        ] {
            let error = text.parse::<ClientRule>().unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-f0-9:/.,=\\[\\]*@rw]{0,40}") {
            let _ = text.parse::<ClientRule>();
        }
    }
}
