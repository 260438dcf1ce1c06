//! From the settings to the limits of each part.

use standfast_journal::{CompactionPolicy, Options};
use standfast_nfs::locks::LockLimits;
use standfast_nfs::service::PayloadLimits;
use standfast_nfs::v4::state::Settings as StateSettings;
use standfast_rpc::reply_cache::CacheLimits;
use standfast_rpc::server::ServerLimits;
use standfast_settings::{Limits, Settings};

/// `is_sole`: no other process can have files of the journal open.
pub(crate) fn journal_options(settings: &Settings, is_sole: bool) -> Options {
    let set = &settings.journal;
    Options {
        segment_bytes: set.segment_size.as_u64(),
        reserve_bytes: set.reserve.as_u64(),
        is_sole,
        queue_bytes: set.queue.as_usize(),
        compaction: CompactionPolicy {
            minimum_bytes: set.compact_after.as_u64(),
            ..CompactionPolicy::default()
        },
        ..Options::default()
    }
}

pub(crate) fn lock_limits(settings: &Settings) -> LockLimits {
    let set = &settings.locks;
    LockLimits {
        per_client: set.per_client,
        total: set.total,
        files: set.files,
        waiters_per_file: set.waiters_per_file,
    }
}

pub(crate) fn state_settings(settings: &Settings) -> StateSettings {
    let (set, payload) = (&settings.nfs4, payload_limits(&settings.limits));
    let message = u32::try_from(payload.payload()).unwrap_or(u32::MAX).saturating_add(4096);
    StateSettings {
        lease: set.lease_time,
        forget_after: set.forget_clients_after,
        clients: set.clients,
        sessions_per_client: set.sessions_per_client,
        slots_per_session: set.slots_per_session,
        operations: set.operations_per_compound,
        request_bytes: message,
        reply_bytes: message,
        cached_reply_bytes: u32::try_from(set.cached_reply.as_u64()).unwrap_or(u32::MAX),
        owners_per_client: set.owners_per_client,
        states_per_client: set.states_per_client,
        delegations: set.delegations,
    }
}

/// The limits of a server, from the settings.
pub fn server_limits(limits: &Limits) -> ServerLimits {
    ServerLimits {
        connections: limits.connections,
        requests_per_connection: limits.requests_per_connection,
        callbacks_per_connection: limits.callbacks_per_connection,
        bytes_per_connection: limits.bytes_per_connection.as_usize(),
        bytes_in_flight: limits.bytes_in_flight.as_usize(),
        record_size: payload_limits(limits).payload() + (64 << 10),
        idle_timeout: limits.idle_timeout,
        record_timeout: limits.record_timeout,
        send_timeout: limits.reply_timeout,
        reply_cache: CacheLimits {
            entries: limits.reply_cache_entries,
            bytes: limits.reply_cache.as_usize(),
            ..ServerLimits::default().reply_cache
        },
    }
}

pub(crate) fn payload_limits(limits: &Limits) -> PayloadLimits {
    PayloadLimits { max_read: limits.max_read.as_usize(), max_write: limits.max_write.as_usize() }
}
