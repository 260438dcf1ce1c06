//! rpcbind: any arguments of any procedure are answered, and the table stays within its limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use standfast_rpc::auth::Credential;
use standfast_rpc::rpcbind::{Registration, Rpcbind};
use standfast_rpc::server::Activity;
use standfast_rpc::{Call, Peer, Program, Reply, Transport};

/// Longer than any answer: half a thousand registrations with three texts each.
const REPLY_LIMIT: usize = 1 << 20;

/// The data is a sequence of calls, each four bytes (version, procedure, address family and
/// transport, length of the arguments in words) and its arguments.
pub(crate) fn check(data: &[u8]) {
    let program = Rpcbind::new(vec![Registration {
        program: 100_003,
        version: 3,
        transport: Transport::Tcp,
        address: (Ipv4Addr::UNSPECIFIED, 2049).into(),
    }]);
    let mut rest = data;
    while let Some(([version, procedure, peer, words], after)) = rest.split_first_chunk() {
        let (arguments, next) = after.split_at(after.len().min(usize::from(*words) * 4));
        rest = next;
        answer(&program, (*version, *procedure), peer_of(*peer), arguments);
    }
}

fn answer(program: &Arc<Rpcbind>, (version, procedure): (u8, u8), peer: Peer, arguments: &[u8]) {
    let versions = program.versions();
    let call = Call {
        xid: 1,
        version: versions.start() + u32::from(version) % 3,
        procedure: procedure.into(),
        credential: Credential::None,
        arguments: Bytes::copy_from_slice(arguments),
        peer,
        activity: Arc::new(Activity::new(peer)),
        keeping: None,
    };
    let answer = pin!(Arc::clone(program).call(call)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(reply) = answer else { unreachable!("rpcbind never waits") };
    if let Reply::Success(results) = reply {
        assert!(results.into_record(1).len() <= REPLY_LIMIT);
    }
}

/// A service of this machine.
fn peer_of(kind: u8) -> Peer {
    let local = if kind & 1 == 0 {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        IpAddr::V6(Ipv6Addr::LOCALHOST)
    };
    Peer {
        address: SocketAddr::new(local, 1023),
        local: SocketAddr::new(local, 111),
        transport: if kind & 2 == 0 { Transport::Tcp } else { Transport::Udp },
    }
}
