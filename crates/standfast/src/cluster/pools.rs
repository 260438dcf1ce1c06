//! The pools as this node sees them: whether each is what the design needs, and the same that the
//! other nodes see.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use parking_lot::Mutex;
use standfast_cluster::health::Severity;
use standfast_engine::{Directory, DirectorySettings, Engine as _, Health, Identity};
use standfast_settings::{Engine, PoolSettings};

/// What each node sees, below the cluster's directory in a pool: one file for each.
const VIEWS: &str = "nodes";

/// A view is no longer than this; what is longer is none.
const MOST_OCTETS: u64 = 64 * 1024;

/// What findings about pools begin with.
pub(super) const OF_POOL: &str = "pool ";

/// What is wrong, by the pool that it is about.
pub(super) type Problems = BTreeMap<String, (Severity, String)>;

/// A pool as it was when it was looked at, and what came of that.
type Checked = (PoolSettings, Result<(), String>);

/// The pools, and what came of looking at them.
pub(super) struct Pools {
    node: String,
    checked: Mutex<BTreeMap<String, Checked>>,
    /// Held while a pool is looked at, which leaves files in it for a moment.
    looking: Mutex<()>,
}

impl Pools {
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.into(), checked: Mutex::default(), looking: Mutex::default() }
    }

    /// The engine of a pool.
    pub(super) fn engine(&self, pool: &PoolSettings) -> Result<Directory, String> {
        let Engine::Directory = pool.engine;
        let settings = DirectorySettings { path: pool.path.clone(), fence: pool.fence.clone() };
        Directory::new(&settings, &self.node).map_err(|error| error.to_string())
    }

    /// Whether the pool can be used here. It is looked at once, and again after it could not.
    /// Blocks.
    pub(super) fn check(&self, name: &str, pool: &PoolSettings) -> Result<(), String> {
        let is_known = |(settings, result): Checked| settings == *pool && result.is_ok();
        if self.checked.lock().get(name).cloned().is_some_and(is_known) {
            return Ok(());
        }
        let _looking = self.looking.lock();
        let known = self.checked.lock().get(name).cloned();
        if known.is_some_and(is_known) {
            return Ok(());
        }
        let result = self.look(pool);
        self.checked.lock().insert(name.into(), (pool.clone(), result.clone()));
        result
    }

    fn look(&self, pool: &PoolSettings) -> Result<(), String> {
        let engine = self.engine(pool)?;
        let identity = engine.check().map_err(|error| error.to_string())?;
        let views = engine.hidden().join(VIEWS);
        write_view(&views, &self.node, &identity)
            .map_err(|error| format!("{}: cannot write: {error}", views.display()))?;
        for (node, view) in read_views(&views) {
            if node != self.node {
                identity.same_as(&view, &node).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Looks at all pools; gives what is wrong with each. Blocks.
    pub(super) fn problems(&self, pools: &BTreeMap<String, PoolSettings>) -> Problems {
        let problem = |(name, pool): (&String, &PoolSettings)| {
            let engine = self.check(name, pool).and_then(|()| self.engine(pool));
            let problem = match engine.map(|engine| engine.health()) {
                Ok(Health::Well) => return None,
                Ok(Health::Warning(why)) => (Severity::Warn, why),
                Ok(Health::Failed(why)) | Err(why) => (Severity::Err, why),
            };
            Some((format!("{OF_POOL}{name}"), problem))
        };
        self.checked.lock().retain(|name, _| pools.contains_key(name));
        pools.iter().filter_map(problem).collect()
    }
}

fn write_view(views: &Path, node: &str, identity: &Identity) -> std::io::Result<()> {
    fs::create_dir_all(views)?;
    let new = views.join(format!("{node}.new"));
    fs::write(&new, serde_json::to_vec(identity)?)?;
    fs::rename(new, views.join(format!("{node}.json")))
}

fn read_views(views: &Path) -> BTreeMap<String, Identity> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let node = name.strip_suffix(".json")?.to_owned();
        let is_short = entry.metadata().ok()?.len() <= MOST_OCTETS;
        let text = is_short.then(|| fs::read(entry.path()).ok()).flatten()?;
        Some((node, serde_json::from_slice(&text).ok()?))
    };
    fs::read_dir(views).into_iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_directory_in_the_place_of_the_pool_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let pool = PoolSettings {
            engine: Engine::Directory,
            path: directory.path().into(),
            fence: Vec::new(),
        };
        let (one, two) = (Pools::new("n1"), Pools::new("n2"));
        one.check("shared", &pool).unwrap();
        two.check("shared", &pool).unwrap();
        // As a third node would see it through another kind of mount.
        let views = directory.path().join(".standfast").join(VIEWS);
        let view = views.join("n1.json");
        let mut other: Identity = serde_json::from_slice(&fs::read(&view).unwrap()).unwrap();
        other.handle.1.push(0);
        fs::write(&view, serde_json::to_vec(&other).unwrap()).unwrap();
        let error = Pools::new("n3").check("shared", &pool).unwrap_err();
        assert!(error.contains("another handle on node n1"), "{error}");
        fs::remove_file(&view).unwrap();
        Pools::new("n3").check("shared", &pool).unwrap();
    }
}
