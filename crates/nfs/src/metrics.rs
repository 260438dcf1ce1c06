//! What is counted for Prometheus, by export and procedure.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::v3::protocol::Procedure;
use crate::v4::protocol::OperationCode;

/// Upper bounds of the latency histogram's buckets, in seconds: from what memory answers to what
/// a hanging disk does.
const BUCKETS: [f64; 14] = [
    0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProcedureLabels {
    export: String,
    version: u32,
    procedure: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExportLabels {
    export: String,
}

/// The metrics of all exports.
#[derive(Clone, Debug)]
pub struct Metrics {
    operations: Family<ProcedureLabels, Counter>,
    errors: Family<ProcedureLabels, Counter>,
    latency: Family<ProcedureLabels, Histogram>,
    bytes_read: Family<ExportLabels, Counter>,
    bytes_written: Family<ExportLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            operations: Family::default(),
            errors: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            bytes_read: Family::default(),
            bytes_written: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds them to what is given to Prometheus, below `standfast_nfs_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("standfast_nfs");
        registry.register("operations", "Operations that were run", self.operations.clone());
        registry.register("errors", "Operations that failed", self.errors.clone());
        registry.register(
            "latency_seconds",
            "Time from the decoded call to the encoded reply",
            self.latency.clone(),
        );
        registry.register("read_bytes", "Bytes that were read", self.bytes_read.clone());
        registry.register("written_bytes", "Bytes that were written", self.bytes_written.clone());
    }

    /// The metrics of one export.
    pub fn of_export(&self, export: &str) -> ExportMetrics {
        let of_procedure = |version, procedure| {
            let labels = ProcedureLabels { export: export.into(), version, procedure };
            ProcedureMetrics {
                operations: self.operations.get_or_create_owned(&labels),
                errors: self.errors.get_or_create_owned(&labels),
                latency: self.latency.get_or_create_owned(&labels),
            }
        };
        let labels = ExportLabels { export: export.into() };
        // Those of which an export hears.
        let operations = OperationCode::ALL.iter().copied().filter(|it| it.concerns_export());
        ExportMetrics {
            procedures: Procedure::ALL.iter().map(|it| of_procedure(3, it.name())).collect(),
            operations: operations.map(|it| (it as u32, of_procedure(4, it.name()))).collect(),
            bytes_read: self.bytes_read.get_or_create_owned(&labels),
            bytes_written: self.bytes_written.get_or_create_owned(&labels),
        }
    }
}

#[derive(Debug)]
struct ProcedureMetrics {
    operations: Counter,
    errors: Counter,
    latency: Histogram,
}

impl ProcedureMetrics {
    fn finished(&self, failed: bool, after: Duration) {
        self.operations.inc();
        if failed {
            self.errors.inc();
        }
        self.latency.observe(after.as_secs_f64());
    }
}

/// The metrics of one export.
#[derive(Debug)]
pub struct ExportMetrics {
    /// By procedure number.
    procedures: Vec<ProcedureMetrics>,
    /// Of NFSv4, by operation number, ascending.
    operations: Vec<(u32, ProcedureMetrics)>,
    bytes_read: Counter,
    bytes_written: Counter,
}

impl ExportMetrics {
    /// An operation came to its end.
    pub fn finished(&self, procedure: u32, failed: bool, after: Duration) {
        if let Some(metrics) = self.procedures.get(procedure as usize) {
            metrics.finished(failed, after);
        }
    }

    /// An operation of NFSv4 came to its end.
    pub fn finished_operation(&self, code: OperationCode, failed: bool, after: Duration) {
        let found = self.operations.binary_search_by_key(&(code as u32), |(number, _)| *number);
        if let Some((_, metrics)) = found.ok().and_then(|at| self.operations.get(at)) {
            metrics.finished(failed, after);
        }
    }

    /// Bytes were read.
    pub fn read(&self, bytes: usize) {
        self.bytes_read.inc_by(bytes as u64);
    }

    /// Bytes were written.
    pub fn written(&self, bytes: usize) {
        self.bytes_written.inc_by(bytes as u64);
    }

    /// Operations so far, those that failed, bytes read and bytes written.
    pub fn totals(&self) -> [u64; 4] {
        let sum = |of: fn(&ProcedureMetrics) -> &Counter| {
            let operations = self.operations.iter().map(|(_, metrics)| metrics);
            self.procedures.iter().chain(operations).map(|metrics| of(metrics).get()).sum()
        };
        [
            sum(|metrics| &metrics.operations),
            sum(|metrics| &metrics.errors),
            self.bytes_read.get(),
            self.bytes_written.get(),
        ]
    }
}
