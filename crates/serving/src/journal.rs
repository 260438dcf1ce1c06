//! Opening the journal of a service with a new epoch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use standfast_journal::{Journal, latest_epoch};
use standfast_settings::Settings;

use crate::StartError;
use crate::limits::journal_options;
use crate::place::{self, Chosen, Note, Place, PlaceError};
use crate::replay::Restored;
use crate::storage::Storages;

/// Which epoch a start has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// The one after the last that the journal or this node knows of: for a node by itself. Other
    /// processes of this machine are kept off the journal.
    Next,
    /// That of the lease.
    Lease(u64),
}

/// A journal that is open, and where.
pub(crate) struct OpenJournal {
    pub(crate) place: Place,
    pub(crate) opened: standfast_journal::Opened,
    /// There was one that is gone or damaged, and the grace period is not known to be over.
    pub(crate) is_lost: bool,
    pub(crate) note: KeptNote,
}

/// The note of a service, and the directory that it is kept in.
pub(crate) struct KeptNote {
    pub(crate) note: Note,
    directory: PathBuf,
}

impl KeptNote {
    /// The grace period that followed a loss is over.
    pub(crate) fn recovered(&mut self) {
        self.note.recovering = false;
        if let Err(error) = self.note.write(&self.directory) {
            tracing::warn!(%error, "the next start will have a grace period for nothing");
        }
    }
}

/// Where the journal is, whether it is lost, and what is known of it.
fn place_of_journal(
    settings: &Settings,
    storages: &Storages,
    (state_dir, expects_journal): (&Path, bool),
    epoch: Epoch,
) -> Result<(Chosen, Option<Note>, PathBuf), PlaceError> {
    let (set, exports) = (settings.journal.directory.as_deref(), storages.candidates());
    if epoch == Epoch::Next {
        let note = Note::read(state_dir)?;
        let chosen = place::choose(set, note.as_ref(), &exports, state_dir)?;
        return Ok((chosen, note, state_dir.to_owned()));
    }
    // What one node noted may be long out of date: a note lies beside the journal, and only once
    // one was lost.
    let Chosen { place, .. } = place::choose(set, None, &exports, state_dir)?;
    let directory = place.path();
    let note = Note::read(&directory)?;
    let is_lost = !place.has_journal() && (expects_journal || note.is_some());
    Ok((Chosen { place, is_lost }, note, directory))
}

/// Opens the journal, or a new one in place of what is lost.
pub(crate) fn open_journal(
    settings: &Settings,
    storages: &Storages,
    known: (&Path, bool),
    epoch: Epoch,
) -> Result<OpenJournal, StartError> {
    let (Chosen { place, mut is_lost }, note, directory) =
        place_of_journal(settings, storages, known, epoch)?;
    // Of another machine, a lock tells nothing.
    let is_sole = epoch == Epoch::Next && place.lock()?;
    let shown = place.shown.display().to_string();
    let fail = |error| StartError::Journal { place: shown.clone(), error };
    let had = note.as_ref().map_or(0, |note| note.epoch);
    is_lost |= note.is_some_and(|note| note.recovering);
    let open = |recovering: bool| {
        let storage = Arc::new(place.storage()?);
        let latest = latest_epoch(storage.as_ref()).map_err(|error| fail(error.into()))?;
        let number = match epoch {
            Epoch::Lease(number) => number,
            Epoch::Next => latest.unwrap_or(0).max(had) + 1,
        };
        let note = Note { directory: place.shown.clone(), epoch: number, recovering };
        // A lease is not given twice. An epoch of our own is noted first: should this start fail,
        // it is not used again. A loss is noted first: this start may be cut short.
        let is_over = latest.is_some_and(|latest| latest >= number);
        if epoch == Epoch::Next || (recovering && !is_over) {
            match note.write(&directory) {
                // The journal itself says enough.
                Err(error) if error.is_no_space() && !recovering && latest >= Some(had.max(1)) => {
                    tracing::error!(%error, "the start goes on without it");
                }
                written => written?,
            }
        }
        let opened = Journal::open(storage, number, journal_options(settings, is_sole));
        Ok::<_, StartError>((opened, note))
    };
    let (opened, note) = match open(is_lost)? {
        (Err(error), _) if error.is_loss() => {
            let aside = place.put_aside()?;
            tracing::error!(journal = %shown, kept = %aside.display(), %error,
                "THE JOURNAL IS DAMAGED: what clients were promised is not known any more. It is \
                 kept aside, and this start is one with a grace period, in which clients reclaim");
            is_lost = true;
            open(true)?
        }
        opened => opened,
    };
    let note = KeptNote { note, directory };
    Ok(OpenJournal { opened: opened.map_err(fail)?, place, is_lost, note })
}

