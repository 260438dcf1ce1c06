//! The pause that clients see when the node that serves fails: a cluster of ours beside what people
//! build of keepalived and NFS-Ganesha, with the same faults, in the same lab, in the same run.

mod peer;
mod report;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use standfast_drill::cluster::Cluster;
use standfast_drill::fault::Fault;
use standfast_drill::round::{Clients, Drill, Round, Subject, Watch};
use standfast_lab::Lab;

use peer::Pair;
use report::Report;

type Error = Box<dyn std::error::Error>;

/// Measures failovers as clients see them.
///
/// Needs root: nodes and clients are machines made of namespaces.
#[derive(Debug, Parser)]
#[command(name = "failover")]
struct Options {
    /// How often each fault is measured.
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// How often with the peer, which takes long.
    #[arg(long, default_value_t = 5)]
    peer_runs: usize,
    /// Only these faults: kill, power-off, freeze, cut-link, cut-sending, cut-hearing, move.
    #[arg(long, value_delimiter = ',', value_parser = fault,
        default_value = "kill,power-off,freeze,cut-link,move")]
    faults: Vec<Fault>,
    /// Without the peer.
    #[arg(long)]
    alone: bool,
    /// Without ours.
    #[arg(long, conflicts_with = "alone")]
    peer_only: bool,
    /// Decides what the clients do in which order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program to measure [default: `standfast` in this program's directory].
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print every round as JSON.
    #[arg(long)]
    json: bool,
}

fn fault(text: &str) -> Result<Fault, String> {
    let found = Fault::ALL.into_iter().find(|fault| fault.name() == text);
    found.ok_or_else(|| format!("there is no fault `{text}`"))
}

/// Both have the same load: NFSv4.1, which is what the peer's state survives best with.
const CLIENTS: Clients = Clients { nfs3: 0, nfs41: 2, pace: Duration::from_millis(5) };

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no client of ours saw anything but a pause.
fn run(options: &Options) -> Result<bool, Error> {
    let mut report = Report::default();
    if !options.peer_only {
        let lab = Lab::new("standfast")?;
        let program = match &options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("standfast"),
        };
        let mut cluster = Cluster::start(&lab, &program, 3, "", say)?;
        let mut drill = Drill::new(cluster.client().clone(), CLIENTS, options.seed)?;
        measure(&mut drill, &mut cluster, options.runs, options, &mut report)?;
    }
    if !options.alone {
        let lab = Lab::new("peer")?;
        let mut pair = Pair::start(&lab)?;
        let mut drill = Drill::new(pair.client().clone(), CLIENTS, options.seed)?;
        measure(&mut drill, &mut pair, options.peer_runs, options, &mut report)?;
    }
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(report.is_clean("standfast"))
}

fn measure(
    drill: &mut Drill,
    subject: &mut dyn Subject,
    runs: usize,
    options: &Options,
    report: &mut Report,
) -> Result<(), Error> {
    for fault in &options.faults {
        for run in 1..=runs {
            match drill.round(subject, *fault, &mut Quiet) {
                Ok(round) => {
                    say(&line(subject.name(), run, &round));
                    report.add(subject.name(), round);
                }
                Err(error) => {
                    say(&format!("{} {fault} {run}: {error}", subject.name()));
                    report.fail(subject.name(), *fault, error.to_string());
                    if subject.wait_healthy().is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

struct Quiet;

impl Watch for Quiet {}

fn line(name: &str, run: usize, round: &Round) -> String {
    let verdict = if round.is_clean() { "" } else { ", NOT CLEAN" };
    let mut line = format!(
        "{name} {} {run}: {:.0} ms of {}{verdict}",
        round.fault, round.pause_ms, round.node
    );
    for violation in round.violations.iter().take(3) {
        line += &format!("; {violation}");
    }
    for finding in round.findings.iter().take(3) {
        line += &format!("; {}: {}", finding.client, finding.what);
    }
    line
}

/// Progress goes to standard error.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
