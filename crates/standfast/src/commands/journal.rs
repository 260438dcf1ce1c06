//! `standfast journal`: looking at what clients were promised.

use std::process::ExitCode;

use miette::{IntoDiagnostic, WrapErr};
use serde::Serialize;
use standfast_journal::{DirectoryStorage, Shown, inspect, verify};
use standfast_serving::{describe, find_journal};

use super::{default_state_dir, print, print_json};
use crate::cli::{JournalCommand, JournalPlace};

pub(super) fn run(command: &JournalCommand) -> miette::Result<ExitCode> {
    match command {
        JournalCommand::Show { place, json } => {
            let (_, storage) = open(place)?;
            show(&storage, *json)
        }
        JournalCommand::Verify { place } => check(place),
    }
}

fn open(place: &JournalPlace) -> miette::Result<(std::path::PathBuf, DirectoryStorage)> {
    let state_dir = place.state_dir.clone().unwrap_or_else(default_state_dir);
    find_journal(place.directory.as_deref(), &state_dir).into_diagnostic()
}

/// A thing in the journal's directory, as JSON.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
enum Line {
    File {
        name: String,
        kind: String,
        bytes: usize,
    },
    Record {
        offset: usize,
        epoch: u64,
        sequence: u64,
        kind: Option<u16>,
        text: String,
        replayed: bool,
    },
    Torn {
        offset: usize,
    },
    Damaged {
        offset: usize,
        found: String,
    },
    Unreadable {
        cause: String,
    },
}

impl From<Shown> for Line {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::File { name, kind, bytes } => Self::File { name, kind: kind.to_string(), bytes },
            Shown::Record { offset, epoch, sequence, tag, payload, is_replayed } => Self::Record {
                offset,
                epoch,
                sequence,
                kind: tag,
                text: tag.and_then(|tag| describe(tag, &payload)).unwrap_or_default(),
                replayed: is_replayed,
            },
            Shown::Torn { offset } => Self::Torn { offset },
            Shown::Damaged { offset, found } => Self::Damaged { offset, found: found.to_string() },
            Shown::Unreadable { cause } => Self::Unreadable { cause: cause.to_string() },
        }
    }
}

fn show(storage: &DirectoryStorage, json: bool) -> miette::Result<ExitCode> {
    for shown in inspect(storage).into_diagnostic()? {
        let shown = shown.into_diagnostic()?;
        if json {
            let line = serde_json::to_string(&Line::from(shown)).into_diagnostic()?;
            print(&(line + "\n"))?;
        } else {
            print(&(shown.line(&describe) + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `verify` found.
#[derive(Serialize)]
struct Verified {
    directory: String,
    epoch: Option<u64>,
    last_sequence: u64,
    snapshot_up_to: u64,
    log_bytes: u64,
    snapshot_bytes: u64,
    unfinished_write: bool,
}

fn check(place: &JournalPlace) -> miette::Result<ExitCode> {
    let (path, storage) = open(place)?;
    let summary = verify(&storage)
        .into_diagnostic()
        .wrap_err_with(|| format!("the journal in {} is not whole", path.display()))?;
    print_json(&Verified {
        directory: path.display().to_string(),
        epoch: summary.epoch,
        last_sequence: summary.last_sequence,
        snapshot_up_to: summary.covered_sequence,
        log_bytes: summary.log_bytes,
        snapshot_bytes: summary.snapshot_bytes,
        unfinished_write: summary.has_torn_tail,
    })?;
    Ok(ExitCode::SUCCESS)
}
