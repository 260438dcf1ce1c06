//! What a person sees while the drill runs: on standard error, live on a terminal, else as lines.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use standfast_drill::fault::Fault;
use standfast_drill::round::{Round, Watch};

/// From this long without an answer on, the pause is shown as it grows.
const NOTICEABLE: Duration = Duration::from_millis(100);

/// The screen.
pub(super) struct Screen {
    bar: Option<ProgressBar>,
    interrupted: Arc<AtomicBool>,
}

impl Screen {
    pub(super) fn new(interrupted: Arc<AtomicBool>) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, interrupted }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nobody reads any more: no reason to stop.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }

    /// Says what is going to happen.
    pub(super) fn introduce(&self, nodes: usize) {
        self.line(&format!(
            "A cluster of {nodes} nodes on this machine: each has its own network and processes, \
             and all\nof them store in one directory of this machine, which takes the place of \
             storage that\nevery node reaches. Its failures are real, that storage never fails.\n"
        ));
    }

    /// A step of bringing the cluster up.
    pub(super) fn step(&self, text: &str) {
        self.line(&format!("  {text}"));
    }

    pub(super) fn begin(&self, fault: Fault, run: usize, runs: usize) {
        let of = if runs > 1 { format!(" ({run} of {runs})") } else { String::new() };
        self.line(&format!("\n{}{of}", fault.description()));
    }

    /// What came of a round: the steps, the pause, and whatever should not have been.
    pub(super) fn end(&self, round: &Round) {
        let mut before = 0;
        for step in &round.steps {
            let took = step.at_ms.saturating_sub(before);
            self.line(&format!("    {:>6} ms  +{took:<5} {}", step.at_ms, step.name));
            before = step.at_ms;
        }
        self.line(&format!(
            "  the clients paused for {:.0} ms; {} operations were answered and checked",
            round.pause_ms, round.operations
        ));
        for violation in &round.violations {
            self.line(&format!("  VIOLATION: {violation}"));
        }
        for found in &round.findings {
            self.line(&format!("  {} at {:.3?}: {}", found.client, found.at, found.what));
        }
    }
}

impl Watch for Screen {
    fn event(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.line(&format!("  {text}")),
        }
    }

    fn tick(&mut self, answered: usize, waiting: Duration) {
        let Some(bar) = &self.bar else { return };
        let pause = match waiting > NOTICEABLE {
            true => format!("; a client waits since {} ms", waiting.as_millis()),
            false => String::new(),
        };
        bar.set_message(format!("{answered} operations answered{pause}"));
    }

    fn goes_on(&mut self) -> bool {
        !self.interrupted.load(Ordering::Relaxed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
