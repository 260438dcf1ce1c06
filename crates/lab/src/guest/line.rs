//! The serial line to a guest's agent.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::process::locked;

/// What the agent has said.
#[derive(Debug, Default)]
struct Heard {
    ready: bool,
    /// The line has ended: the guest is gone.
    closed: bool,
    /// Exit statuses of commands, by their number.
    done: HashMap<u64, i32>,
}

#[derive(Debug, Default)]
struct Board {
    heard: Mutex<Heard>,
    news: Condvar,
}

/// Commands go down the line by number, and their exit statuses come back.
#[derive(Debug)]
pub(super) struct Line {
    guest: String,
    board: Arc<Board>,
    writer: Mutex<PipeWriter>,
}

impl Line {
    /// Listens to `reader` on a thread that ends with the guest.
    pub(super) fn new(guest: &str, reader: PipeReader, writer: PipeWriter) -> Result<Self, Error> {
        let board = Arc::new(Board::default());
        let listener = Arc::clone(&board);
        thread::Builder::new()
            .name(format!("line {guest}"))
            .spawn(move || listener.listen(reader))
            .map_err(Error::io(format!("start the thread of {guest}'s line")))?;
        Ok(Self { guest: guest.into(), board, writer: Mutex::new(writer) })
    }

    pub(super) fn wait_ready(&self, limit: Duration) -> Result<(), Error> {
        self.wait(limit, "the guest's agent", |heard| heard.ready.then_some(()))
    }

    /// Sends `verb` for the command `id`.
    pub(super) fn send(&self, verb: &str, id: u64) -> Result<(), Error> {
        let line = format!("{verb} {id}\n");
        locked(&self.writer).write_all(line.as_bytes()).map_err(|_| Error::Off(self.guest.clone()))
    }

    /// Waits for the exit status of the command `id`.
    pub(super) fn wait_done(&self, id: u64, limit: Duration, what: &str) -> Result<i32, Error> {
        self.wait(limit, what, |heard| heard.done.get(&id).copied())
    }

    /// The exit status of the command `id`, if it has ended.
    pub(super) fn done(&self, id: u64) -> Option<i32> {
        locked(&self.board.heard).done.get(&id).copied()
    }

    fn wait<T>(
        &self,
        limit: Duration,
        what: &str,
        news: impl Fn(&Heard) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + limit;
        let mut heard = locked(&self.board.heard);
        loop {
            if let Some(value) = news(&heard) {
                return Ok(value);
            }
            if heard.closed {
                return Err(Error::Off(self.guest.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = format!("{}: {what}", self.guest);
                return Err(Error::TimedOut { what, limit, said: String::new() });
            }
            heard = match self.board.news.wait_timeout(heard, left) {
                Ok((heard, _)) => heard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Board {
    fn listen(&self, reader: PipeReader) {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { break };
            self.hear(&String::from_utf8_lossy(&line));
        }
        locked(&self.heard).closed = true;
        self.news.notify_all();
    }

    /// Other lines are what the kernel says before the line is the agent's.
    fn hear(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut heard = locked(&self.heard);
        match words.as_slice() {
            ["ready"] => heard.ready = true,
            ["done", id, status] => {
                if let (Ok(id), Ok(status)) = (id.parse(), status.parse()) {
                    heard.done.entry(id).or_insert(status);
                }
            }
            _ => return,
        }
        drop(heard);
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;

    const SOON: Duration = Duration::from_secs(60);

    fn line() -> (Line, PipeWriter, PipeReader) {
        let (from_guest, guest_out) = pipe().unwrap();
        let (guest_in, to_guest) = pipe().unwrap();
        (Line::new("g", from_guest, to_guest).unwrap(), guest_out, guest_in)
    }

    #[test]
    fn hears_ready_and_statuses_amid_noise() {
        let (line, mut guest, _) = line();
        guest.write_all(b"Core dump limits :\nready\r\ndone x y\ndone 7 3\ndone 7 137\n").unwrap();
        line.wait_ready(SOON).unwrap();
        assert_eq!(line.wait_done(7, SOON, "x").unwrap(), 3);
        assert_eq!(line.done(8), None);
        let error = line.wait_done(8, Duration::ZERO, "command 8").unwrap_err();
        assert_eq!(error.to_string(), "g: command 8: not within 0ns");
    }

    #[test]
    fn the_end_of_the_line_wakes_those_who_wait() {
        let (line, guest, guest_in) = line();
        drop((guest, guest_in));
        assert!(matches!(line.wait_ready(SOON), Err(Error::Off(_))));
        assert!(matches!(line.send("run", 1), Err(Error::Off(_))));
    }
}
