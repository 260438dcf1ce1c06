//! A node of a cluster that fails, in every way that there is: its clients see a pause and nothing
//! else. How long it is, is measured elsewhere; here it is checked that nothing is lost, nothing
//! happens twice, and no client sees an error.

use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use standfast_drill::cluster::Cluster;
use standfast_drill::fault::Fault;
use standfast_drill::round::{Clients, Drill, Subject};
use standfast_lab::trial::trial;
use standfast_lab::{Guest, Lab, MIB, Requirement};
use standfast_tests::Result;
use standfast_tests::guests::MOUNT;
use standfast_tests::program::standfast;
use standfast_tests::work::{Work, finish, prepare};

const GUESTS: &[Requirement] =
    &[Requirement::Guests, Requirement::Program("mount.nfs"), Requirement::Program("python3")];

/// Times for a machine that does many other things: nobody is taken for dead who is merely late.
const TIMES: &str = "[timing]\nheartbeat_interval = \"100ms\"\nfailure_timeout = \"1s\"\n\
    lease_time = \"1500ms\"\nconsensus_heartbeat = \"100ms\"\nelection_timeout = \"1s\"\n";

/// Nodes of the cluster.
const NODES: usize = 3;

/// For how long the clients work between two faults.
const BETWEEN: Duration = Duration::from_millis(2500);

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("clients_see_a_pause_and_nothing_else", &[], every_fault),
        trial("real_clients_go_on_whatever_becomes_of_the_nodes", GUESTS, real_clients),
    ]
}

fn cluster(lab: &Lab) -> Result<Cluster> {
    Ok(Cluster::start(lab, &standfast()?, NODES, TIMES, |_| {})?)
}

/// Clients of versions 3 and 4.1 in user space, whose histories a checker reads.
fn every_fault(lab: &Lab) -> Result {
    let mut cluster = cluster(lab)?;
    let clients = Clients { nfs3: 1, nfs41: 2, pace: Duration::from_millis(10) };
    let mut drill = Drill::new(cluster.client().clone(), clients, 7)?;
    for fault in Fault::ALL {
        let round = drill.round(&mut cluster, fault, &mut ())?;
        assert_eq!(round.violations, [], "{fault}");
        assert!(round.is_clean(), "{fault}: {:?}", round.findings);
    }
    Ok(())
}

/// The kernel's client, over 4.2 and 4.1, with work that may be done exactly once.
fn real_clients(lab: &Lab) -> Result {
    let mut cluster = cluster(lab)?;
    let (address, export) = cluster.service();
    let data = data(lab);
    prepare(&data)?;
    let mount = |name: &str, version: &str| -> Result<Guest> {
        mounted(lab, name, address.ip(), &export, &format!("vers={version},proto=tcp,hard"))
    };
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| mount("first", "4.2").map_err(|error| error.to_string()));
        let second = mount("second", "4.1");
        (first.join(), second)
    });
    let first = first.map_err(|_| "a guest's thread panicked")??;
    let second = second?;
    let works = [Work::start(&first, "first")?, Work::start(&second, "second")?];
    for fault in [Fault::PowerOff, Fault::Kill, Fault::Freeze, Fault::CutLink, Fault::Move] {
        thread::sleep(BETWEEN);
        cluster.inject(fault)?;
        thread::sleep(BETWEEN);
        cluster.end(fault)?;
        cluster.wait_healthy()?;
    }
    finish(&works, &data)
}

/// The exported directory, as this machine sees it.
fn data(lab: &Lab) -> PathBuf {
    lab.dir().join("storage").join("data")
}

fn mounted(lab: &Lab, name: &str, server: IpAddr, export: &str, options: &str) -> Result<Guest> {
    let guest = lab.guest(name).memory(512 * MIB).boot()?;
    guest.mount_nfs(server, export, options, MOUNT)?;
    Ok(guest)
}
