//! Which clients a rule is for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::Wildcard;

/// A client specification of exports(5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientMatch {
    /// One address.
    Address(IpAddr),
    /// One host by its name; it is resolved when a client asks.
    Host(String),
    /// A network.
    Network(IpNet),
    /// The hosts whose name fits a pattern.
    Wildcard(Wildcard),
    /// The hosts of a netgroup.
    Netgroup(String),
    /// Every client (`*`).
    Anyone,
}

/// Why a text names no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It is empty.
    #[error("the client is missing")]
    Empty,
    /// `gss/…`, the old way to ask for Kerberos.
    #[error("`{0}`: Kerberos is not supported yet, so no client could be let in by it")]
    Kerberos(String),
    /// What is before the `/` is no address, or what is after it no prefix length or netmask.
    #[error("`{0}` is not a network; write address/prefix, such as 10.0.0.0/8 or 2001:db8::/32")]
    Network(String),
    /// A netmask whose ones do not all come first.
    #[error("`{0}`: the ones of a netmask must all come first, as in 255.255.255.0")]
    Netmask(String),
    /// It looks like an address and is none.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// A wildcard in what looks like an address.
    #[error("`{0}`: wildcards match names, not addresses; write a network, such as 10.0.0.0/8")]
    WildcardAddress(String),
    /// A class without its end.
    #[error("`{0}`: the [ of the wildcard has no ]")]
    Wildcard(String),
    /// `@` without a name.
    #[error("`@` needs the name of a netgroup after it")]
    Netgroup,
    /// It cannot be the name of a host.
    #[error("`{0}` is not the name of a host")]
    Host(String),
}

impl ClientMatch {
    /// The order of exports(5): of the rules that match a client, the one with the lowest rank
    /// holds, and among equals the one written first.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Address(_) | Self::Host(_) => 0,
            Self::Network(_) => 1,
            Self::Wildcard(_) => 2,
            Self::Netgroup(_) => 3,
            Self::Anyone => 4,
        }
    }

    /// Whether it lets in everyone who can reach the server.
    pub fn is_everyone(&self) -> bool {
        match self {
            Self::Anyone => true,
            Self::Network(network) => network.prefix_len() == 0,
            _ => false,
        }
    }
}

impl FromStr for ClientMatch {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        // Square brackets around an IPv6 address, as a URL has them.
        if let Some(address) = bracketed(text) {
            return address.parse();
        }
        match text {
            "" => return Err(ClientError::Empty),
            "*" => return Ok(Self::Anyone),
            _ => {}
        }
        if let Some(group) = text.strip_prefix('@') {
            return match is_name(group) {
                true => Ok(Self::Netgroup(group.into())),
                false if group.is_empty() => Err(ClientError::Netgroup),
                false => Err(ClientError::Host(text.into())),
            };
        }
        if text.starts_with("gss/") {
            return Err(ClientError::Kerberos(text.into()));
        }
        if text.contains(['*', '?', '[']) {
            return wildcard(text);
        }
        if text.contains('/') {
            return network(text).map(Self::Network);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if text.contains(':') || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(ClientError::Address(text.into()));
        }
        if is_name(text) {
            Ok(Self::Host(text.into()))
        } else {
            Err(ClientError::Host(text.into()))
        }
    }
}

