//! Ways between objects: from the root into the exports and back, by names and by handles.

use std::sync::Arc;

use standfast_vfs::{FileKind, Found};

use super::context::Compound;
use super::object::{File, Object, Place};
use super::protocol::Status;
use super::pseudo::{Node, PSEUDO_EXPORT};
use crate::service::Export;

/// Longest name of any filesystem.
const MAX_NAME: usize = 255;

/// Checks a name. Names are bytes; what they mean is the clients' business.
///
/// # Errors
/// `INVAL`, `NAMETOOLONG`, `BADCHAR`, `BADNAME`.
pub(super) fn check_name(name: &[u8]) -> Result<(), Status> {
    match name {
        [] => Err(Status::Inval),
        [_, ..] if name.len() > MAX_NAME => Err(Status::NameTooLong),
        [_, ..] if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Status::BadChar),
        b"." | b".." => Err(Status::BadName),
        _ => Ok(()),
    }
}

impl Compound<'_> {
    /// PUTROOTFH.
    pub(super) async fn root(&mut self) -> Result<Object, Status> {
        let root = self.nfs.service.tree().root();
        let entered = self.enter_node(root.clone()).await?;
        Ok(entered.unwrap_or(Object::Node(root)))
    }

    /// PUTFH: what a handle names, without a look whether it is there.
    ///
    /// # Errors
    /// `BADHANDLE`, `STALE`, and those of [`Compound::enter`].
    pub(super) async fn open_handle(&mut self, wire: &[u8]) -> Result<Object, Status> {
        let service = &self.nfs.service;
        let (id, handle) = service.handles().open(wire).map_err(|_| Status::BadHandle)?;
        if id == PSEUDO_EXPORT {
            return service.tree().find(&handle).map(Object::Node).ok_or(Status::Stale);
        }
        if let Some(place) = self.place().filter(|place| place.export.id() == id) {
            return Ok(Object::File(File { place: Arc::clone(place), handle }));
        }
        let export = service.export(id).ok_or(Status::Stale)?;
        let place = self.enter(&export).await?;
        Ok(Object::File(File { place, handle }))
    }

    /// A directory of the tree as the client sees it: the root of the export that covers it, if the
    /// client may use that one. `None`: there is nothing for the client there and below.
    ///
    /// # Errors
    /// `ACCESS`, `DELAY`.
    pub(super) async fn enter_node(&mut self, node: Node) -> Result<Option<Object>, Status> {
        if let Some(export) = node.export() {
            match self.enter(export).await {
                Ok(place) => return Ok(Some(Object::File(root_of(place)))),
                Err(Status::Stale) => {}
                Err(status) => return Err(status),
            }
        }
        for export in node.exports() {
            let access = self.nfs.service.access(&export, self.call.peer).await;
            if !matches!(access, Err(crate::service::Denied::Address)) {
                return Ok(Some(Object::Node(node)));
            }
        }
        Ok(None)
    }

    /// LOOKUP, with a name that was checked.
    ///
    /// # Errors
    /// `NOENT`, `NOTDIR`, `SYMLINK`, `ACCESS`, ….
    pub(super) async fn lookup(&mut self, name: &[u8]) -> Result<Object, Status> {
        let file = match self.current()? {
            Object::File(file) => file.clone(),
            Object::Node(node) => {
                let child = node.child(name).ok_or(Status::NoEnt)?;
                return self.enter_node(child).await?.ok_or(Status::NoEnt);
            }
        };
        let below = match self.node_of(&file).await {
            Some(node) => node.child(name),
            None => None,
        };
        if let Some(covered) = below.clone().filter(|child| child.export().is_some())
            && let Some(object) = self.enter_node(covered).await?
        {
            return Ok(object);
        }
        match (find(&file, name).await, below) {
            (Ok(found), below) => {
                if let Some(node) = below {
                    node.learn(file.place.export.id(), found.handle);
                }
                Ok(Object::File(file.sibling(found.handle)))
            }
            (Err(Status::NoEnt), Some(child)) => self.enter_node(child).await?.ok_or(Status::NoEnt),
            (Err(Status::NotDir), _) => Err(not_directory(&file).await),
            (Err(status), _) => Err(status),
        }
    }

    /// LOOKUPP.
    ///
    /// # Errors
    /// `NOENT` at the root, `NOTDIR`, `SYMLINK`, ….
    pub(super) async fn lookup_parent(&mut self) -> Result<Object, Status> {
        let file = match self.current()? {
            Object::File(file) => file.clone(),
            Object::Node(node) => return self.enter_parent(node.clone()).await,
        };
        if file.handle == file.place.export.file_system().root() {
            let tree = self.nfs.service.tree();
            let node = tree.covered_by(file.place.export.id()).ok_or(Status::Stale)?;
            return self.enter_parent(node).await;
        }
        match find(&file, b"..").await {
            Ok(found) => Ok(Object::File(file.sibling(found.handle))),
            Err(Status::NotDir) => Err(not_directory(&file).await),
            Err(status) => Err(status),
        }
    }

    /// The parent of a directory of the tree, in the export that holds it if one does.
    async fn enter_parent(&mut self, node: Node) -> Result<Object, Status> {
        let parent = node.parent().ok_or(Status::NoEnt)?;
        let mut above = Some(parent.clone());
        while let Some(node) = above {
            if let Some(export) = node.export()
                && let Ok(place) = self.enter(&Arc::clone(export)).await
            {
                let names = parent.names_below(&node);
                if let Ok(file) = walk(root_of(place), names).await {
                    return Ok(Object::File(file));
                }
            }
            above = node.parent();
        }
        Ok(self.enter_node(parent.clone()).await?.unwrap_or(Object::Node(parent)))
    }

    /// The directory of the tree that a directory of an export is, if exports lie below it.
    pub(super) async fn node_of(&mut self, file: &File) -> Option<Node> {
        let export = &file.place.export;
        let tree = self.nfs.service.tree();
        if !tree.has_below(export.id()) {
            return None;
        }
        let node = Arc::clone(&tree).covered_by(export.id())?;
        if file.handle == export.file_system().root() {
            return Some(node);
        }
        if tree.begin_learning(export.id()) {
            self.learn(&node, export, &file.place).await;
        }
        tree.learned(export.id(), &file.handle)
    }

    /// A name that another export covers stays.
    ///
    /// # Errors
    /// `ACCESS`.
    pub(super) async fn check_no_export(&mut self, at: &File, name: &[u8]) -> Result<(), Status> {
        match self.node_of(at).await.and_then(|node| node.child(name)) {
            Some(_) => Err(Status::Access),
            None => Ok(()),
        }
    }

    /// Finds the directories of an export that lie on the way to other exports.
    async fn learn(&mut self, top: &Node, export: &Arc<Export>, place: &Arc<Place>) {
        let mut next = vec![(top.clone(), root_of(Arc::clone(place)))];
        while let Some((node, directory)) = next.pop() {
            for child in node.children().filter(|child| child.export().is_none()) {
                if let Ok(found) = find(&directory, child.name()).await {
                    child.learn(export.id(), found.handle);
                    next.push((child, directory.sibling(found.handle)));
                }
            }
        }
    }
}

/// The root of an export.
pub(super) fn root_of(place: Arc<Place>) -> File {
    let handle = place.export.file_system().root();
    File { place, handle }
}

async fn find(directory: &File, name: &[u8]) -> Result<Found, Status> {
    let name = bytes::Bytes::copy_from_slice(name);
    directory.look(move |fs, context, directory| fs.lookup(context, directory, &name)).await
}

async fn walk(mut directory: File, names: Vec<Vec<u8>>) -> Result<File, Status> {
    for name in names {
        let found = find(&directory, &name).await?;
        directory = directory.sibling(found.handle);
    }
    Ok(directory)
}

/// Why an object cannot be looked into.
async fn not_directory(file: &File) -> Status {
    match file.kind().await {
        Ok(FileKind::Symlink) => Status::Symlink,
        _ => Status::NotDir,
    }
}
