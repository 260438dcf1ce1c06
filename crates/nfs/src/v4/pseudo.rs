//! The read-only tree that joins the exports by their paths (RFC 8881 section 7.3).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use siphasher::sip::SipHasher24;
use standfast_settings::ExportId;
use standfast_vfs::{Attributes, DeviceNumber, FileKind, Handle, Timestamp};

use crate::service::Export;

/// The place of an export in handles; numbers that people set are below it, those that are made
/// are above it.
pub(super) const PSEUDO_EXPORT: ExportId = ExportId(1 << 32);

/// A type of handle that no kernel makes (`FILEID_INVALID`).
const HANDLE_KIND: i32 = 0xff;

/// Everyone may read it, nobody write.
const MODE: u32 = 0o555;

/// The tree.
pub(crate) struct Tree {
    nodes: Vec<Entry>,
    by_id: HashMap<u64, usize>,
    by_export: HashMap<ExportId, usize>,
    made: Timestamp,
    inside: Mutex<Inside>,
}

/// Directories of exports that lie on the way to other exports.
#[derive(Default)]
struct Inside {
    /// Exports that were looked through.
    known: HashSet<ExportId>,
    nodes: HashMap<(ExportId, Handle), usize>,
}

struct Entry {
    id: u64,
    handle: Handle,
    name: Vec<u8>,
    parent: Option<usize>,
    children: BTreeMap<Vec<u8>, usize>,
    export: Option<Arc<Export>>,
}

/// A directory of the tree.
#[derive(Clone)]
pub(super) struct Node {
    tree: Arc<Tree>,
    at: usize,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            by_id: HashMap::new(),
            by_export: HashMap::new(),
            made: Timestamp::default(),
            inside: Mutex::default(),
        };
        tree.add(b"/", Vec::new(), None);
        tree
    }
}

/// What stands for a path for ever.
fn id_of(path: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(path);
    // Some clients want file ids that fit into a signed number.
    hasher.finish() >> 1
}

impl Tree {
    /// The tree of these exports. It is newer than the one `before`.
    pub(crate) fn new(exports: &[Arc<Export>], before: &Self) -> Self {
        let mut tree = Self::default();
        for export in exports {
            let mut at = 0;
            let mut path = Vec::new();
            let names = export.settings().export_path.components().skip(1);
            for name in names.map(|component| component.as_os_str()) {
                path.push(b'/');
                path.extend_from_slice(name.as_bytes());
                at = tree.child_or_new(at, name, &path);
            }
            tree.nodes[at].export = Some(Arc::clone(export));
            tree.by_export.insert(export.id(), at);
        }
        tree.made = later(before.made);
        tree
    }

    fn child_or_new(&mut self, at: usize, name: &OsStr, path: &[u8]) -> usize {
        if let Some(known) = self.nodes[at].children.get(name.as_bytes()) {
            return *known;
        }
        let new = self.add(path, name.as_bytes().to_vec(), Some(at));
        self.nodes[at].children.insert(name.as_bytes().to_vec(), new);
        new
    }

    fn add(&mut self, path: &[u8], name: Vec<u8>, parent: Option<usize>) -> usize {
        let (id, new) = (id_of(path), self.nodes.len());
        let handle = Handle::of_number(HANDLE_KIND, id);
        let children = BTreeMap::new();
        self.nodes.push(Entry { id, handle, name, parent, children, export: None });
        self.by_id.insert(id, new);
        new
    }

    /// The root.
    pub(super) fn root(self: Arc<Self>) -> Node {
        Node { tree: self, at: 0 }
    }

    /// The directory that an export covers.
    pub(super) fn covered_by(self: Arc<Self>, export: ExportId) -> Option<Node> {
        let at = *self.by_export.get(&export)?;
        Some(Node { tree: self, at })
    }

    /// The file id of the directory that an export covers; none if that is the root.
    pub(super) fn mounted_on(&self, export: ExportId) -> Option<u64> {
        let at = *self.by_export.get(&export)?;
        (at != 0).then(|| self.nodes[at].id)
    }

