//! The names of hosts, as this machine knows them.

use std::ffi::{CStr, CString};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ptr;

use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use parking_lot::Mutex;

/// The name service could not answer; it may be able to later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name service did not answer about `{about}`: {reason}")]
pub struct NameError {
    /// The host, address or netgroup.
    pub about: String,
    /// What the system says.
    pub reason: String,
}

/// What is known about names. Every method may wait for the network.
pub trait NameService: Send + Sync {
    /// The addresses of a host; none for a name that does not exist.
    ///
    /// # Errors
    /// The name service does not answer.
    fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, NameError>;

    /// The name that an address says it has. Whoever runs the reverse zone of the address says
    /// it, so it counts only if [`Self::addresses_of`] confirms it.
    ///
    /// # Errors
    /// The name service does not answer.
    fn name_of(&self, address: IpAddr) -> Result<Option<String>, NameError>;

    /// Whether a netgroup has a host of this name.
    fn in_netgroup(&self, group: &str, host: &str) -> bool;
}

/// The system's own: `nsswitch.conf(5)` says where it looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl NameService for SystemNames {
    fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, NameError> {
        let Ok(name) = CString::new(host) else { return Ok(Vec::new()) };
        answer(getaddrinfo(&name), host).map(Option::unwrap_or_default)
    }

    fn name_of(&self, address: IpAddr) -> Result<Option<String>, NameError> {
        answer(getnameinfo(address), &address.to_string())
    }

    fn in_netgroup(&self, group: &str, host: &str) -> bool {
        match (CString::new(group), CString::new(host)) {
            (Ok(group), Ok(host)) => innetgr(&group, &host),
            _ => false,
        }
    }
}

/// A name that does not exist is an answer, silence is none.
fn answer<T>(result: Result<T, libc::c_int>, about: &str) -> Result<Option<T>, NameError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(libc::EAI_NONAME | libc::EAI_NODATA) => Ok(None),
        Err(code) => Err(NameError { about: about.into(), reason: describe(code) }),
    }
}

fn describe(code: libc::c_int) -> String {
    if code == libc::EAI_SYSTEM {
        return std::io::Error::last_os_error().to_string();
    }
    // SAFETY: gai_strerror takes any number and gives a string that is never freed.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    text.to_string_lossy().into_owned()
}

fn getaddrinfo(host: &CStr) -> Result<Vec<IpAddr>, libc::c_int> {
    // SAFETY: all zeros are a valid addrinfo: no flags, any family, no pointers.
    let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
    // One answer for each address instead of one for each kind of socket.
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: `host` ends with a zero byte, `hints` and `list` live through the call.
    let code = unsafe { libc::getaddrinfo(host.as_ptr(), ptr::null(), &hints, &mut list) };
    if code != 0 {
        return Err(code);
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: getaddrinfo succeeded, so the list is valid up to its null and each `ai_addr` is
    // null or points to `ai_addrlen` bytes.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: as above.
        let storage = unsafe { SockaddrStorage::from_raw(entry.ai_addr, Some(entry.ai_addrlen)) };
        addresses.extend(storage.as_ref().and_then(ip_of));
        next = entry.ai_next;
    }
    // SAFETY: the list comes from getaddrinfo and nothing points into it any more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses)
}

fn ip_of(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| address.ip().into());
    let v6 = || storage.as_sockaddr_in6().map(|address| address.ip().into());
    v4.or_else(v6)
}

fn getnameinfo(address: IpAddr) -> Result<String, libc::c_int> {
    let storage = SockaddrStorage::from(SocketAddr::new(address, 0));
    let mut name = [0u8; libc::NI_MAXHOST as usize];
    // SAFETY: the address is `len` bytes that live through the call, and getnameinfo writes at
    // most the given length into `name`; no service name is asked for.
    let code = unsafe {
        libc::getnameinfo(
            storage.as_ptr(),
            storage.len(),
            name.as_mut_ptr().cast(),
            libc::NI_MAXHOST,
            ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    match (code, CStr::from_bytes_until_nul(&name)) {
        (0, Ok(name)) => Ok(name.to_string_lossy().into_owned()),
        (0, Err(_)) => Err(libc::EAI_OVERFLOW),
        (code, _) => Err(code),
    }
}

/// innetgr(3) may be called by one thread at a time only.
static NETGROUPS: Mutex<()> = Mutex::new(());

fn innetgr(group: &CStr, host: &CStr) -> bool {
    unsafe extern "C" {
        fn innetgr(
            group: *const libc::c_char,
            host: *const libc::c_char,
            user: *const libc::c_char,
            domain: *const libc::c_char,
        ) -> libc::c_int;
    }
    let _alone = NETGROUPS.lock();
    // SAFETY: both strings end with a zero byte and live through the call; null stands for any
    // user and any domain; the lock keeps other threads out.
    unsafe { innetgr(group.as_ptr(), host.as_ptr(), ptr::null(), ptr::null()) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_system_knows_this_machine() {
        let loopback: IpAddr = Ipv4Addr::LOCALHOST.into();
        assert_eq!(SystemNames.addresses_of("127.0.0.1"), Ok(vec![loopback]));
        assert!(SystemNames.addresses_of("localhost").unwrap().iter().all(IpAddr::is_loopback));
        assert!(SystemNames.name_of(loopback).unwrap().is_some());
        assert!(!SystemNames.in_netgroup("no-such-netgroup", "localhost"));
    }

    #[test]
    fn a_name_that_cannot_be_is_no_host() {
        assert_eq!(SystemNames.addresses_of("a\0b"), Ok(vec![]));
        assert!(!SystemNames.in_netgroup("a\0b", "h"));
    }
}
