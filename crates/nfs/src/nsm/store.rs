//! The files of the status monitor: durable before anything relies on them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use standfast_rpc::xdr::{self, Decode, Encode, Opaque};

use super::record::{Format, HostRecord, Record, StateRecord};

const STATE_FILE: &str = "state";
const TEMPORARY: &str = "tmp";
const HOST_PREFIX: &str = "host-";

/// The longest file that is read.
const LONGEST: u64 = 16 << 10;

/// Bytes of the checksum at the end of each file.
const CHECKSUM: usize = 4;

/// Why the files could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The filesystem.
    #[error("cannot {action} {path}: {error}; locks need it to be known after a restart")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What came of it.
        #[source]
        error: io::Error,
    },
}

impl StoreError {
    fn on(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { action, path: path.to_owned(), error }
    }
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The state number and the run of the machine it was set in; `None` before the first run.
    pub(super) state: Option<(i32, Bytes)>,
    /// The hosts, with the number of their file.
    pub(super) hosts: Vec<(u64, Record)>,
}

/// A directory with one file for the state number and one for each monitored host.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens the directory, which is made if it is not there, and reads what is in it. A file
    /// that cannot be read is reported, kept aside for people to see, and passed over.
    ///
    /// # Errors
    /// When the directory cannot be made or listed.
    pub(super) fn open(directory: &Path) -> Result<(Self, Loaded), StoreError> {
        // The process's umask lets everything through, as the files of clients want it.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(StoreError::on("make", directory))?;
        let store = Self { directory: directory.to_owned() };
        let mut loaded = Loaded::default();
        let listing = fs::read_dir(directory).map_err(StoreError::on("list", directory))?;
        for entry in listing {
            let entry = entry.map_err(StoreError::on("list", directory))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name == STATE_FILE {
                let state = store.read::<StateRecord>(name);
                loaded.state = state.map(|record| (record.state, record.boot.0));
            } else if let Some(number) = host_number(name) {
                let host = store.read::<HostRecord>(name);
                loaded.hosts.extend(host.map(|record| (number, record.host)));
            }
        }
        loaded.hosts.sort_by_key(|(number, _)| *number);
        Ok((store, loaded))
    }

    /// Writes the state number.
    ///
    /// # Errors
    /// When it is not durable.
    pub(super) fn set_state(&self, state: i32, boot: &Bytes) -> Result<(), StoreError> {
        let boot = Opaque(boot.clone());
        self.write(STATE_FILE, &StateRecord { format: Format::One, state, boot })
    }

    /// Writes a host to the file of that number.
    ///
    /// # Errors
    /// When it is not durable.
    pub(super) fn put(&self, number: u64, host: &Record) -> Result<(), StoreError> {
        let record = HostRecord { format: Format::One, host: host.clone() };
        self.write(&host_file(number), &record)
    }

    /// Removes the file of that number. A host that comes back after a crash is one that is told
    /// in vain.
    ///
    /// # Errors
    /// When it is still there.
    pub(super) fn remove(&self, number: u64) -> Result<(), StoreError> {
        let path = self.directory.join(host_file(number));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::on("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn read<T: Decode>(&self, name: &str) -> Option<T> {
        let path = self.directory.join(name);
        match read_checked(&path) {
            Ok(Some(record)) => Some(record),
            Ok(None) => {
                tracing::error!(path = %path.display(),
                    "damaged; the host in it, if any, will not be told of this restart");
                let aside = path.with_extension("damaged");
                let _best_effort = fs::rename(&path, aside);
                None
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "cannot be read");
                None
            }
        }
    }

    /// Replaces a file so that after a crash either the old or the new one is there, and the new
    /// one once this returns.
    fn write<T: Encode>(&self, name: &str, record: &T) -> Result<(), StoreError> {
        let (path, temporary) = (self.directory.join(name), self.directory.join(TEMPORARY));
        let mut bytes = xdr::to_bytes(record).to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&temporary).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(StoreError::on("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(StoreError::on("replace", &path))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(StoreError::on("sync", &self.directory))
    }
}

fn host_file(number: u64) -> String {
    format!("{HOST_PREFIX}{number}")
}

fn host_number(name: &str) -> Option<u64> {
    name.strip_prefix(HOST_PREFIX)?.parse().ok()
}

/// The record in a file; `None` if it is damaged.
fn read_checked<T: Decode>(path: &Path) -> io::Result<Option<T>> {
    if fs::metadata(path)?.len() > LONGEST {
        return Ok(None);
    }
    let bytes = Bytes::from(fs::read(path)?);
    let Some(length) = bytes.len().checked_sub(CHECKSUM) else { return Ok(None) };
    if crc32fast::hash(&bytes[..length]).to_be_bytes() != bytes[length..] {
        return Ok(None);
    }
    Ok(xdr::from_bytes(&bytes.slice(..length)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nsm::record::ClientHost;

    fn host(name: &'static str) -> Record {
        let address = [10, 0, 0, 1].into();
        Record::client(&ClientHost { name: Bytes::from(name), address, local: address })
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nsm");
        let (store, loaded) = Store::open(&path).unwrap();
        assert!(loaded.state.is_none() && loaded.hosts.is_empty());
        store.set_state(5, &Bytes::from("boot")).unwrap();
        store.put(3, &host("three")).unwrap();
        store.put(12, &host("twelve")).unwrap();
        store.put(4, &host("four")).unwrap();
        store.remove(4).unwrap();
        store.remove(4).unwrap();
        let (_, loaded) = Store::open(&path).unwrap();
        assert_eq!(loaded.state, Some((5, Bytes::from("boot"))));
        assert_eq!(loaded.hosts, [(3, host("three")), (12, host("twelve"))]);
    }

    #[test]
    fn damage_costs_one_host_only() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        for number in 0..4 {
            store.put(number, &host("host")).unwrap();
        }
        let file = |number| directory.path().join(host_file(number));
        let good = fs::read(file(0)).unwrap();
        let mut flipped = good.clone();
        flipped[9] ^= 1;
        fs::write(file(0), flipped).unwrap();
        fs::write(file(1), &good[..good.len() - 3]).unwrap();
        fs::write(file(2), b"").unwrap();
        let (_, loaded) = Store::open(directory.path()).unwrap();
        assert_eq!(loaded.hosts, [(3, host("host"))]);
        assert!(file(0).with_extension("damaged").exists());
    }
}
