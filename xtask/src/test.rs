//! Everything that must pass before a change is done.

use crate::run::{Failed, run, say};

type Step = fn() -> Result<(), Failed>;

/// The steps, those first that fail soonest.
const STEPS: &[(&str, Step)] = &[
    ("fmt", || run("cargo", &["fmt", "--all", "--check"])),
    ("clippy", || {
        run("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    }),
    ("unit", unit),
    ("doc", || run("cargo", &["test", "--workspace", "--doc"])),
    ("lab", || run("cargo", &["test", "--package", "standfast-lab", "--tests"])),
    ("vrrp", || run("cargo", &["test", "--package", "standfast-vrrp", "--tests"])),
    ("stories", || {
        // The stories run the program as it is built beside them.
        run("cargo", &["build", "--package", "standfast"])?;
        run("cargo", &["test", "--package", "standfast-tests"])
    }),
];

/// Packages whose tests drive whole machines: they run one after the other, with steps of their
/// own.
const MACHINES: [&str; 3] = ["standfast-lab", "standfast-vrrp", "standfast-tests"];

/// Runs all steps, or those that are named.
pub(crate) fn run_steps(names: &[String]) -> Result<(), Failed> {
    let is_known = |name: &&String| STEPS.iter().any(|(step, _)| step == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let steps: Vec<_> = STEPS.iter().map(|(step, _)| *step).collect();
        return Err(Failed(format!(
            "no step is called {unknown}; there are: {}",
            steps.join(", ")
        )));
    }
    for (name, step) in STEPS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            step()?;
        }
    }
    say("all passed");
    Ok(())
}

/// Unit and property tests, and those over loopback.
fn unit() -> Result<(), Failed> {
    let mut arguments = vec!["test", "--workspace", "--lib", "--bins", "--tests"];
    MACHINES.iter().for_each(|package| arguments.extend(["--exclude", package]));
    run("cargo", &arguments)
}
