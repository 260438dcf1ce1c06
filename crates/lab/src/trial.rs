//! Tests that want a lab, for a test binary without the standard harness.

use std::error::Error as StdError;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use crate::{Lab, Requirement, missing};

/// What a test in a lab gives back.
pub type TestResult = Result<(), Box<dyn StdError + Send + Sync>>;

/// How many labs run at once, unless `--test-threads` says otherwise.
const LABS_AT_ONCE: usize = 2;

/// A test that gets a lab of its own. Where this machine lacks a requirement, the test is reported
/// as ignored, with the reason, and never as passed. When it fails, the logs are printed.
#[must_use]
pub fn trial(
    name: &str,
    requirements: &'static [Requirement],
    test: impl FnOnce(&Lab) -> TestResult + Send + 'static,
) -> Trial {
    let owned = name.to_owned();
    Trial::ignorable_test(name, move || {
        let lacking = missing(&[&[Requirement::Hosts], requirements].concat());
        if !lacking.is_empty() {
            return Ok(Completion::ignored_with(format!("lacks {}", lacking.join(", "))));
        }
        let lab = Lab::new(&owned)?;
        if let Err(error) = test(&lab) {
            lab.dump_logs();
            return Err(error.to_string().into());
        }
        Ok(Completion::Completed)
    })
}

/// Runs tests as the standard harness would, by the arguments of this process.
#[must_use]
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(LABS_AT_ONCE);
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_its_requirements_is_ignored_by_name() {
        let test = trial("named", &[Requirement::Program("no-such-program")], |_| Ok(()));
        assert_eq!(test.name(), "named");
        let conclusion = libtest_mimic::run(&Arguments::default(), vec![test]);
        assert_eq!((conclusion.num_ignored, conclusion.num_passed), (1, 0));
    }
}
