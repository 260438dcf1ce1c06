use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::heartbeat::{ClusterId, Notice, Support, Timing};
use crate::lease::{Change, Epoch, Holder, Incarnation, Lease};
use crate::placement::{NodeView, ServiceView};

/// How long anything may take at most; a slow machine is no failure.
const LIMIT: Duration = Duration::from_secs(120);
const X: ServiceId = ServiceId(1);

/// Addresses of loopback that no other process of these tests uses, and no other test of this one.
fn free_addresses(count: u64) -> BTreeMap<NodeId, SocketAddr> {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 1 + a % 250, b, c);
    let address = |_| SocketAddr::from((ip, NEXT_PORT.fetch_add(1, Ordering::Relaxed)));
    (1..).map(NodeId).zip((0..count).map(address)).collect()
}

fn table() -> LeaseTable {
    let mut table = LeaseTable::default();
    table.leases.insert(X, Lease::default());
    table
}

fn start(
    node: u64,
    addresses: &BTreeMap<NodeId, SocketAddr>,
    incarnation: u64,
) -> (Driver, Gates, UnboundedReceiver<Output>) {
    let me = Holder { node: NodeId(node), incarnation: Incarnation(incarnation) };
    let placement = Placement {
        nodes: addresses.keys().map(|node| (*node, NodeView::default())).collect(),
        services: [(X, ServiceView::default())].into(),
        ..Placement::default()
    };
    // Slow enough for any machine that is busy.
    let timing = Timing {
        suspect: Duration::from_secs(2),
        lease: Duration::from_secs(2),
        ..Timing::default()
    };
    let node_start = NodeStart {
        me,
        timing: timing.into(),
        links: vec![LinkId(0)],
        placement,
        voters: Voters::new([NodeId(1)]),
        table: table(),
        support: Arc::new(Mutex::new(Support::new(Term(1), Moment::now()))),
    };
    let mut peers = addresses.clone();
    let local = peers.remove(&me.node).unwrap();
    let seal = Seal::new(ClusterId([1; 16]), &[2; 32], None);
    let gates = Gates::default();
    let (outputs, results) = unbounded_channel();
    let links = [Link { local, peers }];
    let driver = Driver::start(node_start, &links, seal, gates.clone(), None, outputs).unwrap();
    (driver, gates, results)
}

async fn wait_for(results: &mut UnboundedReceiver<Output>, wanted: impl Fn(&Output) -> bool) {
    let search = async {
        while let Some(output) = results.recv().await {
            if wanted(&output) {
                return;
            }
        }
        panic!("the thread has ended");
    };
    tokio::time::timeout(LIMIT, search).await.unwrap();
}

#[tokio::test]
async fn nodes_hear_each_other_and_miss_who_is_gone() {
    let addresses = free_addresses(2);
    let (first, _, mut heard) = start(1, &addresses, 1);
    let (second, _, _results) = start(2, &addresses, 1);
    let alive = |output: &Output| *output == Output::Notice(Notice::Alive(NodeId(2)));
    wait_for(&mut heard, alive).await;
    drop(second);
    let gone = |output: &Output| matches!(output, Output::Notice(Notice::Suspected(NodeId(2), _)));
    wait_for(&mut heard, gone).await;
    let (_again, _, _results) = start(2, &addresses, 2);
    let restarted = Output::Notice(Notice::Restarted(NodeId(2), Incarnation(2)));
    wait_for(&mut heard, |output| *output == restarted).await;
    drop(first);
}

#[tokio::test]
async fn a_leader_alone_serves_once_it_is_committed() {
    let addresses = free_addresses(1);
    let (driver, gates, mut results) = start(1, &addresses, 1);
    let inputs = driver.inputs();
    inputs.send(Input::Led { term: Term(1), leader: Some(NodeId(1)), ready: true });
    let granted = Change::Grant {
        service: X,
        from: Epoch(0),
        holder: Holder { node: NodeId(1), incarnation: Incarnation(1) },
    };
    let mut steps = Vec::new();
    while steps.last() != Some(&Step::Tickle) {
        match tokio::time::timeout(LIMIT, results.recv()).await.unwrap().unwrap() {
            Output::Propose(change, _) if change == granted => {
                let mut table = table();
                table.apply(&granted);
                inputs.send(Input::Committed(table));
            }
            Output::Run(command) => {
                steps.push(command.step);
                assert!(steps.len() < 20, "{steps:?}");
                let (service, step) = (command.service, command.step);
                inputs.send(Input::Done { service, step, result: Ok(()) });
            }
            _ => {}
        }
    }
    assert!(gates.get(X, Epoch(2)).is_none());
    let gate = gates.get(X, Epoch(1)).unwrap();
    tokio::time::timeout(LIMIT, gate.opened()).await.unwrap();
    drop(driver);
    assert!(!gate.may_send(), "no thinking, no reply");
}
