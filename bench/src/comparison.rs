//! Runs the servers in turn.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use standfast_lab::Lab;

use crate::Error;
use crate::filesystem::Filesystem;
use crate::fixture::{Fixture, can_drop_caches};
use crate::load::{Bound, Plan};
use crate::options::Options;
use crate::report::{Machine, Report, Row, Sample};
use crate::rows::{self, Action, Cache, LARGE, Scene};
use crate::server::Running;
use crate::v3::Stage;

/// Before each measurement, so that no server is measured while it wakes up.
const WARM_UP: Duration = Duration::from_millis(300);
/// A faster server is not measured for longer than this takes.
const MOST_OPERATIONS: u64 = 1_000_000;
/// Names that are made by one measurement, and before it.
const NAMES: (u64, u64) = (20_000, 200);

/// Measures all that `options` ask for.
///
/// # Errors
/// What keeps servers or files from being set up. A row that fails is in the report.
pub fn compare(options: &Options) -> Result<Report, Error> {
    let (scenes, notes) = scenes(options);
    let scratch = tempfile::tempdir().map_err(Error::io("make a directory"))?;
    let fixture = Fixture::new(&options.directory(), &scenes, options.data_length())?;
    let filesystem = Filesystem::measure(fixture.path())?;
    let lab = Lab::new("bench")?;
    let servers = options.servers.iter().map(|name| {
        let server = name.server();
        let own = scratch.path().join(server.name());
        std::fs::create_dir(&own).map_err(Error::path("make", &own))?;
        Running::start(&lab, server.as_ref(), fixture.path(), &own)
    });
    let servers = servers.collect::<Result<Vec<_>, _>>()?;
    let machine = Machine::this();
    pin()?;
    let names = servers.iter().map(|server| server.name).collect();
    let mut report = Report { machine, filesystem, servers: names, rows: Vec::new(), notes };
    let mut run = 0;
    for (number, scene) in scenes.iter().enumerate() {
        let mut rows = Row::of_scene(scene, servers.len());
        for _round in 0..options.rounds() {
            for (index, server) in servers.iter().enumerate() {
                run += 1;
                progress(&format!("{}/{} {} ", number + 1, scenes.len(), server.name));
                measure_scene(options, &fixture, scene, server, (run, index), &mut rows);
            }
        }
        let wanted = |row: &Row| rows::is_wanted(&row.label, &options.rows);
        report.rows.extend(rows.into_iter().filter(wanted));
    }
    progress("");
    Ok(report)
}

/// What to measure, and what must be said about it.
fn scenes(options: &Options) -> (Vec<Scene>, Vec<String>) {
    let mut scenes = rows::select(rows::all(), &options.rows);
    let mut notes = Vec::new();
    if scenes.iter().any(|scene| scene.cache == Cache::Cold) && !can_drop_caches() {
        scenes.retain(|scene| scene.cache == Cache::Hot);
        notes.push("No cold rows: /proc/sys/vm/drop_caches cannot be written here.".into());
    }
    (scenes, notes)
}

/// Measures the steps of a scene until one fails.
fn measure_scene(
    options: &Options,
    fixture: &Fixture,
    scene: &Scene,
    server: &Running,
    (run, index): (u64, usize),
    rows: &mut [Row],
) {
    let mut next = 0;
    let mut steps = || -> Result<(), Error> {
        let workplace = fixture.workplace(&format!("{run}"), scene)?;
        let mut stage = Stage::new(server, fixture, &workplace, scene, run)?;
        fixture.settle(scene)?;
        for step in scene.steps {
            let plan = plan(options, scene, step.action);
            server.watched.reset_peak()?;
            let measurement = stage.measure(step.action, &plan)?;
            let sample = Sample::new(&measurement, step.action.unit(), server.watched.memory()?);
            rows[next].samples[index].push(sample);
            next += 1;
        }
        Ok(())
    };
    if let Err(error) = steps() {
        let row = rows[next].label.clone();
        let error = Error::Row { row, server: server.name, source: Box::new(error) };
        rows[next].failures.push(error.to_string());
    }
}

/// How long and how much to measure.
fn plan(options: &Options, scene: &Scene, action: Action) -> Plan {
    let time = options.time();
    let bound = |operations, time| Bound { operations, time };
    let (warm_up, measured) = match (scene.cache, action) {
        (Cache::Cold, _) => {
            let warm_up = bound(0, Duration::ZERO);
            (warm_up, bound(cold_operations(options, scene, action), time * 5))
        }
        (_, Action::Create | Action::MkDir | Action::Rename | Action::Unlink | Action::RmDir) => {
            (bound(NAMES.1, WARM_UP), bound(NAMES.0, time))
        }
        _ => (bound(u64::MAX, WARM_UP.min(time)), bound(MOST_OPERATIONS, time)),
    };
    Plan { depth: scene.depth, warm_up, measured }
}

/// So few that (nearly) nothing is asked for twice.
fn cold_operations(options: &Options, scene: &Scene, action: Action) -> u64 {
    match action {
        Action::Read(LARGE, _) => {
            options.data_length() / LARGE as u64 - (scene.connections * scene.depth) as u64 - 1
        }
        Action::Lookup => 5_000,
        Action::ReadDirPlus => 200,
        _ => 20_000,
    }
}

/// Keeps the generator on the last processor, so that its own wandering is not measured. The
/// servers may use all.
fn pin() -> Result<(), Error> {
    let allowed = sched_getaffinity(None).map_err(Error::io("read the processor affinity"))?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).unwrap_or(0);
    let mut set = CpuSet::new();
    set.set(last);
    sched_setaffinity(None, &set).map_err(Error::io("set the processor affinity"))
}

/// Shows on stderr, in one line, what is being done.
fn progress(text: &str) {
    let mut out = io::stderr();
    if !out.is_terminal() {
        return;
    }
    let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
}
