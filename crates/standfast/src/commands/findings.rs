//! Findings about settings, for a person.

use std::path::Path;

use miette::{
    GraphicalReportHandler, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity,
};
use standfast_settings::{self as settings, Loaded, LoadedCluster, Source};

/// All findings with the lines that they are about, for standard error.
pub(super) fn render(loaded: &Loaded) -> String {
    render_all(&loaded.diagnostics, |file| loaded.source(file))
}

fn render_all<'a>(
    diagnostics: &[settings::Diagnostic],
    source: impl Fn(&Path) -> Option<&'a Source>,
) -> String {
    let handler = GraphicalReportHandler::new();
    let mut text = String::new();
    for finding in diagnostics {
        let report = report(&source, finding);
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text += &finding.to_string();
        }
        text.push('\n');
    }
    text
}

fn report<'a>(
    source: &impl Fn(&Path) -> Option<&'a Source>,
    finding: &settings::Diagnostic,
) -> Report {
    let severity = match finding.severity {
        settings::Severity::Error => Severity::Error,
        settings::Severity::Warning => Severity::Warning,
        settings::Severity::Note => Severity::Advice,
    };
    let place = finding.place.as_ref();
    let message = match place {
        Some(place) => format!("{place}: {}", finding.message),
        None => finding.message.clone(),
    };
    let mut diagnostic = MietteDiagnostic::new(message).with_severity(severity);
    if let Some(help) = &finding.help {
        diagnostic = diagnostic.with_help(help.clone());
    }
    let Some((place, source)) = place.and_then(|at| Some((at, source(&at.file)?))) else {
        return Report::new(diagnostic);
    };
    let name = place.file.display().to_string();
    let text = String::from_utf8_lossy(source.bytes()).into_owned();
    Report::new(diagnostic.with_label(LabeledSpan::at(place.span.clone(), "here")))
        .with_source_code(NamedSource::new(name, text))
}

/// Writes the findings to standard error.
pub(super) fn print(loaded: &Loaded) {
    #[expect(clippy::print_stderr, reason = "findings go to a person")]
    {
        eprint!("{}", render(loaded));
    }
}

/// As [`print`], for the settings of a cluster.
pub(super) fn print_cluster(loaded: &LoadedCluster) {
    #[expect(clippy::print_stderr, reason = "findings go to a person")]
    {
        eprint!("{}", render_all(&loaded.diagnostics, |_| loaded.source.as_ref()));
    }
}
