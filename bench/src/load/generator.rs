//! The loop that keeps operations in flight on all connections.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clock::{Phase, Stopwatch};
use super::lane::Lane;
use super::session::PATIENCE;
use super::{Bound, Work};
use crate::Error;
use crate::usage::{Watched, own_processor_time};

/// The longest latency that is told from longer ones, in nanoseconds.
const LONGEST: u64 = 2 * PATIENCE.as_nanos() as u64;

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Operations in flight on each connection.
    pub depth: usize,
    /// What comes before and does not count.
    pub warm_up: Bound,
    /// What counts.
    pub measured: Bound,
}

/// What was measured.
#[derive(Debug)]
pub struct Measurement {
    /// Operations that were done.
    pub operations: u64,
    /// Bytes or names that were moved, or operations.
    pub units: u64,
    /// In this time.
    pub elapsed: Duration,
    /// From the moment a call is handed to the socket until its reply is seen, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Processor time of the server.
    pub server_time: Duration,
    /// Processor time of the generator.
    pub generator_time: Duration,
    /// Operations of each connection that were ever done, those of the warm-up too.
    pub completed: Vec<u64>,
}

/// The time, and the processor time spent until then.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    server: Duration,
    generator: Duration,
}

impl Reading {
    fn take(server: &Watched) -> Result<Self, Error> {
        let generator = own_processor_time()?;
        Ok(Self { server: server.processor_time()?, generator, at: Instant::now() })
    }
}

/// Puts load on `server` through connections that are its own.
///
/// # Errors
/// The first wrong answer, failed call or lost connection.
pub fn run<'a>(
    connections: Vec<(&'a TcpStream, Box<dyn Work + 'a>)>,
    plan: &Plan,
    server: &Watched,
) -> Result<Measurement, Error> {
    let streams: Vec<_> = connections.iter().map(|(stream, _)| *stream).collect();
    set_nonblocking(&streams, true)?;
    let lanes = connections.into_iter().map(|(stream, work)| Lane::new(stream, work, plan.depth));
    let mut generator = Generator {
        lanes: lanes.collect(),
        plan,
        server,
        watch: Stopwatch::new(Phase::WarmUp, Instant::now()),
        latencies: Histogram::new_with_max(LONGEST, 3)
            .map_err(|error| Error::Wrong(error.to_string()))?,
        begin: None,
        end: None,
        counted: (0, 0),
    };
    generator.drive()?;
    set_nonblocking(&streams, false)?;
    generator.into_measurement()
}

struct Generator<'a, 'b> {
    lanes: Vec<Lane<'a>>,
    plan: &'b Plan,
    server: &'b Watched,
    watch: Stopwatch,
    latencies: Histogram<u64>,
    begin: Option<Reading>,
    end: Option<Reading>,
    /// Operations and units of the measured phase.
    counted: (u64, u64),
}

impl Generator<'_, '_> {
    fn drive(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        for lane in &mut self.lanes {
            lane.fill(now);
            lane.send()?;
        }
        while !self.lanes.iter().all(Lane::is_idle) {
            for (index, ready) in self.ready()?.into_iter().enumerate() {
                if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    self.take_in(index)?;
                }
                self.lanes[index].send()?;
            }
        }
        if self.watch.phase == Phase::Measured {
            self.begin_phase(Phase::Draining)?;
        }
        self.lanes.iter_mut().try_for_each(|lane| lane.work().finish())
    }

    /// Waits until a connection can go on.
    fn ready(&self) -> Result<Vec<PollFlags>, Error> {
        let mut polled: Vec<PollFd<'_>> = self.lanes.iter().map(interest).collect();
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        match poll(&mut polled, Some(&patience)) {
            Ok(0) => Err(Error::Stalled(PATIENCE)),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Ok(_) => Ok(polled.iter().map(PollFd::revents).collect()),
            Err(error) => Err(Error::io("wait for replies")(error)),
        }
    }

    fn take_in(&mut self, index: usize) -> Result<(), Error> {
        self.lanes[index].receive()?;
        let now = Instant::now();
        while let Some(done) = self.lanes[index].completion()? {
            self.watch.count(done.units);
            if self.watch.phase == Phase::Measured {
                let latency = now.duration_since(done.started).as_nanos() as u64;
                self.latencies.saturating_record(latency);
            }
            self.advance(now)?;
        }
        if self.watch.phase != Phase::Draining {
            self.lanes[index].fill(now);
        }
        Ok(())
    }

    /// Goes to the next phase when this one is over.
    fn advance(&mut self, now: Instant) -> Result<(), Error> {
        match self.watch.phase {
            Phase::WarmUp if self.watch.is_over(&self.plan.warm_up, now) => {
                self.lanes.iter_mut().for_each(|lane| lane.work().warmed_up());
                self.begin_phase(Phase::Measured)
            }
            Phase::Measured if self.watch.is_over(&self.plan.measured, now) => {
                self.begin_phase(Phase::Draining)
            }
            _ => Ok(()),
        }
    }

    fn begin_phase(&mut self, phase: Phase) -> Result<(), Error> {
        let reading = Reading::take(self.server)?;
        if phase == Phase::Measured {
            self.begin = Some(reading);
        } else {
            self.end = Some(reading);
            self.counted = (self.watch.operations, self.watch.units);
        }
        self.watch = Stopwatch::new(phase, reading.at);
        Ok(())
    }

    fn into_measurement(self) -> Result<Measurement, Error> {
        let (Some(begin), Some(end)) = (self.begin, self.end) else { return Err(Error::Nothing) };
        let (operations, units) = self.counted;
        if operations == 0 {
            return Err(Error::Nothing);
        }
        Ok(Measurement {
            operations,
            units,
            elapsed: end.at.duration_since(begin.at),
            latencies: self.latencies,
            server_time: end.server.saturating_sub(begin.server),
            generator_time: end.generator.saturating_sub(begin.generator),
            completed: self.lanes.iter().map(|lane| lane.completed).collect(),
        })
    }
}

