//! `standfast try`: a cluster of three nodes on this machine, clients under load, faults, and what
//! the clients saw.

mod keep;
mod report;
mod screen;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use standfast_drill::cluster::Cluster;
use standfast_drill::fault::Fault;
use standfast_drill::round::{Clients, Drill, Round, Subject};
use standfast_drill::{Error, round};
use standfast_lab::{Lab, Requirement, missing};

use crate::cli::Try;
use screen::Screen;

/// What is done to the node that serves, in this order.
const FAULTS: [Fault; 5] =
    [Fault::PowerOff, Fault::Kill, Fault::Freeze, Fault::CutLink, Fault::Move];

/// One client speaks NFSv3, two speak NFSv4.1; each has several requests under way.
const CLIENTS: Clients = Clients { nfs3: 1, nfs41: 2, pace: Duration::from_millis(5) };

/// Nodes of the cluster.
const NODES: usize = 3;

pub(crate) fn run(args: &Try) -> miette::Result<ExitCode> {
    let lacking = missing(&[Requirement::Hosts]);
    if !lacking.is_empty() {
        return Err(miette!(
            help = "run it as root: sudo standfast try\nA user namespace is not enough: the nodes \
                    open files by their handles, which Linux grants only to who has \
                    CAP_DAC_READ_SEARCH on the machine itself.",
            "the nodes are machines made of namespaces; this needs {}",
            lacking.join(" and ")
        ));
    }
    let interrupted = watch_for_interrupt()?;
    let mut screen = Screen::new(Arc::clone(&interrupted));
    screen.introduce(NODES);
    let lab = Lab::new("try").into_diagnostic()?;
    let program = std::env::current_exe().into_diagnostic()?;
    let started = Cluster::start(&lab, &program, NODES, "", |text| screen.step(text));
    let mut cluster = started.into_diagnostic().wrap_err("the cluster does not come up")?;
    let rounds = drill(args, &mut cluster, &mut screen)?;
    if args.json {
        report::print_json(&rounds)?;
    } else {
        report::print(&rounds)?;
    }
    if args.keep && !interrupted.load(Ordering::Relaxed) {
        keep::keep(&cluster, &interrupted)?;
    }
    let all_is_well = !rounds.is_empty() && rounds.iter().all(Round::is_clean);
    Ok(if all_is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All faults, as often as is wanted; fewer if somebody interrupts.
fn drill(args: &Try, cluster: &mut Cluster, screen: &mut Screen) -> miette::Result<Vec<Round>> {
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let mut drill = Drill::new(Arc::clone(cluster.client()), CLIENTS, seed).into_diagnostic()?;
    let mut rounds = Vec::new();
    for run in 1..=args.runs {
        for fault in FAULTS {
            screen.begin(fault, run, args.runs);
            match one_round(&mut drill, cluster, fault, screen) {
                Ok(round) => {
                    screen.end(&round);
                    rounds.push(round);
                }
                Err(Error::Interrupted) => return Ok(rounds),
                Err(error) => {
                    let what = format!("the drill stops at {fault} (seed {seed})");
                    return Err(error).into_diagnostic().wrap_err(what);
                }
            }
        }
    }
    Ok(rounds)
}

fn one_round(
    drill: &mut Drill,
    cluster: &mut Cluster,
    fault: Fault,
    screen: &mut Screen,
) -> Result<Round, Error> {
    let subject: &mut dyn Subject = cluster;
    let watch: &mut dyn round::Watch = screen;
    drill.round(subject, fault, watch)
}

/// Becomes true at Ctrl-C, which ends what runs in good order; a second one ends it at once. The
/// namespaces go with this process in any case.
fn watch_for_interrupt() -> miette::Result<Arc<AtomicBool>> {
    const INTERRUPTED: i32 = 130;
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.into_diagnostic()?;
    let wait = move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if seen.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
    };
    std::thread::Builder::new().name("interrupt".into()).spawn(wait).into_diagnostic()?;
    Ok(interrupted)
}
