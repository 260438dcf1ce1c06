//! What is wrong or dangerous about the exports as a whole.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Placed, Severity};
use crate::{ExportId, ExportSettings, Fsid, PathState, Probe};

/// Looks at the exports of all files together.
pub(crate) fn check_exports(
    exports: &[Placed<ExportSettings>],
    probe: &dyn Probe,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    check_unique(exports, &mut found);
    for export in exports {
        check_place(export, probe, &mut found);
        check_fsid(export, &mut found);
        check_nesting(export, exports, &mut found);
    }
    found
}

fn finding(
    severity: Severity,
    export: &Placed<ExportSettings>,
    message: String,
    help: Option<&str>,
) -> Diagnostic {
    let place = Some(export.place.clone());
    Diagnostic { severity, place, message, help: help.map(str::to_owned) }
}

/// Two exports must differ in the path that clients use and in their identity.
fn check_unique(exports: &[Placed<ExportSettings>], found: &mut Vec<Diagnostic>) {
    let mut paths = HashMap::new();
    let mut ids: HashMap<ExportId, &Placed<ExportSettings>> = HashMap::new();
    for export in exports {
        let path = &export.value.export_path;
        if let Some(first) = paths.insert(path, export) {
            let message = format!("`{}` is already exported at {}", path.display(), first.place);
            found.push(finding(Severity::Error, export, message, None));
        } else if let Some(first) = ids.insert(export.value.id(), export) {
            let message = format!(
                "`{}` has the same fsid as `{}` at {}",
                path.display(),
                first.value.export_path.display(),
                first.place
            );
            let help = "give each export an `fsid` of its own";
            found.push(finding(Severity::Error, export, message, Some(help)));
        }
    }
}

/// Zero means more than an identity to NFSv4.
fn check_fsid(export: &Placed<ExportSettings>, found: &mut Vec<Diagnostic>) {
    if export.value.fsid == Some(Fsid::Number(0)) {
        let message = "`fsid` 0 marks the root directory of NFSv4; over NFSv3 it is like any other";
        found.push(finding(Severity::Note, export, message.into(), None));
    }
}

/// The directory must be there. One that is not does not keep the others from being served.
fn check_place(export: &Placed<ExportSettings>, probe: &dyn Probe, found: &mut Vec<Diagnostic>) {
    let (path, shown) = (&export.value.path, export.value.path.display());
    let mut warn = |message: String, help: Option<&str>| {
        found.push(finding(Severity::Warning, export, message, help));
    };
    let not_served = Some("the export is not served until it is");
    match probe.state(path) {
        PathState::Directory => {
            if let Some(obstacle) = probe.export_obstacle(path) {
                warn(format!("`{shown}` cannot be exported: {obstacle}"), None);
            }
        }
        PathState::NotADirectory => warn(format!("`{shown}` is not a directory"), not_served),
        PathState::Missing => warn(format!("`{shown}` does not exist"), not_served),
        PathState::Hidden(reason) => warn(format!("`{shown}` cannot be seen: {reason}"), None),
    }
    if let Some(mount_point) = &export.value.mount_point
        && !probe.is_mount_point(mount_point)
    {
        warn(format!("nothing is mounted on `{}`", mount_point.display()), not_served);
    }
    if path.as_os_str() == "/" {
        let message = "the root directory is exported: with it all secrets of this machine";
        warn(message.into(), Some("export the directories that clients need"));
    }
}

/// A directory inside another export is reached by the rules of both.
fn check_nesting(
    export: &Placed<ExportSettings>,
    exports: &[Placed<ExportSettings>],
    found: &mut Vec<Diagnostic>,
) {
    let inner = &export.value;
    let around = exports
        .iter()
        .filter(|outer| !std::ptr::eq(*outer, export))
        .filter(|outer| inner.path.starts_with(&outer.value.path))
        .filter(|outer| inner.path != outer.value.path || outer.value.clients != inner.clients)
        .min_by_key(|outer| Reverse(outer.value.path.as_os_str().len()));
    if let Some(outer) = around {
        let message = format!(
            "`{}` is inside `{}`, exported at {}",
            inner.path.display(),
            outer.value.path.display(),
            outer.place
        );
        let help = "the clients of the outer export reach its files by the outer rules";
        found.push(finding(Severity::Warning, export, message, Some(help)));
    }
}