/// `[2001:db8::1]` and `[2001:db8::]/32` without their brackets; a class of a wildcard is neither.
fn bracketed(text: &str) -> Option<String> {
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    let is_address = address.contains(':') && (rest.is_empty() || rest.starts_with('/'));
    is_address.then(|| format!("{address}{rest}"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.'))
}

fn wildcard(text: &str) -> Result<ClientMatch, ClientError> {
    let Some(pattern) = Wildcard::parse(text) else {
        return Err(ClientError::Wildcard(text.into()));
    };
    let of_address = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'*' | b'?' | b':');
    if text.contains('/') || (text.bytes().all(of_address) && text.contains(['.', ':'])) {
        return Err(ClientError::WildcardAddress(text.into()));
    }
    Ok(ClientMatch::Wildcard(pattern))
}

/// Reads `address/prefix` or `address/netmask`; host bits may be set and are cleared.
fn network(text: &str) -> Result<IpNet, ClientError> {
    let not_a_network = || ClientError::Network(text.into());
    let (address, mask) = text.split_once('/').ok_or_else(not_a_network)?;
    let address: IpAddr = address.parse().map_err(|_| not_a_network())?;
    let network = match (address, mask.parse::<u8>(), mask.parse::<IpAddr>()) {
        (_, Ok(prefix), _) => IpNet::new(address, prefix).map_err(|_| not_a_network())?,
        (IpAddr::V4(_), _, Ok(mask @ IpAddr::V4(_))) => {
            IpNet::with_netmask(address, mask).map_err(|_| ClientError::Netmask(text.into()))?
        }
        _ => return Err(not_a_network()),
    };
    Ok(canonical(network.trunc()))
}

/// A network of IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2) as the IPv4 network it is.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |v6: Ipv6Net| {
        let prefix = v6.prefix_len().checked_sub(96)?;
        Ipv4Net::new(v6.addr().to_ipv4_mapped()?, prefix).ok()
    };
    match network {
        IpNet::V6(v6) => mapped(v6).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

impl fmt::Display for ClientMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(name) => f.write_str(name),
            Self::Network(network) => network.fmt(f),
            Self::Wildcard(pattern) => pattern.fmt(f),
            Self::Netgroup(group) => write!(f, "@{group}"),
            Self::Anyone => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_client_is_known() {
        for (text, shown, rank) in [
            ("10.1.2.3", "10.1.2.3", 0),
            ("::ffff:10.1.2.3", "10.1.2.3", 0),
            ("2001:db8::1", "2001:db8::1", 0),
            ("[2001:db8::1]", "2001:db8::1", 0),
            ("host-1.example.org", "host-1.example.org", 0),
            ("10.0.0.0/8", "10.0.0.0/8", 1),
            ("10.1.2.3/8", "10.0.0.0/8", 1),
            ("10.0.0.0/255.0.0.0", "10.0.0.0/8", 1),
            ("10.0.0.0/255.255.252.0", "10.0.0.0/22", 1),
            ("2001:db8::/32", "2001:db8::/32", 1),
            ("[2001:db8::]/32", "2001:db8::/32", 1),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", 1),
            ("*.example.org", "*.example.org", 2),
            ("host[0-9]", "host[0-9]", 2),
            ("[abc]host", "[abc]host", 2),
            ("@trusted", "@trusted", 3),
            ("*", "*", 4),
        ] {
            let client: ClientMatch = text.parse().unwrap();
            assert_eq!((client.to_string().as_str(), client.rank()), (shown, rank), "{text}");
            assert_eq!(client.to_string().parse(), Ok(client), "{text}");
        }
    }

    #[test]
    fn what_names_no_client_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", "the client is missing"),
            ("@", "`@` needs the name of a netgroup after it"),
            (
                "gss/krb5",
                "`gss/krb5`: Kerberos is not supported yet, so no client could be let in by it",
            ),
            ("10.0.0.256", "`10.0.0.256` is not an IP address"),
            ("2001:db8", "`2001:db8` is not an IP address"),
            (
                "10.0.0.*",
                "`10.0.0.*`: wildcards match names, not addresses; write a network, such as 10.0.0.0/8",
            ),
            ("host[0-9", "`host[0-9`: the [ of the wildcard has no ]"),
            (
                "10.0.0.0/33",
                "`10.0.0.0/33` is not a network; write address/prefix, such as 10.0.0.0/8 or 2001:db8::/32",
            ),
            (
                "2001:db8::/255.0.0.0",
                "`2001:db8::/255.0.0.0` is not a network; write address/prefix, such as 10.0.0.0/8 or 2001:db8::/32",
            ),
            (
                "10.0.0.0/255.0.255.0",
                "`10.0.0.0/255.0.255.0`: the ones of a netmask must all come first, as in 255.255.255.0",
            ),
            ("a b", "`a b` is not the name of a host"),
        ] {
            assert_eq!(text.parse::<ClientMatch>().unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn everyone_has_three_names() {
        for (text, expected) in [
            ("*", true),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("10.0.0.0/8", false),
            ("*.org", false),
        ] {
            assert_eq!(text.parse::<ClientMatch>().unwrap().is_everyone(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = text.parse::<ClientMatch>();
        }
    }
}
