//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::server::{Ganesha, Server, Standfast};

/// Measures NFS servers in turn, over the same directory and with the same load.
///
/// Needs root: each server runs in network, mount and PID namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "nfs")]
pub struct Options {
    /// A short run: one round, for a first look. The numbers mean little.
    #[arg(long)]
    pub quick: bool,
    /// Only rows whose label has one of these in it, such as `read-4k` or `c1/d16`.
    #[arg(long, value_delimiter = ',', value_name = "PART,…")]
    pub rows: Vec<String>,
    /// Only these servers, each compared with the first.
    #[arg(long, value_delimiter = ',', value_enum, default_values = ["standfast", "ganesha"])]
    pub servers: Vec<ServerName>,
    /// How often each row is measured; an odd number has a plain median [default: 3, quick: 1].
    #[arg(long)]
    rounds: Option<usize>,
    /// Longest time of one measurement, in seconds [default: 2, quick: 0.4].
    #[arg(long)]
    seconds: Option<f64>,
    /// Print everything that was measured, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the labels of the rows and stop.
    #[arg(long)]
    pub list: bool,
    /// Where to make the directory that is served [default: the directory for temporary files].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The servers that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServerName {
    /// Standfast.
    Standfast,
    /// NFS-Ganesha.
    Ganesha,
}

impl ServerName {
    /// How to start it.
    #[must_use]
    pub fn server(self) -> Box<dyn Server> {
        match self {
            Self::Standfast => Box::new(Standfast),
            Self::Ganesha => Box::new(Ganesha),
        }
    }
}

impl Options {
    /// How often each row is measured.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    /// Longest time of one measurement.
    #[must_use]
    pub fn time(&self) -> Duration {
        let seconds = self.seconds.unwrap_or(if self.quick { 0.4 } else { 2.0 });
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(2))
    }

    /// Length of the file that is read.
    #[must_use]
    pub fn data_length(&self) -> u64 {
        if self.quick { 256 << 20 } else { 1 << 30 }
    }

    /// Where to make the directory that is served.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(env::temp_dir)
    }
}
