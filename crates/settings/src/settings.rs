//! Every setting: its name, its meaning, its default, its bounds, and when a change of it holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::reload::{Applies, Change};
use crate::section::Section;
use crate::value::Keyword;
use crate::{ByteSize, ExportSettings};

/// An enumeration and the words that stand for it in the file.
macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant,)* }

        impl Keyword for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)*];
        }
    };
}

/// The sections. Each line: key, type, default, when a change holds, and bounds if it has any.
macro_rules! sections {
    ($($(#[$doc:meta])* $section:ident: $name:ident {
        $($(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr, $applies:ident $(, $bounds:expr)?;)*
    })*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$key_doc])* pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $name {
            fn read(section: &mut Section<'_, '_>) -> Self {
                let mut read = Self::default();
                $(sections!(@read section, read, $key $(, $bounds)?);)*
                read
            }

            fn changes(&self, new: &Self, changes: &mut Vec<Change>) {
                $(if self.$key != new.$key {
                    let key = concat!(stringify!($section), ".", stringify!($key));
                    changes.push(Change { key: key.into(), applies: Applies::$applies });
                })*
            }
        })*

        /// All settings of the daemon.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Settings {
            $($(#[$doc])* pub $section: $name,)*
            /// Files in the syntax of exports(5), and directories of such files, that are read
            /// besides.
            pub exports_files: Vec<PathBuf>,
            /// What is exported, from the settings and from those files.
            pub exports: Vec<ExportSettings>,
        }

        impl Settings {
            /// Reads all sections from the top of a file.
            pub(crate) fn read_sections(top: &mut Section<'_, '_>) -> Self {
                let mut settings = Self::default();
                $({
                    let value = top.raw(stringify!($section));
                    let title = concat!("[", stringify!($section), "]");
                    let mut section = Section::of_value(title, value, top.issues);
                    settings.$section = $name::read(&mut section);
                    settings.$section.check(&mut section);
                    section.finish();
                })*
                settings
            }

            /// Every setting that differs, except the exports.
            pub(crate) fn section_changes(&self, new: &Self) -> Vec<Change> {
                let mut changes = Vec::new();
                $(self.$section.changes(&new.$section, &mut changes);)*
                changes
            }
        }

        /// Each section as it is written, and its keys.
        pub(crate) const SECTIONS: &[(&str, &[&str])] = &[
            ("", &["exports_files", "export", $(stringify!($section)),*]),
            $((concat!("[", stringify!($section), "]"), &[$(stringify!($key)),*]),)*
        ];
    };
    (@read $section:ident, $read:ident, $key:ident) => {
        $section.set(stringify!($key), &mut $read.$key);
    };
    (@read $section:ident, $read:ident, $key:ident, $bounds:expr) => {
        $section.set_within(stringify!($key), &mut $read.$key, $bounds);
    };
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

