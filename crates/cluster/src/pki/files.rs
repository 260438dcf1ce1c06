//! What a node keeps of itself on disk.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::authority::ends;
use super::{NodeKey, PkiError};
use crate::model::{ClusterId, InitialState, NodeId};

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens for the others.
    pub listen: Vec<std::net::SocketAddr>,
    /// The times of the cluster as they were known last: some are needed before the log is read.
    #[serde(default)]
    pub timing: Option<standfast_settings::Timing>,
}

/// What the first node keeps until the cluster is founded for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// What the cluster begins with.
    pub initial: InitialState,
}

/// The directory of a node's identity: `identity.json`, its key and certificate, the authority's
/// certificate, the log. Only its owner can read it.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    directory: PathBuf,
}

impl IdentityFiles {
    /// The files in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Makes the directory, if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self) -> Result<(), PkiError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let path = &self.directory;
        builder.create(path).map_err(|source| PkiError::File {
            what: "make",
            path: path.clone(),
            source,
        })
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        self.directory.join("cluster.redb")
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether this node belongs to a cluster.
    pub fn exist(&self) -> bool {
        self.path(IDENTITY).exists()
    }

    /// Who this node is; `None` if it belongs to no cluster.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub fn identity(&self) -> Result<Option<Identity>, PkiError> {
        self.read_json(IDENTITY)
    }

    /// What is still to be founded.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub fn founding(&self) -> Result<Option<Founding>, PkiError> {
        self.read_json(FOUNDING)
    }

    /// Keeps who this node is. From now on it is a member.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_identity(&self, identity: &Identity) -> Result<(), PkiError> {
        self.write_json(IDENTITY, identity)
    }

    /// Keeps what is to be founded.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_founding(&self, founding: &Founding) -> Result<(), PkiError> {
        self.write_json(FOUNDING, founding)
    }

    /// The cluster is founded: its beginning is in the log.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove_founding(&self) -> Result<(), PkiError> {
        let path = self.path(FOUNDING);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(PkiError::File { what: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The private key; one is made if there is none.
    ///
    /// # Errors
    /// It cannot be read, made or written.
    pub fn key(&self) -> Result<NodeKey, PkiError> {
        if let Some(pem) = self.read(KEY)? {
            return NodeKey::from_pem(&pem);
        }
        let key = NodeKey::generate()?;
        self.write(KEY, key.to_pem().expose().as_bytes())?;
        Ok(key)
    }

    /// The certificates of this node and of the authority (PEM).
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn certificates(&self) -> Result<(String, String), PkiError> {
        let read = |name| {
            let missing = || PkiError::File {
                what: "read",
                path: self.path(name),
                source: io::ErrorKind::NotFound.into(),
            };
            self.read(name)?.ok_or_else(missing)
        };
        Ok((read(CERTIFICATE)?, read(AUTHORITY)?))
    }

    /// When the certificate of this node ends.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn certificate_ends(&self) -> Result<SystemTime, PkiError> {
        ends(&self.certificates()?.0)
    }

    /// Keeps the certificate of this node and that of the authority.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write_certificates(&self, certificate: &str, authority: &str) -> Result<(), PkiError> {
        self.write(AUTHORITY, authority.as_bytes())?;
        self.write(CERTIFICATE, certificate.as_bytes())
    }

    fn read(&self, name: &str) -> Result<Option<String>, PkiError> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PkiError::File { what: "read", path, source }),
        }
    }

    fn read_json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>, PkiError> {
        let parse = |text: String| {
            serde_json::from_str(&text).map_err(|error| PkiError::Contents {
                path: self.path(name),
                detail: error.to_string(),
            })
        };
        self.read(name)?.map(parse).transpose()
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), PkiError> {
        let text = serde_json::to_vec_pretty(value).map_err(|error| PkiError::Contents {
            path: self.path(name),
            detail: error.to_string(),
        })?;
        self.write(name, &text)
    }

    /// Writes a file so that it is whole or not there at all, also after a loss of power, and never
    /// readable by others.
    fn write(&self, name: &str, contents: &[u8]) -> Result<(), PkiError> {
        let path = self.path(name);
        let fresh = self.path(&format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&fresh)?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| PkiError::File { what: "write", path: path.clone(), source })
    }
}

const IDENTITY: &str = "identity.json";
const FOUNDING: &str = "founding.json";
const KEY: &str = "node.key";
const CERTIFICATE: &str = "node.crt";
const AUTHORITY: &str = "authority.crt";
