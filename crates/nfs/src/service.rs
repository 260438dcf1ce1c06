//! What all NFS programs share: the exports, the signing of handles, identities, limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use standfast_rpc::Peer;
use standfast_rpc::auth::Credential;
use standfast_settings::{ClientAccess, ExportId, ExportSettings};
use standfast_vfs::{Caller, Error, FileSystem, Handle};

use crate::buffers::Buffers;
use crate::callers::Callers;
use crate::exports::{ClientTable, Decision, Names};
use crate::handles::HandleCodec;
use crate::intents::Calls;
use crate::locks::FileKey;
use crate::metrics::{ExportMetrics, Metrics};
use crate::name_locks::NameLocks;
use crate::pool::Pool;
use crate::v4::keeper::Keeper;
use crate::v4::owner_names::OwnerNames;
use crate::v4::pseudo::Tree;
use crate::workers::Workers;

/// Ports that only the client's superuser can use.
const PRIVILEGED_PORTS: u16 = 1024;

/// The same complaint about an export is logged this often at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);

/// Bytes of unused READ buffers that are kept, of each size.
const KEPT_BUFFERS: usize = 4 << 20;

/// How long a request waits for the return of a delegation before it is put off, and how often it
/// looks.
const RECALL_PATIENCE: Duration = Duration::from_secs(2);
const RECALL_INTERVAL: Duration = Duration::from_millis(10);

/// A delegation stands in the way: the client has to ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PutOff;

/// Sizes of what one request may carry.
#[derive(Clone, Copy, Debug)]
pub struct PayloadLimits {
    /// The most that one READ, READDIR or READDIRPLUS gives, in bytes.
    pub max_read: usize,
    /// The most that one WRITE takes, in bytes.
    pub max_write: usize,
}

impl PayloadLimits {
    /// The larger of the two.
    pub fn payload(&self) -> usize {
        self.max_read.max(self.max_write)
    }

    /// Both, as the wire has them.
    pub fn transfer_sizes(&self) -> (u32, u32) {
        let fit = |size| u32::try_from(size).unwrap_or(u32::MAX);
        (fit(self.max_read), fit(self.max_write))
    }
}

/// Why a client may not use an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No rule is for its address.
    Address,
    /// The rule asks for a port below 1024.
    Port,
    /// The name service does not answer, so nobody can tell.
    Unknown,
}

/// The storage behind an export; it stays open when only the rules change.
pub struct Storage {
    file_system: Arc<dyn FileSystem>,
    workers: Workers,
    write_verifier: u64,
    complained: Mutex<HashMap<Error, Instant>>,
    /// See [`Storage::set_with_journal`].
    with_journal: AtomicBool,
}

impl Storage {
    /// Says whether a flush of the journal that covers names makes changes here stable: both lie
    /// in one filesystem with an ordered log.
    pub fn set_with_journal(&self, with_journal: bool) {
        self.with_journal.store(with_journal, Ordering::Relaxed);
    }

    /// Whether a flush of the journal that covers names makes changes here stable.
    pub fn is_with_journal(&self) -> bool {
        self.with_journal.load(Ordering::Relaxed)
    }

    /// Whether one flush makes changes of all its objects stable.
    pub fn flushes_together(&self) -> bool {
        self.file_system.flushes_together()
    }

    /// `write_verifier` is new at each start; at most `threads` operations at once may wait, on
    /// threads of `pool`.
    pub fn new(
        file_system: Arc<dyn FileSystem>,
        write_verifier: u64,
        pool: Arc<Pool>,
        threads: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            file_system,
            workers: Workers::new(pool, threads),
            write_verifier,
            complained: Mutex::default(),
            with_journal: AtomicBool::new(false),
        })
    }
}

/// A directory that is offered to clients.
pub struct Export {
    id: ExportId,
    settings: ExportSettings,
    storage: Arc<Storage>,
    clients: ClientTable,
    metrics: ExportMetrics,
}

impl Export {
    /// Its identity.
    pub fn id(&self) -> ExportId {
        self.id
    }

    /// What is set for it.
    pub fn settings(&self) -> &ExportSettings {
        &self.settings
    }