sections! {
    /// Where the server listens and what it calls itself.
    server: Server {
        /// The addresses that it listens on. Those of a family that the machine does not have are
        /// left out.
        listen: Vec<IpAddr> = vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()], Restart;
        /// The port of NFS, and of the other protocols that have none of their own. Zero takes
        /// any free one.
        port: u16 = 2049, Restart;
        /// The port of MOUNT; `port` if there is none.
        mount_port: Option<u16> = None, Restart;
        /// The port of the network lock manager; `port` if there is none.
        nlm_port: Option<u16> = None, Restart;
        /// The port of the network status monitor; `port` if there is none.
        nsm_port: Option<u16> = None, Restart;
        /// How clients find the ports.
        rpcbind: Rpcbind = Rpcbind::Auto, Restart;
        /// Also serve over UDP.
        udp: bool = true, Restart;
        /// What must survive a restart: the key of the file handles, the monitored clients.
        state_dir: PathBuf = "/var/lib/standfast".into(), Restart;
        /// What need not: the control socket.
        run_dir: PathBuf = "/run/standfast".into(), Restart;
    }
    /// How much the server takes on before it makes clients wait.
    limits: Limits {
        /// Connections at once.
        connections: usize = 10_000, Live, 1..=1_000_000;
        /// Requests of one connection that are worked on at once.
        requests_per_connection: usize = 128, Live, 1..=65_536;
        /// Calls to the client of one connection that wait for its answers.
        callbacks_per_connection: usize = 64, Live, 1..=4096;
        /// Bytes of one connection's requests and replies in memory.
        bytes_per_connection: ByteSize = ByteSize::mib(4), Live, ByteSize::kib(128)..=ByteSize::gib(1);
        /// Bytes of all requests and replies in memory.
        bytes_in_flight: ByteSize = ByteSize::mib(256), Live, ByteSize::mib(1)..=ByteSize::gib(1024);
        /// Replies that are kept for retransmissions.
        reply_cache_entries: usize = 65_536, Restart, 16..=16_777_216;
        /// Bytes of the replies that are kept for retransmissions.
        reply_cache: ByteSize = ByteSize::mib(8), Restart, ByteSize::kib(64)..=ByteSize::gib(64);
        /// A connection without a request for this long is closed.
        idle_timeout: Duration = 6 * 60 * SECOND, Live, SECOND..=DAY;
        /// A connection is closed if a request takes longer than this to arrive after its first
        /// byte.
        record_timeout: Duration = 10 * SECOND, Live, SECOND..=3600 * SECOND;
        /// A connection is closed if its client takes none of its replies for this long.
        reply_timeout: Duration = 60 * SECOND, Live, SECOND..=3600 * SECOND;
        /// Threads for requests that wait for a disk.
        io_threads: usize = 256, Restart, 1..=4096;
        /// Those of them that one export may take.
        io_threads_per_export: usize = 32, Restart, 1..=4096;
        /// Files that are kept open between requests.
        cached_files: usize = 4096, Restart, 16..=1_000_000;
        /// The most that one READ gives.
        max_read: ByteSize = ByteSize::mib(1), Live, ByteSize::kib(4)..=ByteSize::mib(4);
        /// The most that one WRITE takes.
        max_write: ByteSize = ByteSize::mib(1), Live, ByteSize::kib(4)..=ByteSize::mib(4);
    }
    /// The log of what clients were promised, which outlives the server.
    journal: Journal {
        /// The directory that it lies in. Without one: in the storage of the first export that
        /// takes it, in a directory that no client reaches.
        directory: Option<PathBuf> = None, Restart;
        /// A file of the log that would grow beyond this is followed by a new one.
        segment_size: ByteSize = ByteSize::mib(64), Restart, ByteSize::mib(1)..=ByteSize::gib(1);
        /// The log is not compacted before it is as long as this.
        compact_after: ByteSize = ByteSize::mib(16), Restart, ByteSize::kib(64)..=ByteSize::gib(4);
        /// Room on the disk that is kept for the log, for the day when the disk is full. 0: none.
        reserve: ByteSize = ByteSize::mib(16), Restart, ByteSize::kib(0)..=ByteSize::gib(4);
        /// The most that waits for the disk before requests are refused.
        queue: ByteSize = ByteSize::mib(64), Restart, ByteSize::mib(4)..=ByteSize::gib(4);
    }
    /// NFSv4: what clients may hold, and for how long.
    nfs4: Nfs4 {
        /// How long a client may be silent before others may take what it holds.
        lease_time: Duration = 90 * SECOND, Restart, SECOND..=3600 * SECOND;
        /// How long a silent client that holds nothing is remembered.
        forget_clients_after: Duration = DAY, Live, SECOND..=365 * DAY;
        /// Clients.
        clients: usize = 16_384, Live, 1..=1_000_000;
        /// Sessions of a client.
        sessions_per_client: usize = 16, Live, 1..=1024;
        /// Requests of a session that are under way at once.
        slots_per_session: u32 = 64, Live, 1..=1024;
        /// Operations of a request.
        operations_per_compound: u32 = 64, Live, 8..=1024;
        /// The largest reply that is kept for a retransmission.
        cached_reply: ByteSize = ByteSize::kib(8), Live, ByteSize::kib(1)..=ByteSize::mib(1);
        /// Owners of opens and locks of a client.
        owners_per_client: usize = 65_536, Live, 16..=16_777_216;
        /// Opens, locked files and delegations of a client.
        states_per_client: usize = 262_144, Live, 16..=16_777_216;
        /// Whether clients may be told that a file is theirs alone until somebody else wants it.
        delegations: bool = true, Live;
        /// The domain of the names of users and groups (`user@domain`), which the system's name
        /// service knows. Without one they are numbers.
        domain: Option<String> = None, Live;
    }
    /// Locks of files, of all protocols together.
    locks: Locks {
        /// Locks, waiting requests and share reservations of one client.
        per_client: usize = 65_536, Live, 16..=16_777_216;
        /// Those of all clients.
        total: usize = 1_000_000, Live, 16..=268_435_456;
        /// Files that are locked at the same time.
        files: usize = 262_144, Live, 16..=16_777_216;
        /// Requests that wait for locks of one file.
        waiters_per_file: usize = 1_024, Live, 1..=65_536;
    }
    /// Locks over NFSv3.
    nlm: Nlm {
        /// How long after a start clients may reclaim their locks before others get any.
        grace_period: Duration = 45 * SECOND, Restart, Duration::ZERO..=3600 * SECOND;
    }
    /// Who restarted, for locks over NFSv3.
    nsm: Nsm {
        /// The name by which clients know this server; the host name if there is none.
        name: Option<String> = None, Restart;
        /// How long a client that does not answer is told again that this server restarted.
        notify_for: Duration = 15 * 60 * SECOND, Restart, Duration::ZERO..=DAY;
    }
    /// The groups of users who have more of them than a request carries.
    groups: Groups {
        /// When they are looked up on this machine.
        lookup: GroupLookup = GroupLookup::Auto, Live;
        /// How long what was found holds.
        cache_time: Duration = 10 * 60 * SECOND, Live, SECOND..=DAY;
    }
    /// What is written about what happens.
    log: Log {
        /// Levels: `info`, or such as `info,standfast_nfs=debug`.
        filter: String = "info".into(), Live;
        /// Its form.
        format: LogFormat = LogFormat::Auto, Restart;
    }
    /// Numbers for Prometheus.
    metrics: Metrics {
        /// The address that gives them; none if it is not set.
        listen: Option<SocketAddr> = None, Restart;
    }
}

