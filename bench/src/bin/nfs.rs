//! Measures NFS servers side by side.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use standfast_bench::options::Options;
use standfast_bench::report::Report;
use standfast_bench::{Error, comparison, rows};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(options: &Options) -> Result<bool, Error> {
    let mut out = io::stdout().lock();
    let print = Error::io("print");
    if options.list {
        let scenes = rows::select(rows::all(), &options.rows);
        let mut labels =
            scenes.iter().flat_map(|scene| scene.steps.iter().map(|step| scene.label(step)));
        labels.try_for_each(|label| writeln!(out, "{label}")).map_err(print)?;
        return Ok(true);
    }
    let report = comparison::compare(options)?;
    write_report(&mut out, &report, options.json).map_err(print)?;
    Ok(report.is_whole())
}

fn write_report(out: &mut impl Write, report: &Report, json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, report)?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
}