    /// The storage behind it.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// The filesystem behind it.
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.storage.file_system
    }

    /// Its threads.
    pub fn workers(&self) -> &Workers {
        &self.storage.workers
    }

    /// Its metrics.
    pub fn metrics(&self) -> &ExportMetrics {
        &self.metrics
    }

    /// Who may use it.
    pub fn clients(&self) -> &ClientTable {
        &self.clients
    }

    /// Changes whenever unstable writes may have been lost: at each start, and when the storage
    /// reported that it could not write what it had taken.
    pub fn write_verifier(&self) -> [u8; 8] {
        let lost = self.storage.file_system.lost_writes();
        self.storage.write_verifier.wrapping_add(lost).to_be_bytes()
    }

    /// Logs an error of the storage, now and then.
    pub fn complain(&self, error: &Error, now: Instant) {
        let mut complained = self.storage.complained.lock();
        let quiet = complained
            .get(error)
            .is_some_and(|last| now.duration_since(*last) < COMPLAINT_INTERVAL);
        if !quiet {
            complained.insert(error.clone(), now);
            drop(complained);
            tracing::error!(export = %self.settings.export_path.display(), %error,
                "an operation on the storage failed");
        }
    }
}

/// The exports in force.
#[derive(Default)]
struct ExportTable {
    by_id: HashMap<ExportId, Arc<Export>>,
    /// Sorted by the path that clients use.
    in_order: Vec<Arc<Export>>,
    /// How clients of NFSv4 see them.
    tree: Arc<Tree>,
}

/// What the service is made of.
pub struct Parts {
    /// Signs file handles.
    pub handles: HandleCodec,
    /// Finds identities.
    pub callers: Callers,
    /// Finds names of clients.
    pub names: Arc<Names>,
    /// Sizes of requests.
    pub limits: PayloadLimits,
    /// Where it is counted.
    pub metrics: Metrics,
}

/// What all NFS programs share.
pub struct Service {
    parts: Parts,
    owners: Arc<OwnerNames>,
    limits: ArcSwap<PayloadLimits>,
    buffers: Buffers,
    name_locks: NameLocks,
    calls: Arc<Calls>,
    exports: ArcSwap<ExportTable>,
    keeper: OnceLock<Arc<Keeper>>,
}

impl Service {
    /// A service without exports.
    pub fn new(parts: Parts) -> Arc<Self> {
        let buffers = Buffers::new(KEPT_BUFFERS);
        let limits = ArcSwap::from_pointee(parts.limits);
        Arc::new(Self {
            parts,
            owners: Arc::default(),
            limits,
            buffers,
            name_locks: NameLocks::default(),
            calls: Arc::default(),
            exports: ArcSwap::default(),
            keeper: OnceLock::new(),
        })
    }

    /// Puts other sizes in force.
    pub fn set_limits(&self, limits: PayloadLimits) {
        self.limits.store(Arc::new(limits));
    }

    /// What users and groups are called over NFSv4.
    pub fn owners(&self) -> &Arc<OwnerNames> {
        &self.owners
    }

    /// Finds identities.
    pub fn callers(&self) -> &Callers {
        &self.parts.callers
    }

    /// Puts exports in force, each over its storage. Requests that are under way keep what they
    /// began with.
    pub fn set_exports(&self, exports: Vec<(ExportSettings, Arc<Storage>)>) {
        let mut table = ExportTable::default();
        for (settings, storage) in exports {
            let name = settings.export_path.to_string_lossy();
            let export = Arc::new(Export {
                id: settings.id(),
                metrics: self.parts.metrics.of_export(&name),
                clients: ClientTable::new(&settings.clients, Arc::clone(&self.parts.names)),
                settings,
                storage,
            });
            table.by_id.insert(export.id, Arc::clone(&export));
            table.in_order.push(export);
        }
        table.in_order.sort_by(|a, b| a.settings.export_path.cmp(&b.settings.export_path));
        table.tree = Arc::new(Tree::new(&table.in_order, &self.exports.load().tree));
        self.exports.store(Arc::new(table));
        self.parts.callers.forget();
    }

    /// The exports in force, by the path that clients use.
    pub fn exports(&self) -> Vec<Arc<Export>> {
        self.exports.load().in_order.clone()
    }

    /// An export by its identity.
    pub fn export(&self, id: ExportId) -> Option<Arc<Export>> {
        self.exports.load().by_id.get(&id).cloned()
    }

    /// The exports in force, as clients of NFSv4 see them.
    pub(crate) fn tree(&self) -> Arc<Tree> {
        Arc::clone(&self.exports.load().tree)
    }

