//! What the server counts, for Prometheus.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use standfast_rpc::Server;
use standfast_serving::Instance;

/// Reads the server's counters whenever they are asked for.
pub(crate) struct ServerCollector {
    server: Arc<Server>,
}

impl ServerCollector {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }
}

impl fmt::Debug for ServerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCollector").finish_non_exhaustive()
    }
}

impl Collector for ServerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters = self.server.counters();
        let counts: [(&str, &str, &AtomicU64); 10] = [
            ("connections_accepted", "Connections that were accepted", &counters.accepted),
            (
                "connections_refused",
                "Connections that were closed at once because there were too many",
                &counters.refused,
            ),
            (
                "connections_timed_out",
                "Connections that were closed for being idle or stuck",
                &counters.timed_out,
            ),
            ("malformed", "Messages that were no calls or too long", &counters.malformed),
            ("calls", "Calls that were begun", &counters.calls),
            (
                "reply_cache_hits",
                "Retransmissions that were answered without running again",
                &counters.reply_cache_hits,
            ),
            (
                "reply_cache_misses",
                "Calls that ran under the reply cache",
                &counters.reply_cache_misses,
            ),
            ("paused", "Times that reading paused at a limit", &counters.paused),
            ("received_bytes", "Bytes that were received", &counters.bytes_received),
            ("sent_bytes", "Bytes that were sent", &counters.bytes_sent),
        ];
        for (name, help, count) in counts {
            let counter = ConstCounter::new(count.load(Ordering::Relaxed));
            let name = format!("standfast_nfs_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let (replies, reply_bytes) = self.server.reply_cache().usage();
        let gauges = [
            ("connections", "Connections now", self.server.registry().len()),
            (
                "in_flight_bytes",
                "Bytes of requests and replies in memory",
                self.server.bytes_in_flight(),
            ),
            ("reply_cache_replies", "Replies kept for retransmissions", replies),
            ("reply_cache_bytes", "Bytes that these take", reply_bytes),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let name = format!("standfast_nfs_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

/// Reads how much room the journal has whenever it is asked for.
pub(crate) struct JournalCollector {
    instance: Weak<Instance>,
}

impl JournalCollector {
    pub(crate) fn new(instance: &Arc<Instance>) -> Self {
        Self { instance: Arc::downgrade(instance) }
    }
}

impl fmt::Debug for JournalCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalCollector").finish_non_exhaustive()
    }
}

impl Collector for JournalCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(instance) = self.instance.upgrade() else { return Ok(()) };
        let room = instance.journal_room();
        let gauges = [
            (
                "reserve_bytes",
                "Bytes on the disk that are kept for the day when it is full",
                room.reserve_bytes,
            ),
            ("reserve_wanted_bytes", "Bytes that should be kept for that", room.wanted_bytes),
            (
                "waits_for_room",
                "Whether changes wait because the disk is full",
                u64::from(room.is_waiting()),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let name = format!("standfast_journal_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
