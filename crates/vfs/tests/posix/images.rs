//! Filesystems in files, to test on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A kind of filesystem to test on.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    mkfs: &'static str,
    arguments: &'static [&'static str],
    options: &'static str,
    megabytes: u64,
}

pub(crate) const EXT4: Kind = Kind {
    name: "ext4",
    mkfs: "mkfs.ext4",
    arguments: &["-q", "-F"],
    // Seldom commits by itself, so that no change is made stable by chance.
    options: "loop,commit=600",
    megabytes: 64,
};
/// In blocks of 4 KiB.
pub(crate) const EXT4_SMALL: Kind =
    Kind { arguments: &["-q", "-F", "-b", "4096"], megabytes: 16, ..EXT4 };
pub(crate) const EXT4_WITHOUT_JOURNAL: Kind =
    Kind { arguments: &["-q", "-F", "-O", "^has_journal"], options: "loop", ..EXT4 };
pub(crate) const EXT4_FAST_COMMIT: Kind =
    Kind { arguments: &["-q", "-F", "-O", "fast_commit"], ..EXT4 };
pub(crate) const XFS: Kind = Kind {
    name: "xfs",
    mkfs: "mkfs.xfs",
    arguments: &["-q", "-f"],
    options: "loop",
    megabytes: 320,
};
pub(crate) const BTRFS: Kind = Kind {
    name: "btrfs",
    mkfs: "mkfs.btrfs",
    arguments: &["-q", "-f"],
    options: "loop",
    megabytes: 128,
};

impl Kind {
    /// The size of its images.
    pub(crate) fn bytes(&self) -> u64 {
        self.megabytes << 20
    }
}

/// A filesystem in a file, in a thread's own mount namespace.
pub(crate) struct Image {
    kind: Kind,
    directory: tempfile::TempDir,
}

impl Image {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::on(&std::env::temp_dir(), kind)
    }

    pub(crate) fn on(place: &Path, kind: Kind) -> Self {
        let directory = tempfile::tempdir_in(place).unwrap();
        let image = Self { kind, directory };
        std::fs::File::create(image.file()).unwrap().set_len(image.kind.bytes()).unwrap();
        std::fs::create_dir(image.point()).unwrap();
        let mkfs = image.kind.mkfs;
        if let Err(error) = run(Command::new(mkfs).args(image.kind.arguments).arg(image.file())) {
            panic!("{mkfs} is needed to test on {}: {error}", image.kind.name);
        }
        image
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(crate) fn point(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    pub(crate) fn mount(&self) {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", self.kind.name, "-o", self.kind.options])
            .arg(self.file())
            .arg(self.point());
        run(&mut mount).unwrap();
    }

    /// Takes everything from the filesystem that is not on the disk.
    pub(crate) fn cut_power(&self) {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(self.point())).unwrap();
    }

    /// A command that another test starts has copies of all descriptors for a moment.
    pub(crate) fn umount(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while let Err(error) = run(Command::new("umount").arg(self.point())) {
            assert!(error.contains("busy") && Instant::now() < deadline, "{error}");
        }
    }
}

/// Runs a command for at most five minutes; an error quotes what it said.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let piped = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut child = piped.spawn().map_err(|error| error.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(300);
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() > deadline {
            child.kill().map_err(|error| error.to_string())?;
            return Err("it takes longer than five minutes".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
