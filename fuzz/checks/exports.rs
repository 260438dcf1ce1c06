//! Settings: any text in the syntax of exports(5) or in TOML is read or refused, with places that
//! lie in it, and exports survive the move from the one to the other.

use std::path::Path;

use standfast_settings::{
    Diagnostic, PathState, Probe, Source, exports_to_toml, load_source, parse_exports,
};

/// A machine on which everything is as the settings want it.
struct FineMachine;

impl Probe for FineMachine {
    fn state(&self, _: &Path) -> PathState {
        PathState::Directory
    }

    fn is_mount_point(&self, _: &Path) -> bool {
        true
    }

    fn mode(&self, _: &Path) -> Option<u32> {
        Some(0o700)
    }

    fn export_obstacle(&self, _: &Path) -> Option<String> {
        None
    }
}

/// Takes a text.
pub(crate) fn check(data: &[u8]) {
    let (exports, found) = parse_exports(&Source::new("exports", data));
    lie_within(data, &found);
    let toml = exports_to_toml(&exports);
    let utf8 = exports.iter().all(|export| {
        let mut paths =
            [Some(&export.path), Some(&export.export_path), export.mount_point.as_ref()]
                .into_iter()
                .flatten();
        paths.all(|path| path.to_str().is_some())
    });
    if let Some(settings) = load_source(Source::new("toml", toml), &FineMachine).settings
        && utf8
    {
        assert_eq!(settings.exports, exports);
    }
    // The settings may name files, which a check has no business to read.
    if !data.windows(7).any(|piece| piece.eq_ignore_ascii_case(b"exports")) {
        lie_within(data, &load_source(Source::new("toml", data), &FineMachine).diagnostics);
    }
}

fn lie_within(text: &[u8], found: &[Diagnostic]) {
    for place in found.iter().filter_map(|diagnostic| diagnostic.place.as_ref()) {
        assert!(place.span.start <= place.span.end && place.span.end <= text.len());
        assert!(place.line >= 1 && place.column >= 1);
    }
}
