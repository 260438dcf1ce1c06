//! Reading the settings of a cluster from a file, with their places.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::{Table, contradictions};
use super::{
    ClusterSettings, Engine, Failback, FloatingAddress, PoolSettings, ServiceSettings, Timing,
};
use crate::diagnostic::{Diagnostic, Issues, Severity, Source};
use crate::export_section;
use crate::load::read_source;
use crate::section::Section;
use crate::value::{Keyword, Value, read_text, wrong_type};

impl Keyword for Failback {
    const WORDS: &'static [(&'static str, Self)] =
        &[("stay", Self::Stay), ("idle", Self::Idle), ("now", Self::Now)];
}

impl Keyword for Engine {
    const WORDS: &'static [(&'static str, Self)] = &[("directory", Self::Directory)];
}

impl Value for FloatingAddress {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "an address such as \"10.0.0.10/24\"", issues, str::parse)
    }
}

/// The settings of a file, and all that is to be said about them.
#[derive(Clone, Debug)]
pub struct LoadedCluster {
    /// The settings, if there is no error.
    pub settings: Option<ClusterSettings>,
    /// What was found, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The file that was read, for showing the places.
    pub source: Option<Source>,
}

/// Reads the settings of a cluster from a file.
pub fn load_cluster(file: &Path) -> LoadedCluster {
    match read_source(file) {
        Ok(source) => load_cluster_source(source),
        Err(diagnostic) => {
            LoadedCluster { settings: None, diagnostics: vec![diagnostic], source: None }
        }
    }
}

/// As [`load_cluster`], with the text at hand.
pub fn load_cluster_source(source: Source) -> LoadedCluster {
    let mut issues = Issues::default();
    let settings = match std::str::from_utf8(source.bytes()) {
        Ok(text) => read(text, &mut issues),
        Err(error) => {
            let at = error.valid_up_to();
            issues.error(at..at + 1, "the file is not valid UTF-8");
            ClusterSettings::default()
        }
    };
    let diagnostics = issues.locate(&source);
    let failed = diagnostics.iter().any(|found| found.severity == Severity::Error);
    LoadedCluster { settings: (!failed).then_some(settings), diagnostics, source: Some(source) }
}

/// Where each key of each table is; the empty key is the table itself.
type Places = BTreeMap<(Table, &'static str), Range<usize>>;

fn read(text: &str, issues: &mut Issues) -> ClusterSettings {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        issues.error(error.span().unwrap_or(0..0), error.message());
    }
    let mut of_values = Issues::default();
    let mut places = Places::new();
    let mut settings = ClusterSettings::default();
    let mut top = Section::new("", Some(document.get_ref()), &mut of_values);
    let timing = top.raw("timing");
    let pools = top.raw("pool");
    let services = top.raw("service");
    top.finish();
    settings.timing = read_timing(timing, &mut places, &mut of_values);
    for (value, table) in tables(pools, "[[pool]]", &mut of_values) {
        read_pool(table, value.span(), &mut settings, &mut places, &mut of_values);
    }
    for (value, table) in tables(services, "[[service]]", &mut of_values) {
        read_service(table, value.span(), text, &mut settings, &mut places, &mut of_values);
    }
    // What contradicts itself is looked for in what could be read.
    if errors.is_empty() && !of_values.has_errors() {
        for found in contradictions(&settings) {
            let place = places.get(&(found.table.clone(), found.key));
            let place = place.or_else(|| places.get(&(found.table, "")));
            let place = place.cloned().unwrap_or(0..0);
            of_values.error(place, found.message).maybe_help(found.help);
        }
    }
    issues.add_elsewhere(of_values);
    settings
}

fn tables<'t>(
    value: Option<&'t Spanned<DeValue<'t>>>,
    title: &str,
    issues: &mut Issues,
) -> Vec<(&'t Spanned<DeValue<'t>>, &'t DeTable<'t>)> {
    let Some(value) = value else { return Vec::new() };
    let Some(array) = value.get_ref().as_array() else {
        wrong_type(value, &format!("tables that begin with {title}"), issues);
        return Vec::new();
    };
    let mut tables = Vec::new();
    for value in array.iter() {
        match value.get_ref().as_table() {
            Some(table) => tables.push((value, table)),
            None => wrong_type(value, &format!("a table that begins with {title}"), issues),
        }
    }
    tables
}