/// Tells people what was found.
pub(crate) fn tell_of_start(
    place: &Place,
    epoch: u64,
    report: &standfast_journal::Report,
    restored: &Restored,
    is_lost: bool,
) {
    let journal = place.shown.display();
    if is_lost {
        tracing::error!(%journal, epoch,
            "THE JOURNAL IS LOST: there was one that is not there any more. Clients have a grace \
             period to reclaim what they had");
        return;
    }
    if let Some(torn) = &report.torn_tail {
        tracing::info!(file = %torn.file, offset = torn.offset,
            "a write that was under way at the end was cut off");
    }
    tracing::info!(%journal, epoch, records = restored.records, bytes = report.log_bytes,
        snapshot_bytes = report.snapshot_bytes, "the journal is open");
}

#[cfg(test)]
mod tests {
    use standfast_nfs::pool::Pool;

    use super::*;

    /// A node's view: its own state directory, and the journal's directory of the pool.
    struct World {
        directory: tempfile::TempDir,
        settings: Settings,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut settings = Settings::default();
            settings.journal.directory = Some(directory.path().join("pool/service"));
            Self { directory, settings }
        }

        fn state(&self, node: &str) -> PathBuf {
            let path = self.directory.path().join(node);
            std::fs::create_dir_all(&path).unwrap();
            path
        }

        fn open(&self, node: &str, epoch: u64, expects: bool) -> Result<OpenJournal, StartError> {
            let storages = Storages::new(&self.settings.limits, Pool::new(1));
            let state = self.state(node);
            open_journal(&self.settings, &storages, (&state, expects), Epoch::Lease(epoch))
        }

        fn lose(&self) {
            let place = self.settings.journal.directory.clone().unwrap();
            std::fs::remove_dir_all(place.join(place::JOURNAL)).unwrap();
        }
    }

    #[test]
    fn a_journal_that_another_node_made_is_taken_over_to_and_fro() {
        let world = World::new();
        for (epoch, node) in ["a", "b", "a", "b", "b", "a"].into_iter().enumerate() {
            let epoch = epoch as u64 + 1;
            let opened = world.open(node, epoch, epoch > 1).unwrap();
            let previous = opened.opened.report.previous_epoch;
            assert_eq!((opened.is_lost, previous.unwrap_or(0)), (false, epoch - 1));
        }
    }

    #[test]
    fn what_a_node_noted_long_ago_is_not_believed() {
        let world = World::new();
        // It was here, and at another place; this node was in the middle of a loss.
        let elsewhere = world.directory.path().join("elsewhere");
        let note = Note { directory: elsewhere, epoch: 99, recovering: true };
        note.write(&world.state("a")).unwrap();
        let opened = world.open("a", 1, false).unwrap();
        assert!(!opened.is_lost);
        drop(opened);
        assert!(!world.open("b", 2, true).unwrap().is_lost);
        assert!(!world.open("a", 3, true).unwrap().is_lost);
    }

    #[test]
    fn an_epoch_that_is_over_is_refused() {
        let world = World::new();
        drop(world.open("a", 5, false).unwrap());
        for epoch in [4, 5] {
            let error = world.open("b", epoch, true).err().unwrap().to_string();
            let place = world.settings.journal.directory.clone().unwrap();
            let expected = format!(
                "the journal in {} cannot be opened: epoch {epoch} is over: the journal has had \
                 epoch 5; take a new lease",
                place.display()
            );
            assert_eq!(error, expected);
        }
        assert!(!world.open("b", 6, true).unwrap().is_lost);
    }

    #[test]
    fn a_loss_is_known_to_whoever_takes_over_until_the_grace_period_is_over() {
        let world = World::new();
        drop(world.open("a", 1, false).unwrap());
        world.lose();
        let mut opened = world.open("b", 2, true).unwrap();
        assert!(opened.is_lost);
        drop(opened);
        // Cut short.
        opened = world.open("a", 3, true).unwrap();
        assert!(opened.is_lost);
        opened.note.recovered();
        drop(opened);
        assert!(!world.open("b", 4, true).unwrap().is_lost);
        // Without a word from the cluster: that there was a loss is known, so there was a journal.
        world.lose();
        assert!(world.open("a", 5, false).unwrap().is_lost);
    }
}
