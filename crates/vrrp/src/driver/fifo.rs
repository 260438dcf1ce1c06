//! The FIFO to which changes are written, line by line as Keepalived does.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::Error;

/// A FIFO that somebody may or may not read.
#[derive(Debug)]
pub(super) struct Fifo {
    path: PathBuf,
    writer: Option<std::fs::File>,
    made: bool,
}

impl Fifo {
    /// Makes the FIFO, unless it is there.
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let made = match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) => true,
            Err(nix::Error::EEXIST) => {
                let kind = path
                    .metadata()
                    .map_err(Error::system(format!("look at {}", path.display())))?
                    .file_type();
                if !kind.is_fifo() {
                    return Err(Error::NoFifo(path.into()));
                }
                false
            }
            Err(error) => {
                return Err(Error::system(format!("make the FIFO {}", path.display()))(error));
            }
        };
        Ok(Self { path: path.into(), writer: None, made })
    }

    /// Writes one line. Nobody may be reading; then it is dropped.
    pub(super) fn write(&mut self, line: &str) {
        if let Err(error) = self.try_write(line)
            && error.raw_os_error() != Some(libc::ENXIO)
        {
            tracing::warn!(path = %self.path.display(), %error, "a line for the FIFO is lost");
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        use std::io::Write as _;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            // Without a reader this says ENXIO.
            None => self.writer.insert(
                std::fs::OpenOptions::new()
                    .write(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open(&self.path)?,
            ),
        };
        // A line is shorter than PIPE_BUF, so it goes whole or not at all.
        let result = writer.write_all(line.as_bytes());
        if result.is_err() {
            self.writer = None;
        }
        result
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        if self.made {
            // It is only a name.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn lines_are_read_by_who_reads_and_dropped_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mut fifo = Fifo::new(&path).unwrap();
        fifo.write("INSTANCE \"a\" BACKUP 100\n");
        let reader = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .unwrap();
        fifo.write("INSTANCE \"a\" MASTER 100\n");
        let mut line = String::new();
        let mut reader = BufReader::new(reader);
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "INSTANCE \"a\" MASTER 100\n");
        drop(reader);
        fifo.write("INSTANCE \"a\" FAULT 100\n");
        drop(fifo);
        assert!(!path.exists());
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Fifo::new(file.path()), Err(Error::NoFifo(_))));
    }
}
