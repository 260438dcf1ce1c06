//! Ten thousand connections. The clients are a process of their own, so that neither side needs
//! more open files than systems allow by default.

use std::env::{self, VarError};
use std::io::Read;
use std::process::Stdio;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use standfast_rpc::server::ServerLimits;
use tokio::process::Command;

use crate::program::{Data, ECHO, Fixture, PATIENCE, small_limits, until};
use crate::wire::{Client, results};

const CONNECTIONS: usize = 10_000;

/// Tells the clients' process where the server is.
const SERVER: &str = "STANDFAST_TEST_SERVER";

/// Allows this process as many open files as the system does; says whether they are enough.
fn may_open_enough() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let enough = limit.maximum.is_none_or(|maximum| maximum > CONNECTIONS as u64 + 500);
    enough && setrlimit(Resource::Nofile, raised).is_ok()
}

#[tokio::test]
async fn ten_thousand_connections() {
    if !may_open_enough() {
        return println!("skipped: the limit of open files is too low");
    }
    let fixture = Fixture::start(ServerLimits { connections: CONNECTIONS, ..small_limits() });
    let mut clients = Command::new(env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "many::clients_of_ten_thousand_connections"])
        .env(SERVER, fixture.tcp.to_string())
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the clients");
    until(|| {
        fixture.server.counters().calls.load(std::sync::atomic::Ordering::Relaxed)
            == CONNECTIONS as u64
    })
    .await;
    assert_eq!(fixture.server.registry().len(), CONNECTIONS);
    Client::connect(&fixture).await.until_closed().await;
    // The end of its input is the end of the clients.
    drop(clients.stdin.take());
    let ended = tokio::time::timeout(PATIENCE, clients.wait()).await.expect("an end in time");
    assert!(ended.expect("a status").success());
    until(|| fixture.server.registry().is_empty()).await;
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
#[ignore = "half of ten_thousand_connections, which starts it"]
async fn clients_of_ten_thousand_connections() {
    let server = match env::var(SERVER) {
        Err(VarError::NotPresent) => return println!("skipped: no server is told of"),
        server => server.expect("text").parse().expect("an address"),
    };
    assert!(may_open_enough());
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect_to(server).await);
    }
    let data = Data::from(vec![1; 1000]);
    for client in &mut clients {
        client.send_call(1, ECHO, &data).await;
    }
    for client in &mut clients {
        assert_eq!(results(&client.reply().await), (1, Ok(data.clone())));
    }
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("the end of the input");
}
