//! Reading the settings file and the files that it names.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::check::check_exports;
use crate::diagnostic::{Diagnostic, Issues, Placed, Severity, Source};
use crate::export_section;
use crate::exports_file::read_exports;
use crate::section::Section;
use crate::{ExportSettings, Probe, Settings};

/// The most that a settings file may be.
const MAX_FILE: u64 = 16 << 20;

/// The settings, and all that is to be said about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings, if there is no error.
    pub settings: Option<Settings>,
    /// What was found, file by file.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, for showing the places.
    pub sources: Vec<Source>,
}

impl Loaded {
    /// Whether the settings cannot be used.
    pub fn has_errors(&self) -> bool {
        self.settings.is_none()
    }

    /// The file that a place is in.
    pub fn source(&self, file: &Path) -> Option<&Source> {
        self.sources.iter().find(|source| source.file() == file)
    }
}

/// Reads a settings file and the exports(5) files that it names, and checks all of it.
pub fn load(file: &Path, probe: &dyn Probe) -> Loaded {
    match read_source(file) {
        Ok(source) => load_source(source, probe),
        Err(diagnostic) => {
            Loaded { settings: None, diagnostics: vec![diagnostic], sources: Vec::new() }
        }
    }
}

/// As [`load`], with the text of the settings file at hand.
pub fn load_source(source: Source, probe: &dyn Probe) -> Loaded {
    let (mut settings, mut exports, mut diagnostics) = read_settings(&source);
    let mut sources = vec![source];
    let mut of_files = Vec::new();
    for file in exports_files(&settings.exports_files, &mut diagnostics) {
        match read_source(&file) {
            Ok(source) => {
                diagnostics.extend(read_exports(&source, &mut of_files));
                sources.push(source);
            }
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    exports.extend(of_files);
    diagnostics.extend(check_exports(&exports, probe));
    diagnostics.extend(check_files(&settings, &sources, probe));
    if exports.is_empty() {
        let message = format!("{}: nothing is exported", sources[0].file().display());
        let help = Some("add an [[export]], or `exports_files`".to_owned());
        diagnostics.push(Diagnostic { severity: Severity::Warning, place: None, message, help });
    }
    let failed = diagnostics.iter().any(|found| found.severity == Severity::Error);
    settings.exports = exports.into_iter().map(|export| export.value).collect();
    Loaded { settings: (!failed).then_some(settings), diagnostics, sources }
}

/// Reads the TOML itself.
fn read_settings(source: &Source) -> (Settings, Vec<Placed<ExportSettings>>, Vec<Diagnostic>) {
    let mut issues = Issues::default();
    let text = match std::str::from_utf8(source.bytes()) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            issues.error(at..at + 1, "the file is not valid UTF-8");
            return (Settings::default(), Vec::new(), issues.locate(source));
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        issues.error(error.span().unwrap_or(0..0), error.message());
    }
    let mut of_values = Issues::default();
    let mut top = Section::new("", Some(document.get_ref()), &mut of_values);
    let mut settings = Settings::read_sections(&mut top);
    top.set("exports_files", &mut settings.exports_files);
    let tables = top.raw("export");
    top.finish();
    let exports = tables.map(|tables| export_section::read_exports(tables, text, &mut of_values));
    issues.add_elsewhere(of_values);
    let place = |(value, span)| Placed { value, place: source.place(span) };
    let exports = exports.into_iter().flatten().map(place).collect();
    (settings, exports, issues.locate(source))
}

/// Reads a whole file, but not one without end.
pub(crate) fn read_source(file: &Path) -> Result<Source, Diagnostic> {
    let fail =
        |error: io::Error| Diagnostic::error(format!("cannot read {}: {error}", file.display()));
    let opened = std::fs::File::open(file).map_err(fail)?;
    if !opened.metadata().map_err(fail)?.is_file() {
        return Err(fail(io::Error::other("it is not a regular file")));
    }
    let mut bytes = Vec::new();
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(fail(io::Error::other("it is larger than 16MiB")));
    }
    Ok(Source::new(file, bytes))
}

/// The files themselves; of a directory those that exportfs(8) reads: `*.exports`, in the order
/// of their names.
fn exports_files(named: &[PathBuf], diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match directory_files(path) {
            Ok(found) => files.extend(found),
            Err(error) => {
                let message = format!("cannot read the directory {}: {error}", path.display());
                diagnostics.push(Diagnostic::error(message));
            }
        }
    }
    files
}

fn directory_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "exports") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Warns of files that too many people may change or read.
fn check_files(settings: &Settings, sources: &[Source], probe: &dyn Probe) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut warn = |message: String, help: String| {
        let help = Some(help);
        found.push(Diagnostic { severity: Severity::Warning, place: None, message, help });
    };
    for file in sources.iter().map(Source::file) {
        if probe.mode(file).is_some_and(|mode| mode & 0o022 != 0) {
            let shown = file.display();
            warn(
                format!(
                    "{shown}: others than its owner may write this file, and so export anything"
                ),
                format!("chmod go-w {shown}"),
            );
        }
    }
    let state_dir = settings.server.state_dir.display();
    if probe.mode(&settings.server.state_dir).is_some_and(|mode| mode & 0o007 != 0) {
        warn(
            format!("{state_dir}: everybody may look into the directory of the file handles' key"),
            format!("chmod o-rwx {state_dir}"),
        );
    }
    found
}
