//! What all services on a node share: threads, names, what is counted.

use std::io;
use std::sync::Arc;

use standfast_nfs::exports::{Names, SystemNames};
use standfast_nfs::metrics::Metrics;
use standfast_nfs::pool::Pool;
use standfast_rpc::server::Reactors;
use standfast_settings::Limits;

/// What all services on a node share.
pub struct Node {
    pub(crate) pool: Arc<Pool>,
    pub(crate) reactors: Arc<Reactors>,
    pub(crate) names: Arc<Names>,
    pub(crate) metrics: Metrics,
}

impl Node {
    /// Starts the threads that carry connections, one for each processor, and those that wait
    /// for disks.
    ///
    /// # Errors
    /// When a thread does not start.
    pub fn start(limits: &Limits) -> io::Result<Arc<Self>> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            pool: Pool::new(limits.io_threads),
            reactors: Arc::new(Reactors::start(processors)?),
            names: Arc::new(Names::new(Arc::new(SystemNames))),
            metrics: Metrics::default(),
        }))
    }

    /// What is counted of all exports.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
