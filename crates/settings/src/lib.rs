//! The settings of the daemon: the file, the exports and who may use them.
//!
//! Everything here is text in, values and findings out; only [`load`] touches the disk.

mod allow;
mod check;
mod client;
mod cluster;
mod danger;
mod diagnostic;
mod duration;
mod export;
mod export_path;
mod export_section;
mod exports_file;
mod load;
mod nearest;
mod options;
mod probe;
mod reload;
mod section;
mod settings;
mod size;
mod to_toml;
mod value;
mod wildcard;

pub use allow::AllowError;
pub use client::{ClientError, ClientMatch};
pub use cluster::{
    AddressError, ClusterSettings, Difference, Engine, Failback, FloatingAddress, LoadedCluster,
    PoolSettings, ServiceSettings, Timing, cluster_to_toml, differences, is_name, load_cluster,
    load_cluster_source,
};
pub use diagnostic::{Diagnostic, Issue, Place, Severity, Source};
pub use duration::{DurationError, format_duration, parse_duration};
pub use export::{
    ClientAccess, ClientRule, ExportId, ExportSettings, Fsid, FsidError, NOBODY, SecurityFlavour,
    Squash,
};
pub use export_path::{PathError, normal_path};
pub use exports_file::parse_exports;
pub use load::{Loaded, load, load_source};
pub use probe::{PathState, Probe, SystemProbe};
pub use reload::{Applies, Change, changes};
pub use settings::{
    GroupLookup, Groups, Limits, Log, LogFormat, Metrics, Nlm, Nsm, Rpcbind, Server, Settings,
    setting_names,
};
pub use size::{ByteSize, ByteSizeError};
pub use to_toml::exports_to_toml;
pub use wildcard::Wildcard;
