//! What is measured, as data.

use std::fmt;

use serde::Serialize;

/// The order in which a file's blocks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Any block next.
    Random,
    /// One after the other, each connection in a part of its own.
    Sequential,
}

/// When written data must be safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// After a later COMMIT.
    Unstable,
    /// Before the reply, with the attributes.
    FileSync,
}

/// What one operation of a row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// NULL.
    Null,
    /// GETATTR of one of many files.
    GetAttr,
    /// LOOKUP of one of many names.
    Lookup,
    /// READ of so many bytes.
    Read(usize, Order),
    /// WRITE of so many bytes.
    Write(usize, Order, Stability),
    /// CREATE (guarded) of a new name.
    Create,
    /// LOOKUP of a name, then GETATTR of the handle: two calls.
    Stat,
    /// RENAME to a new name in the same directory.
    Rename,
    /// REMOVE.
    Unlink,
    /// MKDIR of a new name.
    MkDir,
    /// RMDIR.
    RmDir,
    /// READDIRPLUS, call by call through a whole directory.
    ReadDirPlus,
}

/// In what a row's rate is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Operations.
    Operations,
    /// Bytes.
    Bytes,
    /// Names of a directory.
    Names,
}

/// Whether the kernel has the files in its caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// It has.
    Hot,
    /// Its page cache, names and inodes are dropped before.
    Cold,
}

/// A measurement of one action: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The row's name.
    pub name: &'static str,
    /// What is done.
    pub action: Action,
}

/// Steps that work on the same files, each on what the one before left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scene {
    /// Connections.
    pub connections: usize,
    /// Operations in flight on each.
    pub depth: usize,
    /// State of the caches.
    pub cache: Cache,
    /// The rows.
    pub steps: &'static [Step],
}

/// A small operation.
pub const SMALL: usize = 4 << 10;
/// A large one.
pub const LARGE: usize = 1 << 20;

const fn step(name: &'static str, action: Action) -> Step {
    Step { name, action }
}

const NULL: &[Step] = &[step("null", Action::Null)];
const GETATTR: &[Step] = &[step("getattr", Action::GetAttr)];
const LOOKUP: &[Step] = &[step("lookup", Action::Lookup)];
const READ: &[Step] = &[step("read-4k-random", Action::Read(SMALL, Order::Random))];
const READ_LARGE: &[Step] = &[step("read-1m", Action::Read(LARGE, Order::Sequential))];
const WRITE: &[Step] =
    &[step("write-4k-random", Action::Write(SMALL, Order::Random, Stability::Unstable))];
const WRITE_STABLE: &[Step] =
    &[step("write-4k-stable", Action::Write(SMALL, Order::Random, Stability::FileSync))];
const WRITE_LARGE: &[Step] =
    &[step("write-1m", Action::Write(LARGE, Order::Sequential, Stability::Unstable))];
const FILES: &[Step] = &[
    step("create", Action::Create),
    step("stat", Action::Stat),
    step("rename", Action::Rename),
    step("unlink", Action::Unlink),
];
const DIRECTORIES: &[Step] = &[step("mkdir", Action::MkDir), step("rmdir", Action::RmDir)];
const LISTING: &[Step] = &[step("readdirplus", Action::ReadDirPlus)];

/// Connections and depth, and the state of the caches.
type Load = ((usize, usize), Cache);

const ONE_BY_ONE: (usize, usize) = (1, 1);
const PIPELINED: (usize, usize) = (1, 16);
const MANY: (usize, usize) = (8, 16);
/// A listing goes from cookie to cookie, so it has no depth.
const EIGHT_LISTINGS: (usize, usize) = (8, 1);

/// All that is measured, in the order of the table.
#[must_use]
pub fn all() -> Vec<Scene> {
    use Cache::{Cold, Hot};
    let small = [(ONE_BY_ONE, Hot), (PIPELINED, Hot), (MANY, Hot)];
    let small_cold = [(ONE_BY_ONE, Hot), (PIPELINED, Hot), (MANY, Hot), (PIPELINED, Cold)];
    let large = [(PIPELINED, Hot), (MANY, Hot)];
    let large_cold = [(PIPELINED, Hot), (MANY, Hot), (PIPELINED, Cold)];
    let listing = [(ONE_BY_ONE, Hot), (EIGHT_LISTINGS, Hot), (ONE_BY_ONE, Cold)];
    let table: [(&'static [Step], &[Load]); 11] = [
        (NULL, &small),
        (GETATTR, &small),
        (LOOKUP, &small_cold),
        (READ, &small_cold),
        (READ_LARGE, &large_cold),
        (WRITE, &small),
        (WRITE_STABLE, &small),
        (WRITE_LARGE, &large),
        (FILES, &small),
        (DIRECTORIES, &small),
        (LISTING, &listing),
    ];
    let scene =
        |steps, &((connections, depth), cache): &_| Scene { connections, depth, cache, steps };
    table.iter().flat_map(|(steps, loads)| loads.iter().map(|load| scene(*steps, load))).collect()
}

/// The scenes that have a row whose label has one of `wanted` in it, without the steps after the
/// last such row. All scenes, if nothing is wanted.
#[must_use]
pub fn select(scenes: Vec<Scene>, wanted: &[String]) -> Vec<Scene> {
    let keep = |mut scene: Scene| {
        let last = scene.steps.iter().rposition(|step| is_wanted(&scene.label(step), wanted))?;
        scene.steps = &scene.steps[..=last];
        Some(scene)
    };
    scenes.into_iter().filter_map(keep).collect()
}

/// Whether the row `label` is to be shown.
#[must_use]
pub fn is_wanted(label: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| label.contains(part.as_str()))
}

impl Scene {
    /// What names a row in the table, in messages and in `--rows`.
    #[must_use]
    pub fn label(&self, step: &Step) -> String {
        format!("{}/c{}/d{}/{}", step.name, self.connections, self.depth, self.cache)
    }
}

impl Action {
    /// In what its rate is counted.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::Read(LARGE, _) | Self::Write(LARGE, ..) => Unit::Bytes,
            Self::ReadDirPlus => Unit::Names,
            _ => Unit::Operations,
        }
    }
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|part| (*part).to_owned()).collect();
        let scenes = select(all(), &wanted);
        scenes.iter().flat_map(|scene| scene.steps.iter().map(|step| scene.label(step))).collect()
    }

    #[test]
    fn labels_are_unique() {
        let mut all = labels(&[]);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_row_brings_those_that_it_needs() {
        assert_eq!(labels(&["getattr/c1/d16"]), ["getattr/c1/d16/hot"]);
        let rename = ["create/c1/d1/hot", "stat/c1/d1/hot", "rename/c1/d1/hot"];
        assert_eq!(labels(&["rename/c1/d1/"]), rename);
        assert!(labels(&["no such row"]).is_empty());
    }
}
