//! Taking the directories of exports into service.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use standfast_nfs::pool::Pool;
use standfast_nfs::service::Storage;
use standfast_rpc::gate::ReplyGate;
use standfast_settings::{ExportSettings, Limits};
use standfast_vfs::{OpenError, Options, Permit, PosixFileSystem, Verdict};

use crate::place::Candidate;

/// What decides whether a storage that is open can go on to be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    path: PathBuf,
    cross_mounts: bool,
}

impl Key {
    fn of(export: &ExportSettings) -> Self {
        Self { path: export.path.clone(), cross_mounts: export.cross_mounts }
    }
}

/// The storages that are open.
pub(crate) struct Storages {
    open: HashMap<Key, Arc<Storage>>,
    /// Those that were opened before the write verifier was known, in the order of the exports.
    ahead: Vec<(Key, Arc<PosixFileSystem>)>,
    write_verifier: u64,
    pool: Arc<Pool>,
    options: (usize, usize),
    permit: Option<Arc<dyn Permit>>,
}

/// Storage is changed only while replies may leave: whoever cannot answer does nothing either.
struct WhileOpen(Arc<ReplyGate>);

impl Permit for WhileOpen {
    fn ask(&self) -> Verdict {
        match (self.0.may_send(), self.0.is_shut()) {
            (true, _) => Verdict::Granted,
            (false, false) => Verdict::Later,
            (false, true) => Verdict::Ended,
        }
    }
}

/// Exports that can be served, and what is wrong with the others.
pub(crate) struct Opened {
    pub(crate) exports: Vec<(ExportSettings, Arc<Storage>)>,
    pub(crate) problems: Vec<String>,
}

impl Storages {
    /// None yet.
    pub(crate) fn new(limits: &Limits, pool: Arc<Pool>) -> Self {
        let options = (limits.cached_files, limits.io_threads_per_export);
        Self {
            open: HashMap::new(),
            ahead: Vec::new(),
            write_verifier: 0,
            pool,
            options,
            permit: None,
        }
    }

    /// Opens the filesystems of exports, for [`Storages::open`] to come; gives what is wrong with
    /// those that cannot be opened.
    pub(crate) fn open_ahead(&mut self, exports: &[ExportSettings]) -> Vec<String> {
        let mut problems = Vec::new();
        for export in exports {
            let key = Key::of(export);
            if let Some(missing) = missing_mount(export) {
                problems.push(missing);
            } else if self.ahead.iter().all(|(known, _)| *known != key) {
                match self.open_file_system(&key) {
                    Ok(file_system) => self.ahead.push((key, file_system)),
                    Err(error) => problems.push(error.to_string()),
                }
            }
        }
        problems
    }

    /// What was opened ahead, as places for the journal.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(key, file_system): &(Key, Arc<PosixFileSystem>)| Candidate {
            path: key.path.clone(),
            file_system: Arc::clone(file_system),
        };
        self.ahead.iter().map(candidate).collect()
    }

    /// From now on storage is changed only while this gate is open.
    pub(crate) fn set_gate(&mut self, gate: &Arc<ReplyGate>) {
        let permit: Arc<dyn Permit> = Arc::new(WhileOpen(Arc::clone(gate)));
        for (_, file_system) in &self.ahead {
            file_system.set_permit(Arc::clone(&permit));
        }
        self.permit = Some(permit);
    }

    /// Sets the write verifier, which must be new at each start, before the first storage is made.
    pub(crate) fn set_write_verifier(&mut self, verifier: u64) {
        self.write_verifier = verifier;
    }

    /// Opens what the exports need; what is open already is used again, and what no export
    /// needs any more is let go.
    pub(crate) fn open(&mut self, exports: &[ExportSettings]) -> Opened {
        let (mut opened, mut kept) =
            (Opened { exports: Vec::new(), problems: Vec::new() }, HashMap::new());
        for export in exports {
            if let Some(missing) = missing_mount(export) {
                opened.problems.push(missing);
                continue;
            }
            let key = Key::of(export);
            let known = self.open.get(&key).or_else(|| kept.get(&key)).cloned();
            let storage = known.map_or_else(|| self.open_one(&key), Ok);
            match storage {
                Ok(storage) => {
                    kept.insert(key, Arc::clone(&storage));
                    opened.exports.push((export.clone(), storage));
                }
                Err(error) => opened.problems.push(error.to_string()),
            }
        }
        self.open = kept;
        self.ahead.clear();
        opened
    }

    fn open_file_system(&self, key: &Key) -> Result<Arc<PosixFileSystem>, OpenError> {
        let (cached_files, _) = self.options;
        let options = Options { cross_mounts: key.cross_mounts, cached_files };
        let file_system = PosixFileSystem::open(&key.path, &options)?;
        if let Some(permit) = &self.permit {
            file_system.set_permit(Arc::clone(permit));
        }
        Ok(Arc::new(file_system))
    }

    fn open_one(&self, key: &Key) -> Result<Arc<Storage>, OpenError> {
        let (_, threads) = self.options;
        let ahead = self.ahead.iter().find(|(known, _)| known == key);
        let file_system = match ahead {
            Some((_, file_system)) => Arc::clone(file_system),
            None => self.open_file_system(key)?,
        };
        Ok(Storage::new(file_system, self.write_verifier, Arc::clone(&self.pool), threads))
    }
}

/// Why an export that wants a mount point is not served now, if so (`mountpoint` of exports(5)).
fn missing_mount(export: &ExportSettings) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mount_point = export.mount_point.as_ref()?;
    let device = |path: &std::path::Path| std::fs::metadata(path).map(|data| data.dev());
    let parent = mount_point.parent().unwrap_or(mount_point);
    match (device(mount_point), device(parent)) {
        (Ok(own), Ok(parents)) if own != parents => None,
        _ => Some(format!(
            "{} is not exported: {} is not a mount point now; mount it and reload",
            export.export_path.display(),
            mount_point.display()
        )),
    }
}
