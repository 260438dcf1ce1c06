//! From the death of the master to the first answer of the backup: our VRRP beside keepalived, with
//! equal settings, in turn, in one run.

mod client;
mod node;
mod report;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use standfast_lab::{Host, Lab};

use client::Client;
use node::{Implementation, Node};
use report::Series;

pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Priorities of the master and the backup.
const PRIORITIES: (u8, u8) = (200, 100);

/// Measures from kill -9 of the master to the first answer of the backup.
#[derive(Parser)]
struct Options {
    /// Advertisement intervals in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "1000,100,10")]
    intervals: Vec<u64>,
    /// Measurements of each side per interval; more for shorter ones if it is left out.
    #[arg(long)]
    runs: Option<usize>,
}

fn main() -> ExitCode {
    // The measurement starts this very program as the router.
    let done = match std::env::var_os(node::SETTINGS) {
        Some(settings) => node::serve(settings.as_ref()),
        None => compare(&Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told that telling failed.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Fallible<()> {
    let lab = Lab::new("vrrp")?;
    let hosts = (lab.host("first")?, lab.host("second")?);
    let client = Client::new(lab.host("client")?, lab.floating_addresses()?.v4)?;
    for interval in options.intervals.iter().copied().map(Duration::from_millis) {
        let runs = options.runs.unwrap_or(match interval.as_millis() {
            0..50 => 41,
            50..500 => 21,
            _ => 7,
        });
        let mut series = [Series::default(), Series::default()];
        for _ in 0..runs {
            for (side, times) in Implementation::ALL.into_iter().zip(&mut series) {
                times.push(fail_over(&lab, &hosts, &client, side, interval)?);
            }
        }
        report::print(interval, PRIORITIES.1, &series)?;
    }
    Ok(())
}

/// One measurement.
fn fail_over(
    lab: &Lab,
    (first, second): &(Host, Host),
    client: &Client,
    side: Implementation,
    interval: Duration,
) -> Fallible<Duration> {
    let floating = client.floating();
    let start = |host, priority| Node::start(lab, host, side, priority, interval, floating);
    let backup = start(second, PRIORITIES.1)?;
    let master = start(first, PRIORITIES.0)?;
    backup.wait_for_backup()?;
    master.wait_for_master()?;
    client.wait_for_settled(first, interval)?;
    let time = client.measure(second, interval, || master.kill())?;
    master.bury()?;
    backup.stop()?;
    // The dead master's kernel still has it.
    let floating = format!("{floating}/24");
    first.run(["ip", "address", "delete", floating.as_str(), "dev", first.interface()])?.ok()?;
    Ok(time)
}
