//! `standfast check`.

use std::path::Path;
use std::process::ExitCode;

use standfast_settings::{
    Loaded, Severity, Source, SystemProbe, exports_to_toml, load, load_source,
};

use super::{findings, print, print_json};
use crate::cli::Check;

pub(super) fn run(args: &Check) -> miette::Result<ExitCode> {
    let loaded = match &args.exports {
        Some(exports) => load_exports(exports),
        None => load(&args.file, &SystemProbe),
    };
    if args.json {
        print_json(&loaded.diagnostics)?;
    } else {
        findings::print(&loaded);
    }
    if args.print
        && let Some(settings) = &loaded.settings
    {
        print(&exports_to_toml(&settings.exports))?;
    } else if !args.json && !loaded.has_errors() {
        print(&summary(&loaded, args))?;
    }
    let worst = loaded.diagnostics.iter().any(|finding| finding.severity == Severity::Warning);
    let failed = loaded.has_errors() || (args.strict && worst);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Checks an exports(5) file as settings that consist of it alone.
fn load_exports(file: &Path) -> Loaded {
    let list = toml::Value::from(file.display().to_string());
    let text = format!("exports_files = [{list}]\n");
    load_source(Source::new("(--exports)", text), &SystemProbe)
}

fn summary(loaded: &Loaded, args: &Check) -> String {
    let count =
        |severity| loaded.diagnostics.iter().filter(|finding| finding.severity == severity).count();
    let exports = loaded.settings.as_ref().map_or(0, |settings| settings.exports.len());
    let file = args.exports.as_ref().unwrap_or(&args.file);
    let warnings = count(Severity::Warning);
    format!("{}: usable; exports: {exports}, warnings: {warnings}\n", file.display())
}