    /// The export that holds a path, the deepest if several do, and the rest of the path below
    /// it, as names.
    pub fn export_of_path(&self, path: &Path) -> Option<(Arc<Export>, Vec<Vec<u8>>)> {
        use std::os::unix::ffi::OsStrExt;
        let table = self.exports.load();
        let holds = |export: &&Arc<Export>| path.starts_with(&export.settings.export_path);
        let depth = |export: &&Arc<Export>| export.settings.export_path.components().count();
        let export = table.in_order.iter().filter(holds).max_by_key(depth)?;
        let rest = path.strip_prefix(&export.settings.export_path).ok()?;
        let names = rest.components().map(|component| match component {
            Component::Normal(name) => Some(name.as_bytes().to_vec()),
            _ => None,
        });
        Some((Arc::clone(export), names.collect::<Option<_>>()?))
    }

    /// What a client may do with an export.
    pub async fn access(
        &self,
        export: &Arc<Export>,
        peer: Peer,
    ) -> Result<Arc<ClientAccess>, Denied> {
        let access = match self.decision(export, peer.address.ip()).await {
            Decision::Granted(access) => access,
            Decision::Denied => return Err(Denied::Address),
            Decision::Unknown => return Err(Denied::Unknown),
        };
        if access.secure_ports && peer.address.port() >= PRIVILEGED_PORTS {
            return Err(Denied::Port);
        }
        Ok(access)
    }

    async fn decision(&self, export: &Arc<Export>, address: IpAddr) -> Decision {
        if let Some(known) = export.clients.known(address, Instant::now()) {
            return known;
        }
        let export = Arc::clone(export);
        let find = move || export.clients.find(address, Instant::now());
        tokio::task::spawn_blocking(find).await.unwrap_or(Decision::Unknown)
    }

    /// The identity that a request runs under.
    pub async fn caller(
        self: &Arc<Self>,
        credential: &Credential,
        access: &Arc<ClientAccess>,
    ) -> Arc<Caller> {
        let now = Instant::now();
        if let Some(known) = self.parts.callers.known(credential, access, now) {
            return known;
        }
        let (service, credential, access) =
            (Arc::clone(self), credential.clone(), Arc::clone(access));
        let anonymous =
            Caller { uid: access.anon_uid, gid: access.anon_gid, groups: Arc::from([]) };
        let find = move || service.parts.callers.find(&credential, &access, now);
        // A look-up that panicked gives nobody's rights rather than somebody's.
        tokio::task::spawn_blocking(find).await.unwrap_or_else(|_| Arc::new(anonymous))
    }

    /// Signs file handles.
    pub fn handles(&self) -> &HandleCodec {
        &self.parts.handles
    }

    /// Sizes of requests.
    pub fn limits(&self) -> PayloadLimits {
        **self.limits.load()
    }

    /// Buffers for payloads.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// One request at a time for each name.
    pub(crate) fn name_locks(&self) -> &NameLocks {
        &self.name_locks
    }

    /// The steps of requests that are not answered yet.
    pub fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// Says who keeps the state of NFSv4, once: what else is served must respect its delegations.
    pub fn set_keeper(&self, keeper: Arc<Keeper>) {
        let _already = self.keeper.set(keeper);
    }

    /// Whether delegations stand in the way of changing anything.
    pub(crate) fn has_delegations(&self) -> bool {
        self.keeper.get().is_some_and(|keeper| keeper.has_delegations(true))
    }

    /// Recalls the delegations that stand in the way of reading or, with `write`, of changing a
    /// file, for who has no stateid. Waits a moment for their return: clients of protocols without
    /// callbacks pause for seconds when they are put off.
    ///
    /// # Errors
    /// The client has to ask again later.
    pub(crate) async fn make_way(
        &self,
        export: ExportId,
        handle: &Handle,
        write: bool,
    ) -> Result<(), PutOff> {
        let Some(keeper) = self.keeper.get().filter(|keeper| keeper.has_delegations(write)) else {
            return Ok(());
        };
        let file = FileKey { export: export.0, handle: *handle };
        let begun = Instant::now();
        loop {
            let (result, pending) = keeper.make_way(&file, None, write);
            if result.is_ok() {
                return pending.durable().await.map_err(|_| PutOff);
            }
            if begun.elapsed() >= RECALL_PATIENCE {
                return Err(PutOff);
            }
            tokio::time::sleep(RECALL_INTERVAL).await;
        }
    }

    /// Gives back what nobody used lately.
    pub fn sweep(&self, now: Instant) {
        self.calls.sweep();
        for export in &self.exports.load().in_order {
            export.storage.file_system.sweep(now);
        }
    }
}
