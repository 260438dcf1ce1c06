//! When two names mean one host.

/// Whether two names of a host mean the same one: the case does not matter, nor whether the
/// domain is given. Clients tell of their restart with and without it.
pub fn same_host(one: &[u8], other: &[u8]) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let Some((head, rest)) = long.split_at_checked(short.len()) else { return false };
    // An address has dots too, but no domain.
    let is_address = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    !short.is_empty()
        && !short.contains(&b'.')
        && !is_address(long)
        && rest.starts_with(b".")
        && head.eq_ignore_ascii_case(short)
}

#[cfg(test)]
mod tests {
    use super::same_host;

    #[test]
    fn domains_and_case_do_not_matter() {
        for (one, other) in [("a", "a"), ("Host", "hOST"), ("host", "host.example.org")] {
            assert!(same_host(one.as_bytes(), other.as_bytes()), "{one} {other}");
            assert!(same_host(other.as_bytes(), one.as_bytes()), "{other} {one}");
        }
        for (one, other) in [
            ("host", "hostess"),
            ("host", "host2.example.org"),
            ("", ".org"),
            ("10", "10.0.0.1"),
            ("a.b", "a.b.c"),
            ("a.example.org", "b.example.org"),
        ] {
            assert!(!same_host(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }
}
