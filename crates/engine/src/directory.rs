//! The engine `directory`: a directory that every node mounts, such as one of CephFS, OCFS2, GFS2 or
//! of another NFS server.
//!
//! The filesystem itself lets every node write at any time, so two holders at once would do harm. The
//! lease keeps them apart; the journal refuses a holder of an earlier epoch. What neither can stop is
//! a write that a node began while its lease was valid and that reaches the storage after its
//! successor began, as when the node was frozen in the middle of it. The fence command is for that.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::identity::handle;
use crate::probe::probe;
use crate::{
    Claim, CommandError, Engine, EngineError, FenceCommand, Fenced, Health, Identity, TwoHolders,
};

/// The hidden directory of the cluster in a pool.
const HIDDEN: &str = ".standfast";
const MARKER: &str = "pool";
/// How long a fence command may take.
const FENCE_LIMIT: Duration = Duration::from_secs(10);
/// Free space below which the pool's health is a warning: parts of a hundred.
const LITTLE_SPACE: u64 = 5;

/// The settings of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectorySettings {
    /// The directory, mounted on every node.
    pub path: PathBuf,
    /// A command that keeps a node from writing, with arguments; the node's name is added.
    pub fence: Vec<String>,
}

/// A directory that every node mounts.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    node: String,
    fence: Option<FenceCommand>,
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> EngineError + 'a {
    move |source| EngineError::Io { action, path: path.into(), source }
}

impl Directory {
    /// The pool as the node of this name uses it.
    ///
    /// # Errors
    /// If the fence command is none.
    pub fn new(settings: &DirectorySettings, node: &str) -> Result<Self, CommandError> {
        let fence = match settings.fence.as_slice() {
            [] => None,
            words => Some(FenceCommand::new(words, FENCE_LIMIT)?),
        };
        Ok(Self { path: settings.path.clone(), node: node.into(), fence })
    }

    /// The cluster's own directory in the pool; journals are below it.
    pub fn hidden(&self) -> PathBuf {
        self.path.join(HIDDEN)
    }

    /// Looks at start whether the directory is what the design needs, and returns what this node sees
    /// of it, for the comparison with the others. The first node of all marks it.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<Identity, EngineError> {
        let hidden = self.hidden();
        if !self.path.is_dir() {
            let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(failed("use it as a pool; is it mounted?", &self.path)(source));
        }
        match fs::DirBuilder::new().mode(0o700).create(&hidden) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed("make the cluster's directory", &hidden)(error));
            }
            _ => {}
        }
        probe(&hidden, &self.node)?;
        let marker = self.marker(&hidden)?;
        let about = rustix::fs::statfs(&hidden)
            .map_err(|error| failed("learn the filesystem", &hidden)(error.into()))?;
        let filesystem = about.f_type as u64;
        Ok(Identity { marker, filesystem, handle: handle(&hidden.join(MARKER))? })
    }

    /// The marker; made if there is none, by one node alone however many try.
    fn marker(&self, hidden: &Path) -> Result<String, EngineError> {
        let path = hidden.join(MARKER);
        if let Some(marker) = read_marker(&path)? {
            return Ok(marker);
        }
        let mut random = [0; 16];
        let action = "mark the pool";
        getrandom::fill(&mut random)
            .map_err(|error| failed(action, &path)(std::io::Error::other(error.to_string())))?;
        let marker: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
        let new = hidden.join(format!("{MARKER}-{}", self.node));
        let mut file = fs::File::create(&new).map_err(failed(action, &new))?;
        writeln!(file, "{marker}").map_err(failed(action, &new))?;
        file.sync_all().map_err(failed(action, &new))?;
        // A link, unlike a rename, does not replace one that was faster.
        let linked = fs::hard_link(&new, &path);
        fs::remove_file(&new).map_err(failed(action, &new))?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(action, &path)(error));
            }
            _ => {}
        }
        fs::File::open(hidden)
            .and_then(|directory| directory.sync_all())
            .map_err(failed(action, hidden))?;
        read_marker(&path)?.ok_or_else(|| EngineError::Unfit {
            path: path.clone(),
            reason: "a file that was just made is not there".into(),
        })
    }
}

fn read_marker(path: &Path) -> Result<Option<String>, EngineError> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() == 32 => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(EngineError::Unfit {
            path: path.into(),
            reason: "its marker is damaged; if this is the right directory, remove the marker"
                .into(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read the marker of the pool", path)(error)),
    }
}

impl Engine for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn two_holders(&self) -> TwoHolders {
        TwoHolders::Harm
    }

    /// The directory is there all the time; only that it still is has to be seen. No more than one
    /// look at one file, since clients wait.
    fn promote(&self, _: &Claim) -> Result<PathBuf, EngineError> {
        let path = self.hidden().join(MARKER);
        match read_marker(&path)? {
            Some(_) => Ok(self.path.clone()),
            None => Err(EngineError::Unfit {
                path: self.path.clone(),
                reason: "the pool's marker is not there; is the filesystem mounted?".into(),
            }),
        }
    }

    /// What was written for the service is made durable by who wrote it; nothing is held.
    fn demote(&self, _: &Claim) -> Result<(), EngineError> {
        Ok(())
    }

    fn fence(&self, claim: &Claim, node_before: &str) -> Result<Fenced, EngineError> {
        let Some(command) = self.fence.as_ref().filter(|_| claim.node != node_before) else {
            return Ok(Fenced::Nothing);
        };
        command
            .run(node_before)
            .map(|()| Fenced::Storage)
            .map_err(|source| EngineError::Fence { node: node_before.into(), source })
    }

    fn health(&self) -> Health {
        let marker = self.hidden().join(MARKER);
        match read_marker(&marker) {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Health::Failed(format!("{} is not mounted", self.path.display()));
            }
            Err(error) => return Health::Failed(error.to_string()),
        }
        match rustix::fs::statvfs(&self.path) {
            Ok(space) if space.f_bavail.saturating_mul(100) < space.f_blocks * LITTLE_SPACE => {
                Health::Warning(format!(
                    "{}: less than {LITTLE_SPACE}% of the space is free",
                    self.path.display()
                ))
            }
            Ok(_) => Health::Well,
            Err(error) => Health::Failed(format!("{}: {error}", self.path.display())),
        }
    }
}
