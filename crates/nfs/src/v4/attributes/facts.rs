//! What the filesystem must be asked for.

use rustix::io::Errno;
use standfast_vfs::{
    AclKind, Attributes, Context, Error, FileKind, FileSystem, Handle, Limits, Quota, Space,
};

use super::super::acl::Lists;
use super::super::protocol::{Attribute, Bitmap};

/// What beside the plain attributes is needed to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Needs {
    acl: bool,
    quota: bool,
    space: bool,
    limits: bool,
}

impl Needs {
    /// What these attributes need.
    pub(in super::super) fn of(wanted: &Bitmap) -> Self {
        use Attribute as It;
        let any = |of: &[It]| of.iter().any(|attribute| wanted.contains(*attribute as u32));
        Self {
            acl: any(&[It::Acl]),
            quota: any(&[It::QuotaAvailableHard, It::QuotaAvailableSoft, It::QuotaUsed]),
            space: any(&[
                It::FilesAvailable,
                It::FilesFree,
                It::FilesTotal,
                It::SpaceAvailable,
                It::SpaceFree,
                It::SpaceTotal,
            ]),
            limits: any(&[It::MaxFileSize, It::MaxLink, It::MaxName]),
        }
    }
}

/// What the filesystem said about an object.
#[derive(Clone, Debug)]
pub(in super::super) struct Facts {
    pub(in super::super) attributes: Attributes,
    pub(in super::super) acl: Option<Lists>,
    pub(in super::super) quota: Option<Quota>,
    pub(in super::super) space: Option<Space>,
    pub(in super::super) limits: Option<Limits>,
}

impl Facts {
    /// Asks for what is needed.
    pub(in super::super) fn gather(
        fs: &dyn FileSystem,
        context: Context<'_>,
        handle: &Handle,
        needs: Needs,
    ) -> Result<Self, Error> {
        Self::complete(fs, context, handle, fs.attributes(context, handle)?, needs)
    }

    /// Asks for the rest of what is needed.
    pub(in super::super) fn complete(
        fs: &dyn FileSystem,
        context: Context<'_>,
        handle: &Handle,
        attributes: Attributes,
        needs: Needs,
    ) -> Result<Self, Error> {
        let acl = needs.acl.then(|| lists(fs, context, handle, &attributes)).transpose()?;
        let quota = needs.quota.then(|| fs.quota(context, handle)).transpose()?.flatten();
        Ok(Self {
            attributes,
            acl,
            quota,
            space: needs.space.then(|| fs.space(context, handle)).transpose()?,
            limits: needs.limits.then(|| fs.limits(context, handle)).transpose()?,
        })
    }

    /// A directory of the tree that joins the exports: it has no space, and all names fit.
    pub(in super::super) fn of_directory(attributes: Attributes) -> Self {
        let limits = Limits { links: u32::MAX, name: 255, file_size: i64::MAX as u64 };
        let acl = Lists { access: Lists::of_mode(attributes.mode), default: None };
        Self {
            attributes,
            acl: Some(acl),
            quota: None,
            space: Some(Space::default()),
            limits: Some(limits),
        }
    }
}

/// The access control lists of an object; what has none has that of its mode.
fn lists(
    fs: &dyn FileSystem,
    context: Context<'_>,
    handle: &Handle,
    attributes: &Attributes,
) -> Result<Lists, Error> {
    let list = |kind| match fs.acl(context, handle, kind) {
        Err(Error::Os(Errno::OPNOTSUPP)) => Ok(None),
        list => list,
    };
    let access = list(AclKind::Access)?;
    let is_directory = attributes.kind == FileKind::Directory;
    let default = if is_directory { list(AclKind::Default)? } else { None };
    Ok(Lists { access: access.unwrap_or_else(|| Lists::of_mode(attributes.mode)), default })
}
