//! Where the log goes: a terminal gets lines to read, journald its own fields, all else JSON.

use std::io::IsTerminal;

use miette::{IntoDiagnostic, WrapErr};
use standfast_settings::LogFormat;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Changes what is logged while the daemon runs.
pub(crate) struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    /// Logs by this filter from now on.
    pub(crate) fn set_filter(&self, filter: &str) -> miette::Result<()> {
        self.filter.reload(parse(filter)?).into_diagnostic()
    }
}

/// Begins to log.
pub(crate) fn begin(filter: &str, format: LogFormat) -> miette::Result<LogControl> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let format = match format {
        LogFormat::Auto if std::io::stderr().is_terminal() => LogFormat::Text,
        // journald says so where it is what standard error goes to.
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let layer: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Journald => Box::new(
            tracing_journald::layer().into_diagnostic().wrap_err("journald does not answer")?,
        ),
        LogFormat::Text | LogFormat::Auto => {
            let colours = std::io::stderr().is_terminal();
            Box::new(fmt::layer().with_writer(std::io::stderr).with_ansi(colours))
        }
        LogFormat::Json => Box::new(fmt::layer().json().with_writer(std::io::stderr)),
    };
    Registry::default().with(filter).with(layer).try_init().into_diagnostic()?;
    Ok(LogControl { filter: handle })
}

/// The consensus library tells of each message that does not arrive, ten times a second; what people
/// need to know of it is in the cluster's own messages. A filter that names it has its way.
const QUIET: &str = "openraft=off";

fn parse(filter: &str) -> miette::Result<EnvFilter> {
    let with_quiet = format!("{QUIET},{filter}");
    EnvFilter::builder().parse(with_quiet).into_diagnostic().wrap_err_with(|| {
        format!(
            "`{filter}` is not a log filter; write `info`, or such as `info,standfast_nfs=debug`"
        )
    })
}