fn set_nonblocking(streams: &[&TcpStream], on: bool) -> Result<(), Error> {
    let set = |stream: &&TcpStream| stream.set_nonblocking(on);
    streams.iter().try_for_each(set).map_err(Error::io("change the mode of a socket"))
}

fn interest<'a>(lane: &Lane<'a>) -> PollFd<'a> {
    let flags = if lane.wants_to_send() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    PollFd::new(lane.stream(), flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use standfast_rpc::message::ReplyStatus;
    use standfast_rpc::xdr::{Decoder, Encoder};

    use crate::load::{Field, Outbox, Progress, Template};

    /// So many NULLs.
    struct Nulls(u64);

    impl Work for Nulls {
        fn next(&mut self, _slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
            let left = self.0 > 0;
            if left {
                self.0 -= 1;
                outbox.push(&Template::new((1, 1, 0), &(), Field::None), xid, 0);
            }
            left
        }

        fn judge(&mut self, _slot: usize, _results: &mut Decoder<'_>) -> Result<Progress, Error> {
            Ok(Progress::Done(1))
        }
    }

    /// Answers every call with `status`, until the client goes: which it does in the middle of
    /// anything, so an error of the socket is the end of the work and not of the test.
    fn answer(stream: TcpStream, status: ReplyStatus) {
        while answer_one(&stream, status).is_ok() {}
    }

    fn answer_one(mut stream: &TcpStream, status: ReplyStatus) -> std::io::Result<()> {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark)?;
        let mut call = vec![0; (u32::from_be_bytes(mark) & 0x7FFF_FFFF) as usize];
        stream.read_exact(&mut call)?;
        let mut reply = Encoder::default();
        status.encode_header(&mut reply, u32::from_be_bytes(*call.first_chunk().unwrap()));
        let mark = reply.len() as u32 | 0x8000_0000;
        let mut record = mark.to_be_bytes().to_vec();
        reply.into_segments().iter().for_each(|segment| record.extend_from_slice(segment));
        stream.write_all(&record)
    }

    fn load(status: ReplyStatus, calls: u64, warm_up: u64) -> Result<Measurement, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let server = thread::spawn(move || answer(stream, status));
        let bound = |operations| Bound { operations, time: Duration::from_secs(60) };
        let plan = Plan { depth: 4, warm_up: bound(warm_up), measured: bound(100) };
        let watched = Watched::new(std::process::id()).unwrap();
        let result = run(vec![(&client, Box::new(Nulls(calls)))], &plan, &watched);
        drop(client);
        server.join().unwrap();
        result
    }

    #[test]
    fn measures_until_the_bound_or_the_end_of_work() {
        let bounded = load(ReplyStatus::Success, 1000, 10).unwrap();
        assert_eq!((bounded.operations, bounded.latencies.len()), (100, 100));
        assert!((110..=114).contains(&bounded.completed[0]));
        let exhausted = load(ReplyStatus::Success, 50, 10).unwrap();
        assert_eq!((exhausted.operations, exhausted.completed), (40, vec![50]));
    }

    #[test]
    fn nothing_or_a_refusal_is_no_measurement() {
        assert!(matches!(load(ReplyStatus::Success, 10, 10), Err(Error::Nothing)));
        let refused = load(ReplyStatus::SystemError, 10, 1);
        assert!(matches!(refused, Err(Error::Refused(ReplyStatus::SystemError))));
    }
}