fn read_timing(
    value: Option<&Spanned<DeValue<'_>>>,
    places: &mut Places,
    issues: &mut Issues,
) -> Timing {
    let mut timing = Timing::default();
    let mut section = Section::of_value("[timing]", value, issues);
    for (key, target, bounds) in timing.bounded() {
        section.set_within(key, target, bounds);
        note(&section, Table::Timing, key, places);
    }
    section.finish();
    timing
}

fn note(section: &Section<'_, '_>, table: Table, key: &'static str, places: &mut Places) {
    if let Some(span) = section.span(key) {
        places.insert((table, key), span);
    }
}

/// The name of a table, which no other of its kind may have.
fn read_name(
    section: &mut Section<'_, '_>,
    span: &Range<usize>,
    what: &str,
    taken: impl Fn(&str) -> bool,
) -> Option<String> {
    let Some(name) = section.get::<String>("name") else {
        if section.span("name").is_none() {
            section.issues.error(span.clone(), format!("this {what} has no `name`"));
        }
        return None;
    };
    if taken(&name) {
        let at = section.span("name").unwrap_or_else(|| span.clone());
        section.issues.error(at, format!("there are two {what}s with the name `{name}`"));
    }
    Some(name)
}

fn read_pool(
    table: &DeTable<'_>,
    span: Range<usize>,
    settings: &mut ClusterSettings,
    places: &mut Places,
    issues: &mut Issues,
) {
    let mut section = Section::new("[[pool]]", Some(table), issues);
    let taken = |name: &str| settings.pools.contains_key(name);
    let name = read_name(&mut section, &span, "pool", taken);
    let mut pool =
        PoolSettings { engine: Engine::default(), path: PathBuf::new(), fence: Vec::new() };
    section.set("engine", &mut pool.engine);
    section.set("path", &mut pool.path);
    section.set("fence", &mut pool.fence);
    if section.span("path").is_none() {
        section
            .issues
            .error(span.clone(), "this pool has no `path`")
            .help("add the directory that every node mounts, such as: path = \"/mnt/shared\"");
    }
    if let Some(name) = name {
        let at = Table::Pool(name.clone());
        for key in ["name", "path"] {
            note(&section, at.clone(), key, places);
        }
        places.insert((at, ""), span);
        settings.pools.insert(name, pool);
    }
    section.finish();
}

fn read_service(
    table: &DeTable<'_>,
    span: Range<usize>,
    text: &str,
    settings: &mut ClusterSettings,
    places: &mut Places,
    issues: &mut Issues,
) {
    let mut section = Section::new("[[service]]", Some(table), issues);
    let taken = |name: &str| settings.services.contains_key(name);
    let name = read_name(&mut section, &span, "service", taken);
    let mut service = ServiceSettings::default();
    section.set("addresses", &mut service.addresses);
    section.set("pool", &mut service.pool);
    section.set("prefer", &mut service.prefer);
    section.set("only", &mut service.only);
    section.set("apart_from", &mut service.apart_from);
    section.set("together_with", &mut service.together_with);
    section.set("failback", &mut service.failback);
    let exports = section.raw("export");
    if let Some(name) = &name {
        let at = Table::Service(name.clone());
        let keys = [
            "name",
            "addresses",
            "pool",
            "prefer",
            "only",
            "apart_from",
            "together_with",
            "export",
        ];
        for key in keys {
            note(&section, at.clone(), key, places);
        }
        places.insert((at, ""), span);
    }
    section.finish();
    if let Some(exports) = exports {
        let read = export_section::read_exports(exports, text, issues);
        service.exports = read.into_iter().map(|(export, _)| export).collect();
    }
    if let Some(name) = name {
        settings.services.insert(name, service);
    }
}