    /// The directory that a handle names.
    pub(super) fn find(self: Arc<Self>, handle: &Handle) -> Option<Node> {
        let id = u64::from_be_bytes(handle.bytes().try_into().ok()?);
        let at = *self.by_id.get(&id).filter(|_| handle.kind() == HANDLE_KIND)?;
        Some(Node { tree: self, at })
    }

    /// Whether an export is still to be looked through for directories on the way to others; each
    /// is once.
    pub(super) fn begin_learning(&self, export: ExportId) -> bool {
        self.inside.lock().known.insert(export)
    }

    /// The directory of the tree that a directory of an export is.
    pub(super) fn learned(self: Arc<Self>, export: ExportId, handle: &Handle) -> Option<Node> {
        let at = *self.inside.lock().nodes.get(&(export, *handle))?;
        Some(Node { tree: self, at })
    }

    /// Whether other exports lie below this one.
    pub(super) fn has_below(&self, export: ExportId) -> bool {
        let at = self.by_export.get(&export);
        at.is_some_and(|at| !self.nodes[*at].children.is_empty())
    }
}

/// Now, but later than `before`.
fn later(before: Timestamp) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: now.subsec_nanos(),
    };
    now.max(Timestamp { seconds: before.seconds + 1, ..before })
}

/// The change attribute that belongs to a time.
fn in_nanoseconds(time: Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(time.nanoseconds.into())
}

impl Node {
    fn entry(&self) -> &Entry {
        &self.tree.nodes[self.at]
    }

    fn at(&self, at: usize) -> Self {
        Self { tree: Arc::clone(&self.tree), at }
    }

    /// The export that covers it, if one does.
    pub(super) fn export(&self) -> Option<&Arc<Export>> {
        self.entry().export.as_ref()
    }

    /// Its name in its parent.
    pub(super) fn name(&self) -> &[u8] {
        &self.entry().name
    }

    /// Its file id.
    pub(super) fn id(&self) -> u64 {
        self.entry().id
    }

    /// Its handle, before it is signed.
    pub(super) fn handle(&self) -> Handle {
        self.entry().handle
    }

    /// Its parent.
    pub(super) fn parent(&self) -> Option<Self> {
        self.entry().parent.map(|parent| self.at(parent))
    }

    /// What it has by this name.
    pub(super) fn child(&self, name: &[u8]) -> Option<Self> {
        self.entry().children.get(name).map(|child| self.at(*child))
    }

    /// All that it has, by name.
    pub(super) fn children(&self) -> impl Iterator<Item = Self> {
        self.entry().children.values().map(|child| self.at(*child))
    }

    /// The exports that cover it or what is below it, the nearest ones first.
    pub(super) fn exports(&self) -> Vec<Arc<Export>> {
        let (mut found, mut next) = (Vec::new(), vec![self.at]);
        while let Some(at) = next.pop() {
            let entry = &self.tree.nodes[at];
            found.extend(entry.export.clone());
            next.extend(entry.children.values());
        }
        found
    }

    /// Notes that it is this directory of an export.
    pub(super) fn learn(&self, export: ExportId, handle: Handle) {
        let mut inside = self.tree.inside.lock();
        // One directory at a time is in this place.
        inside.nodes.retain(|(other, _), at| *at != self.at || *other != export);
        inside.nodes.insert((export, handle), self.at);
    }

    /// The names that lead here from a directory above.
    pub(super) fn names_below(&self, above: &Self) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        let mut at = self.at;
        while at != above.at {
            names.push(self.tree.nodes[at].name.clone());
            let Some(parent) = self.tree.nodes[at].parent else { break };
            at = parent;
        }
        names.reverse();
        names
    }

    /// Its attributes.
    pub(super) fn attributes(&self) -> Attributes {
        let directories = self.entry().children.len();
        Attributes {
            kind: FileKind::Directory,
            mode: MODE,
            links: u32::try_from(directories).unwrap_or(u32::MAX).saturating_add(2),
            uid: 0,
            gid: 0,
            size: 4096,
            used: 0,
            device: DeviceNumber::default(),
            filesystem: 0,
            file_id: self.id(),
            accessed: self.tree.made,
            modified: self.tree.made,
            changed: self.tree.made,
            created: None,
            removed: false,
            change: in_nanoseconds(self.tree.made),
        }
    }
}
