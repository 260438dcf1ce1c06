//! What a scene needs before it begins.

use standfast_nfs::v3::protocol::FileHandle;

use super::calls::{lookup, numbered_name};
use super::data::{Blocks, Reads, Writes};
use super::listing::Listings;
use super::lookups::{GetAttrs, Lookups, Nulls, Stats};
use super::names::{FILE, Names};
use crate::Error;
use crate::fixture::{self, Fixture, Workplace};
use crate::load::{Measurement, Plan, Session, Work, run};
use crate::rows::{Action, Scene};
use crate::server::Running;

/// Connections to a server, with the directories that its scene works in.
pub struct Stage<'a> {
    running: &'a Running,
    fixture: &'a Fixture,
    workplace: &'a Workplace,
    scene: &'a Scene,
    root: FileHandle,
    seats: Vec<Seat>,
    seed: u64,
}

/// One connection.
struct Seat {
    session: Session,
    /// Its own directory.
    directory: FileHandle,
    /// Names that are in it.
    names: u64,
}

impl<'a> Stage<'a> {
    /// Connects. `seed` makes one run differ from another.
    ///
    /// # Errors
    /// Those of the connection, or an NFS status.
    pub fn new(
        running: &'a Running,
        fixture: &'a Fixture,
        workplace: &'a Workplace,
        scene: &'a Scene,
        seed: u64,
    ) -> Result<Self, Error> {
        let root = running.root()?;
        let seat = |index: usize| {
            let mut session = running.connect()?;
            let mut directory = root.clone();
            for name in workplace.names(index) {
                directory = lookup(&mut session, &directory, &name)?;
            }
            Ok(Seat { session, directory, names: 0 })
        };
        let seats = (0..scene.connections).map(seat).collect::<Result<_, Error>>()?;
        Ok(Self { running, fixture, workplace, scene, root, seats, seed })
    }

    /// Measures one step of the scene.
    ///
    /// # Errors
    /// See [`run`].
    pub fn measure(&mut self, action: Action, plan: &Plan) -> Result<Measurement, Error> {
        let limit = plan.warm_up.operations + plan.measured.operations;
        let works = (0..self.seats.len())
            .map(|index| self.work(action, index, limit))
            .collect::<Result<Vec<_>, _>>()?;
        let streams = self.seats.iter().map(|seat| seat.session.stream());
        let measurement = run(streams.zip(works).collect(), plan, &self.running.watched)?;
        for (seat, completed) in self.seats.iter_mut().zip(&measurement.completed) {
            seat.names = match action {
                Action::Create | Action::Rename | Action::MkDir => *completed,
                Action::Unlink | Action::RmDir => 0,
                _ => seat.names,
            };
        }
        Ok(measurement)
    }

    fn work(&mut self, action: Action, index: usize, limit: u64) -> Result<Box<dyn Work>, Error> {
        let share = (index, self.scene.connections);
        let seed = self.seed.wrapping_mul(64) + index as u64;
        let Seat { session, directory, names } = &mut self.seats[index];
        let names = *names;
        let mut find = |name: &str| lookup(session, &self.root, name);
        Ok(match action {
            Action::Null => Box::new(Nulls::new()),
            Action::GetAttr => {
                let names = find(fixture::NAMES)?;
                let file = |number| lookup(session, &names, &numbered_name(FILE, number));
                let files: Vec<_> = (0..fixture::ATTRIBUTES).map(file).collect::<Result<_, _>>()?;
                Box::new(GetAttrs::new(&files, seed))
            }
            Action::Lookup => {
                Box::new(Lookups::new(&find(fixture::NAMES)?, FILE, fixture::NAME_COUNT, seed))
            }
            Action::Read(size, order) => {
                let blocks = Blocks::new((size, order), self.fixture.data_length(), share, seed);
                Box::new(Reads::new(&find(fixture::DATA)?, blocks))
            }
            Action::Write(size, order, stability) => {
                let blocks = Blocks::new((size, order), Workplace::FILE_LENGTH, (0, 1), seed);
                let file = lookup(session, directory, Workplace::FILE)?;
                Box::new(Writes::new(&file, blocks, stability, self.workplace.file(index)))
            }
            Action::Create => Box::new(Names::create(directory, limit)),
            Action::Stat => Box::new(Stats::new(directory, FILE, names, self.scene.depth)),
            Action::Rename => Box::new(Names::rename(directory, names)),
            Action::Unlink => Box::new(Names::unlink(directory, names)),
            Action::MkDir => Box::new(Names::make_directories(directory, limit)),
            Action::RmDir => Box::new(Names::remove_directories(directory, names)),
            Action::ReadDirPlus => {
                Box::new(Listings::new(&find(fixture::MANY)?, fixture::MANY_COUNT))
            }
        })
    }
}
