//! Files whose number is tracked. The directory is watched with inotify(7), so that a file that is
//! replaced is seen too.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::Reporter;
use super::ready::readable;
use crate::tracking::Status;

/// Longer than any number.
const MOST_OCTETS: u64 = 64;
/// How often a directory that cannot be watched is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The number at the beginning of a text, zero for a file that is missing or empty, as Keepalived
/// has it.
fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let signed = text.strip_prefix('-').unwrap_or(text);
    let digits = signed.bytes().take_while(u8::is_ascii_digit).count();
    let end = digits + text.len() - signed.len();
    text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn read(path: &Path) -> Status {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).map(|file| file.take(MOST_OCTETS));
    match file.and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => Status::Value(number(&text)),
        Err(_) => Status::Value(0),
    }
}

fn watch_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let events = WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&fd, directory, events)?;
    Ok(fd)
}

/// Whether one of the waiting events concerns the file, or the directory itself.
fn concerns(fd: &OwnedFd, name: Option<&OsStr>) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut any = false;
    while let Ok(event) = reader.next() {
        let file = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
        any |= file.is_none() || file == name;
    }
    any
}

async fn wait_for_change(fd: &AsyncFd<OwnedFd>, name: Option<&OsStr>) {
    while let Ok(mut ready) = fd.readable().await {
        if concerns(fd.get_ref(), name) {
            return;
        }
        ready.clear_ready();
    }
}

/// Watches the file.
pub(super) async fn watch(path: PathBuf, reporter: Reporter) {
    loop {
        let watched = watch_directory(&path).map_err(std::io::Error::from);
        let watched = watched.and_then(readable);
        reporter.report(read(&path));
        match watched {
            Ok(fd) => wait_for_change(&fd, path.file_name()).await,
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "cannot watch a file; reading it");
                sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_beginning() {
        assert_eq!(number("12\n"), 12);
        assert_eq!(number(" -7 and more"), -7);
        assert_eq!(number(""), 0);
        assert_eq!(number("-"), 0);
        assert_eq!(number("x1"), 0);
        assert_eq!(number("99999999999999999999"), 0);
    }

    #[test]
    fn a_missing_file_counts_as_zero() {
        assert_eq!(read(Path::new("/no/such/file")), Status::Value(0));
    }
}
