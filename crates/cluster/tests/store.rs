//! The store of the consensus: what its peer's own suite asks of it, restarts, a full disk.

use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};
use standfast_cluster::consensus::TypeConfig;
use standfast_cluster::consensus::store::{LogStore, StateMachine, open};
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<u64>> {
        let directory = TempDir::new().expect("a directory");
        let store = open(&directory.path().join("cluster.redb"), "test").expect("a store");
        Ok((directory, store.log, store.machine))
    }
}

#[test]
fn it_is_what_the_consensus_expects() {
    Suite::test_all(Builder).expect("the suite passes");
}
