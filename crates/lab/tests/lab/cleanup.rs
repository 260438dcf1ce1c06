//! Nothing of a lab is left, however it ends.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::Trial;
use standfast_lab::trial::{TestResult, trial};
use standfast_lab::{Error, Lab, Requirement, missing, wait_until};

use crate::SOON;

/// The argument with which this program holds a lab until it is killed.
pub(crate) const HOLD: &str = "--hold-a-lab";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("nothing_is_left_of_a_dropped_lab", &[], nothing_left_of_a_dropped_lab),
        trial("nothing_is_left_after_a_panic", &[], nothing_left_after_a_panic),
        trial("nothing_is_left_of_a_killed_process", &[], nothing_left_of_a_killed_process),
    ]
}

/// Whatever keeps a machine alive.
type Held = Vec<Box<dyn std::any::Any>>;

/// A lab with something running in it, and where to look for it: a directory and a process id.
fn busy_lab() -> Result<(Lab, Held, [String; 2]), Error> {
    let lab = Lab::new("held")?;
    let host = lab.host("h")?;
    let mut command = Command::new("sleep");
    command.arg("1000");
    let daemon = host.start("sleep", command)?;
    // A process that nobody holds.
    host.run(["setsid", "-f", "sleep", "1001"])?.ok()?;
    let places = [lab.dir().display().to_string(), daemon.pid().to_string()];
    let mut machines: Held = vec![Box::new(daemon), Box::new(host)];
    if missing(&[Requirement::Guests]).is_empty() {
        let guest = lab.guest("g").boot()?;
        machines.push(Box::new(guest));
    }
    Ok((lab, machines, places))
}

/// Processes of this machine whose command line or directory speaks of the lab.
fn processes_of(lab: &Path) -> Vec<PathBuf> {
    let text = lab.display().to_string();
    let speaks = |process: &PathBuf| {
        ["cmdline", "environ"].iter().any(|file| {
            fs::read(process.join(file)).is_ok_and(|b| String::from_utf8_lossy(&b).contains(&text))
        })
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(speaks).collect()
}

fn is_gone(place: &str) -> bool {
    match place.parse::<u32>() {
        Ok(pid) => !Path::new(&format!("/proc/{pid}")).exists(),
        Err(_) => processes_of(Path::new(place)).is_empty(),
    }
}

fn nothing_left_of_a_dropped_lab(_: &Lab) -> TestResult {
    let (lab, machines, places) = busy_lab()?;
    let dir = lab.dir().to_owned();
    assert!(dir.exists() && !is_gone(&places[1]));
    drop(lab);
    // The machines still live, and the last of them takes everything away.
    assert!(dir.exists());
    drop(machines);
    for place in places {
        assert!(is_gone(&place) && !Path::new(&place).exists(), "{place} is left");
    }
    Ok(())
}

fn nothing_left_after_a_panic(_: &Lab) -> TestResult {
    let mut places = Default::default();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let (_lab, _machines, found) = busy_lab().expect("a lab");
        places = found;
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(result.is_err());
    for place in places {
        assert!(is_gone(&place) && !Path::new(&place).exists(), "{place} is left");
    }
    Ok(())
}

/// How many directories of a process's labs are left in memory.
fn left_in_memory(process: u32) -> usize {
    let prefix = format!("standfast-lab-{process}-");
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}

/// Makes a lab, tells where, and waits for ever.
pub(crate) fn hold() -> ExitCode {
    let Ok((_lab, _machines, places)) = busy_lab() else { return ExitCode::FAILURE };
    if writeln!(std::io::stdout(), "{}", places.join(" ")).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}

fn nothing_left_of_a_killed_process(_: &Lab) -> TestResult {
    let mut command = Command::new(env::current_exe()?);
    let mut child = command.arg(HOLD).stdout(Stdio::piped()).spawn()?;
    let child_id = child.id();
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no stdout")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let places: Vec<&str> = line.split_whitespace().collect();
    assert!(places.len() > 1, "it could not make its lab: {line}");
    child.kill()?;
    child.wait()?;
    for place in &places {
        wait_until(SOON, &format!("{place} to be gone"), || is_gone(place))?;
    }
    // The directories go with the next lab, which may be another test's that is at it just now.
    let _next = Lab::new("next")?;
    wait_until(SOON, &format!("nothing to be left of {places:?}"), || {
        left_in_memory(child_id) == 0 && !places.iter().any(|place| Path::new(place).exists())
    })?;
    Ok(())
}
