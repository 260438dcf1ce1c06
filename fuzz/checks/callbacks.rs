//! Callbacks: what a client answers, to the messages and to the machine that sends them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use standfast_nfs::v4::callbacks::{
    Answer, Callback, Machine, Order, Over, Route, SessionRoute, Settings,
};
use standfast_nfs::v4::protocol::{CallbackResults, CallbackSecurity, StateId};
use standfast_nfs::v4::state::Connection;
use standfast_rpc::xdr::from_bytes;

use crate::wire::each_same_again;

/// Calls that one input may be the answer to.
const CALLS: usize = 40;

/// Takes the answer of a client, and gives it to every call of a session: whatever it says, there
/// is an end to the calls.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    each_same_again!(&message; CallbackResults);
    let results = from_bytes::<CallbackResults>(&message).map(Answer::Results);
    let answer = results.unwrap_or(Answer::Garbled);
    let mut now = Instant::now();
    let mut machine = Machine::new(Settings { queue: 8, patience: Duration::from_secs(90) });
    let route = SessionRoute {
        id: [0; 16],
        minor: 1,
        program: 1,
        security: CallbackSecurity::None,
        slots: 2,
        connections: vec![Connection(1)],
    };
    machine.route(1, Some(Route::Sessions(vec![route])), now);
    let delegation = StateId { seqid: 1, other: [1; 12] };
    machine.send(1, Callback::Recall { delegation, file: Bytes::from_static(b"file").into() }, now);
    for _ in 0..CALLS {
        for order in machine.take_orders() {
            let Order::Call { id, over, compound, .. } = order else { continue };
            assert_eq!(over, Over::Connection(Connection(1)));
            let answer = if compound.is_some() { answer.clone() } else { Answer::Null };
            machine.answered(id, answer, now);
        }
        assert!(machine.load().1 <= 2);
        now += Duration::from_secs(10);
        machine.tick(now);
    }
}
