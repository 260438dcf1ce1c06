//! Reading the settings again while clients go on working.

use std::sync::Arc;

use standfast_api::ReloadReport;
use standfast_settings::{Applies, Severity, SystemProbe, changes, load};

use super::{Daemon, SettingsSource};

impl Daemon {
    /// Puts new settings in force; if they are no good, the old ones stay.
    pub(crate) async fn reload(self: &Arc<Self>) -> ReloadReport {
        let daemon = Arc::clone(self);
        // Files are read and directories opened: not for a thread that serves.
        let reloaded = tokio::task::spawn_blocking(move || daemon.reload_now()).await;
        let report = reloaded.unwrap_or_else(|error| ReloadReport {
            errors: vec![format!("the reload was cut short: {error}")],
            ..ReloadReport::default()
        });
        for error in &report.errors {
            tracing::error!(%error, "not reloaded; the old settings stay in force");
        }
        if report.errors.is_empty() {
            tracing::info!(applied = ?report.applied, needs_restart = ?report.needs_restart,
                "reloaded");
        }
        report
    }

    fn reload_now(&self) -> ReloadReport {
        let mut report = ReloadReport::default();
        let SettingsSource::File(file) = &self.source else {
            report.errors.push("it was started by `serve`, without a settings file".into());
            return report;
        };
        let loaded = load(file, &SystemProbe);
        for finding in &loaded.diagnostics {
            let list = match finding.severity {
                Severity::Error => &mut report.errors,
                Severity::Warning => &mut report.warnings,
                Severity::Note => continue,
            };
            list.push(finding.to_string());
        }
        let Some(new) = loaded.settings else {
            *self.problem.lock() = Some(report.errors.join("; "));
            return report;
        };
        if let Err(error) = self.log.set_filter(&new.log.filter) {
            report.errors.push(error.to_string());
            return report;
        }
        let mut settings = self.settings.lock();
        for change in changes(&settings, &new) {
            match change.applies {
                Applies::Live => report.applied.push(change.key),
                Applies::Restart => report.needs_restart.push(change.key),
            }
        }
        let problems = self.instance.reload(&new);
        *self.problem.lock() = self.instance.problem();
        report.warnings.extend(problems);
        *settings = new;
        report
    }
}