keywords! {
    /// How clients find the ports of the server (RFC 1833).
    Rpcbind {
        /// Register with the rpcbind of the machine, or answer in its place if there is none.
        #[default]
        Auto = "auto",
        /// Answer on port 111.
        Serve = "serve",
        /// Register with the rpcbind of the machine.
        Register = "register",
        /// Not at all: clients must know the ports.
        Off = "off",
    }
}

keywords! {
    /// When the groups of a caller are looked up on the server.
    GroupLookup {
        /// If a request carries as many as it can (16), there may be more.
        #[default]
        Auto = "auto",
        /// Always: what clients say of groups is not believed.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

keywords! {
    /// The form of the log.
    LogFormat {
        /// Text on a terminal, journald under systemd, else JSON.
        #[default]
        Auto = "auto",
        /// Lines for people.
        Text = "text",
        /// A JSON object a line.
        Json = "json",
        /// The journal of systemd, with fields.
        Journald = "journald",
    }
}

/// The name of every setting outside of the exports, as section (empty for the top of the file)
/// and key.
pub fn setting_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let names = |(title, keys): &(&'static str, &'static [&'static str])| {
        let section = title.trim_matches(['[', ']']);
        keys.iter().map(move |key| (section, *key))
    };
    SECTIONS.iter().flat_map(names).filter(|name| *name != ("", "export"))
}

/// The room that a request or a reply takes besides its data.
pub(crate) const MESSAGE_OVERHEAD: ByteSize = ByteSize::kib(64);

/// What can be wrong with a section whose settings are each right.
trait Check {
    /// Says where settings contradict each other.
    fn check(&self, _section: &mut Section<'_, '_>) {}
}

impl Check for Nlm {}

impl Check for Journal {
    fn check(&self, section: &mut Section<'_, '_>) {
        let largest = ByteSize::mib(2);
        let span = section.span("queue").or_else(|| section.span("segment_size"));
        if let Some(span) = span.filter(|_| self.segment_size < largest) {
            let message = format!("`segment_size` must hold the longest record, {largest}");
            section.issues.error(span, message);
        }
    }
}

impl Check for Nfs4 {
    fn check(&self, section: &mut Section<'_, '_>) {
        let span = section.span("forget_clients_after").or_else(|| section.span("lease_time"));
        if let Some(span) = span.filter(|_| self.forget_clients_after < self.lease_time) {
            let message = "`forget_clients_after` is shorter than `lease_time`: clients would be \
                           forgotten that are still there";
            section.issues.error(span, message);
        }
        let span = section.span("lease_time");
        if let Some(span) = span.filter(|_| self.lease_time < 10 * SECOND) {
            let message = "a `lease_time` below 10s makes every client renew all the time, and \
                           lose what it holds after a short loss of the network";
            section.issues.warn(span, message);
        }
    }
}

impl Check for Locks {
    fn check(&self, section: &mut Section<'_, '_>) {
        let span = section.span("per_client").or_else(|| section.span("total"));
        if let Some(span) = span.filter(|_| self.per_client > self.total) {
            let (one, all) = (self.per_client, self.total);
            let message = format!("`per_client` ({one}) is more than the `total` ({all})");
            section.issues.error(span, message);
        }
    }
}

impl Check for Nsm {}
impl Check for Groups {}
impl Check for Log {}

impl Check for Server {
    fn check(&self, section: &mut Section<'_, '_>) {
        if let Some(span) = section.span("listen").filter(|_| self.listen.is_empty()) {
            let message = "`listen` is empty: nobody could reach the server";
            section.issues.error(span, message).help("leave it out to listen on every address");
        }
    }
}

impl Check for Metrics {
    fn check(&self, section: &mut Section<'_, '_>) {
        let open = self.listen.is_some_and(|address| !address.ip().is_loopback());
        if let Some(span) = section.span("listen").filter(|_| open) {
            let message =
                "whoever reaches this address can read the metrics, which name the exports";
            section.issues.note(span, message);
        }
    }
}

impl Check for Limits {
    fn check(&self, section: &mut Section<'_, '_>) {
        for (key, size) in [("max_read", self.max_read), ("max_write", self.max_write)] {
            if let Some(span) = section.span(key).filter(|_| !size.as_u64().is_multiple_of(4096)) {
                section.issues.error(span, format!("`{key}` must be a multiple of 4KiB"));
            }
            let needed = ByteSize::bytes(size.as_u64() + MESSAGE_OVERHEAD.as_u64());
            let what =
                format!("must be at least {needed}: `{key}` and {MESSAGE_OVERHEAD} around it");
            at_least(
                section,
                "bytes_per_connection",
                self.bytes_per_connection,
                key,
                needed,
                &what,
            );
        }
        let (all, one) = (self.bytes_in_flight, self.bytes_per_connection);
        let what = format!("must be at least {one}, which is `bytes_per_connection`");
        at_least(section, "bytes_in_flight", all, "bytes_per_connection", one, &what);
        let (of_export, threads) = (self.io_threads_per_export, self.io_threads);
        let span = section.span("io_threads_per_export").or_else(|| section.span("io_threads"));
        if let Some(span) = span.filter(|_| of_export > threads) {
            let message = format!(
                "`io_threads_per_export` ({of_export}) is more than there are `io_threads` ({threads})"
            );
            section.issues.warn(span, message).help("a slow export could take all of them");
        }
    }
}

/// Says that `key` is less than another setting needs, at whichever of the two is written.
fn at_least(
    section: &mut Section<'_, '_>,
    key: &str,
    value: ByteSize,
    other: &str,
    needed: ByteSize,
    what: &str,
) {
    let span = section.span(key).or_else(|| section.span(other));
    if let Some(span) = span.filter(|_| value < needed) {
        section.issues.error(span, format!("`{key}` ({value}) {what}"));
    }
}
