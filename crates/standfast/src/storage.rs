//! Taking the directories of exports into service.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use standfast_nfs::pool::Pool;
use standfast_nfs::service::Storage;
use standfast_settings::{ExportSettings, Limits};
use standfast_vfs::{OpenError, Options, PosixFileSystem};

/// What decides whether a storage that is open can go on to be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    path: PathBuf,
    cross_mounts: bool,
}

/// The storages that are open.
pub(crate) struct Storages {
    open: HashMap<Key, Arc<Storage>>,
    write_verifier: u64,
    pool: Arc<Pool>,
    options: (usize, usize),
}

/// Exports that can be served, and what is wrong with the others.
pub(crate) struct Opened {
    pub(crate) exports: Vec<(ExportSettings, Arc<Storage>)>,
    pub(crate) problems: Vec<String>,
}

impl Storages {
    /// None yet. `write_verifier` must be new at each start.
    pub(crate) fn new(limits: &Limits, write_verifier: u64, pool: Arc<Pool>) -> Self {
        let options = (limits.cached_files, limits.io_threads_per_export);
        Self { open: HashMap::new(), write_verifier, pool, options }
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
            let key = Key { path: export.path.clone(), cross_mounts: export.cross_mounts };
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
        opened
    }

    fn open_one(&self, key: &Key) -> Result<Arc<Storage>, OpenError> {
        let (cached_files, threads) = self.options;
        let options = Options { cross_mounts: key.cross_mounts, cached_files };
        let file_system = PosixFileSystem::open(&key.path, &options)?;
        Ok(Storage::new(
            Arc::new(file_system),
            self.write_verifier,
            Arc::clone(&self.pool),
            threads,
        ))
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
