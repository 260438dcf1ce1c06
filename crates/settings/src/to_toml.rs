//! Exports as they are written in the settings file.

use std::fmt::Write;

use crate::allow::format_rule;
use crate::{ExportSettings, Fsid};

/// The `[[export]]` tables that give these exports, for moving from an exports(5) file to the
/// settings file. Paths that are no UTF-8 cannot be written in TOML; what stands for them is
/// marked by a comment.
pub fn exports_to_toml(exports: &[ExportSettings]) -> String {
    exports.iter().map(export_to_toml).collect::<Vec<_>>().join("\n")
}

fn export_to_toml(export: &ExportSettings) -> String {
    export_table("[[export]]", export)
}

/// The table of one export below its title.
pub(crate) fn export_table(title: &str, export: &ExportSettings) -> String {
    let mut text = format!("{title}\n");
    let mut line = |key: &str, value: String| _ = writeln!(text, "{key} = {value}");
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let path = |path: &std::path::Path| match path.to_str() {
        Some(path) => quoted(path),
        None => format!("{} # this path is not valid UTF-8", quoted(&path.to_string_lossy())),
    };
    line("path", path(&export.path));
    if export.export_path != export.path {
        line("as", path(&export.export_path));
    }
    match export.fsid {
        Some(Fsid::Number(number)) => line("fsid", number.to_string()),
        Some(uuid @ Fsid::Uuid(_)) => line("fsid", quoted(&uuid.to_string())),
        None => {}
    }
    if export.cross_mounts {
        line("cross_mounts", "true".into());
    }
    if !export.delegations {
        line("delegations", "false".into());
    }
    match &export.mount_point {
        Some(mount_point) if *mount_point == export.path => line("mount_point", "true".into()),
        Some(mount_point) => line("mount_point", path(mount_point)),
        None => {}
    }
    let rules: Vec<_> = export.clients.iter().map(|rule| quoted(&format_rule(rule))).collect();
    match rules.as_slice() {
        [rule] => line("allow", format!("[{rule}]")),
        rules => line("allow", format!("[\n    {},\n]", rules.join(",\n    "))),
    }
    text
}
