//! The `[[export]]` tables.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::allow::read_rule;
use crate::danger::warn_of_rule;
use crate::diagnostic::Issues;
use crate::section::Section;
use crate::value::{Mode, wrong_type};
use crate::{ClientAccess, ClientMatch, ClientRule, ExportSettings};

/// Reads all `[[export]]` tables; each export comes with the place of its path.
pub(crate) fn read_exports(
    value: &Spanned<DeValue<'_>>,
    text: &str,
    issues: &mut Issues,
) -> Vec<(ExportSettings, Range<usize>)> {
    let Some(tables) = value.get_ref().as_array() else {
        wrong_type(value, "tables that begin with [[export]]", issues);
        return Vec::new();
    };
    let mut exports = Vec::new();
    for value in tables.iter() {
        match value.get_ref().as_table() {
            Some(table) => exports.extend(read_export(table, value.span(), text, issues)),
            None => wrong_type(value, "a table that begins with [[export]]", issues),
        }
    }
    exports
}

fn read_export(
    table: &DeTable<'_>,
    span: Range<usize>,
    text: &str,
    issues: &mut Issues,
) -> Option<(ExportSettings, Range<usize>)> {
    let mut section = Section::new("[[export]]", Some(table), issues);
    let path: Option<PathBuf> = section.get("path");
    let path_span = section.span("path");
    let mut export = ExportSettings::new(path.clone().unwrap_or_default());
    section.set("as", &mut export.export_path);
    section.set("fsid", &mut export.fsid);
    section.set("cross_mounts", &mut export.cross_mounts);
    section.set("delegations", &mut export.delegations);
    export.mount_point = read_mount_point(&mut section, &export);
    let mut defaults = ClientAccess::default();
    read_access(&mut section, &mut defaults);
    let clients = section.raw("clients");
    let allow = section.raw("allow");
    section.finish();
    if let Some(clients) = clients {
        read_clients(clients, &defaults, &mut export.clients, issues);
    }
    if let Some(allow) = allow {
        read_allow(allow, &defaults, text, &mut export.clients, issues);
    }
    if clients.is_none() && allow.is_none() {
        issues
            .error(span.clone(), "this export lets nobody in: `allow` is missing")
            .help("add who may use it, such as: allow = [\"10.0.0.0/8:rw\"]");
    }
    if path_span.is_none() {
        issues
            .error(span, "this export has no `path`")
            .help("add the directory to export, such as: path = \"/srv/data\"");
    }
    path.and(path_span).map(|path_span| (export, path_span))
}

/// `mount_point = true` asks it of the exported directory, a path of another one.
fn read_mount_point(section: &mut Section<'_, '_>, export: &ExportSettings) -> Option<PathBuf> {
    match section.raw("mount_point").map(Spanned::get_ref) {
        Some(DeValue::Boolean(wanted)) => wanted.then(|| export.path.clone()),
        _ => section.get("mount_point"),
    }
}

/// What a client may do, at an export or at one of its clients.
fn read_access(section: &mut Section<'_, '_>, access: &mut ClientAccess) {
    if let Some(mode) = section.get::<Mode>("access") {
        access.read_only = mode == Mode::ReadOnly;
    }
    section.set("squash", &mut access.squash);
    section.set_within("anon_uid", &mut access.anon_uid, 0..=u32::MAX - 1);
    section.set_within("anon_gid", &mut access.anon_gid, 0..=u32::MAX - 1);
    section.set("secure_ports", &mut access.secure_ports);
    section.set("readdirplus", &mut access.readdirplus);
    section.set("security", &mut access.security);
    if let Some(span) = section.span("security").filter(|_| access.security.is_empty()) {
        section.issues.error(span, "`security` is empty: nobody could be let in");
    }
}

fn read_clients(
    value: &Spanned<DeValue<'_>>,
    defaults: &ClientAccess,
    clients: &mut Vec<ClientRule>,
    issues: &mut Issues,
) {
    let Some(tables) = value.get_ref().as_array() else {
        wrong_type(value, "a list of tables such as { match = \"10.0.0.0/8\" }", issues);
        return;
    };
    for value in tables.iter() {
        let mut section = Section::of_value("a client", Some(value), issues);
        let client = read_match(&mut section);
        let mut access = defaults.clone();
        read_access(&mut section, &mut access);
        section.finish();
        if let Some(client) = client {
            let rule = ClientRule { client, access };
            warn_of_rule(&rule, value.span(), issues);
            add(rule, value.span(), clients, issues);
        } else if value.get_ref().get("match").is_none() {
            issues.error(value.span(), "this client has no `match`");
        }
    }
}

fn read_match(section: &mut Section<'_, '_>) -> Option<ClientMatch> {
    let text: String = section.get("match")?;
    let span = section.span("match")?;
    text.parse()
        .map_err(|error: crate::ClientError| _ = section.issues.error(span, error.to_string()))
        .ok()
}

fn read_allow(
    value: &Spanned<DeValue<'_>>,
    defaults: &ClientAccess,
    text: &str,
    clients: &mut Vec<ClientRule>,
    issues: &mut Issues,
) {
    let one = std::slice::from_ref(value);
    let rules = value.get_ref().as_array().map_or(one, |array| &array[..]);
    for value in rules {
        let Some(rule_text) = value.get_ref().as_str() else {
            wrong_type(value, "a rule such as \"10.0.0.0/8:rw\"", issues);
            continue;
        };
        let mut found = Issues::default();
        let rule = read_rule(rule_text, defaults, &mut found);
        issues.absorb(found, |span| inside_string(value.span(), rule_text, text, span));
        if let Some(rule) = rule {
            add(rule, value.span(), clients, issues);
        }
    }
}

/// The place of a piece of a string: exact where the string is written without escapes.
fn inside_string(
    string: Range<usize>,
    decoded: &str,
    text: &str,
    piece: Range<usize>,
) -> Range<usize> {
    let inner = string.start + 1..string.end.saturating_sub(1);
    match text.get(inner.clone()) {
        Some(written) if written == decoded => inner.start + piece.start..inner.start + piece.end,
        _ => string,
    }
}

fn add(rule: ClientRule, span: Range<usize>, clients: &mut Vec<ClientRule>, issues: &mut Issues) {
    if clients.iter().any(|other| other.client == rule.client) {
        let message = format!("`{}` is named twice for this export", rule.client);
        issues.error(span, message).help("keep one of the two");
    } else {
        clients.push(rule);
    }
}
