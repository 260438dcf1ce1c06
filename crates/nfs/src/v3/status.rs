//! From the filesystem's errors to those of the protocol.

use rustix::io::Errno;
use standfast_vfs::Error;

use super::protocol::Status;

/// Every errno that has a status of its own; the rest is a hard error of the storage.
///
/// RFC 1813 (section 3, "Errors") calls its lists of errors per procedure a guide and no
/// limit; what is sent is always a value of `nfsstat3`.
const TABLE: &[(Errno, Status)] = &[
    (Errno::PERM, Status::Perm),
    (Errno::NOENT, Status::NoEnt),
    (Errno::IO, Status::Io),
    (Errno::NXIO, Status::NxIo),
    (Errno::ACCESS, Status::Access),
    (Errno::EXIST, Status::Exist),
    (Errno::XDEV, Status::XDev),
    (Errno::NODEV, Status::NoDev),
    (Errno::NOTDIR, Status::NotDir),
    (Errno::ISDIR, Status::IsDir),
    (Errno::INVAL, Status::Inval),
    (Errno::FBIG, Status::FBig),
    (Errno::OVERFLOW, Status::FBig),
    (Errno::NOSPC, Status::NoSpc),
    (Errno::ROFS, Status::RoFs),
    (Errno::MLINK, Status::MLink),
    (Errno::NAMETOOLONG, Status::NameTooLong),
    (Errno::NOTEMPTY, Status::NotEmpty),
    (Errno::DQUOT, Status::DQuot),
    (Errno::STALE, Status::Stale),
    (Errno::OPNOTSUPP, Status::NotSupp),
    (Errno::NOSYS, Status::NotSupp),
    // A running program or a mount point: allowed later perhaps, not now.
    (Errno::TXTBSY, Status::Access),
    (Errno::BUSY, Status::Access),
    // Out of memory or of file descriptors for a moment: the client tries again.
    (Errno::NOMEM, Status::Jukebox),
    (Errno::NFILE, Status::Jukebox),
    (Errno::MFILE, Status::Jukebox),
    (Errno::AGAIN, Status::Jukebox),
    (Errno::INTR, Status::Jukebox),
];

impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        match error {
            Error::Os(errno) => {
                let known = TABLE.iter().find(|(known, _)| known == errno);
                known.map_or(Self::Io, |(_, status)| *status)
            }
            Error::Stale => Self::Stale,
            Error::BadHandle => Self::BadHandle,
            Error::NotSync => Self::NotSync,
            Error::BadType => Self::BadType,
            // The server repeats what would block; it never gets here.
            Error::WouldBlock => Self::Jukebox,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux's numbers of those errors that `nfsstat3` numbers differently or has not.
    const RENUMBERED: &[(i32, Status)] = &[
        (4, Status::Jukebox),      // EINTR
        (11, Status::Jukebox),     // EAGAIN
        (12, Status::Jukebox),     // ENOMEM
        (16, Status::Access),      // EBUSY
        (23, Status::Jukebox),     // ENFILE
        (24, Status::Jukebox),     // EMFILE
        (26, Status::Access),      // ETXTBSY
        (36, Status::NameTooLong), // ENAMETOOLONG
        (38, Status::NotSupp),     // ENOSYS
        (39, Status::NotEmpty),    // ENOTEMPTY
        (75, Status::FBig),        // EOVERFLOW
        (95, Status::NotSupp),     // EOPNOTSUPP
        (116, Status::Stale),      // ESTALE
        (122, Status::DQuot),      // EDQUOT
    ];

    /// The last error with a number that Linux has in common with the protocol.
    const LAST_IN_COMMON: u32 = 31;

    #[test]
    fn every_errno_has_its_status() {
        for number in 1..4096 {
            let renumbered = RENUMBERED.iter().find(|(known, _)| *known == number);
            let same = u32::try_from(number).ok().filter(|number| *number <= LAST_IN_COMMON);
            let same = same.and_then(|number| Status::try_from(number).ok());
            let expected = renumbered.map(|(_, status)| *status).or(same).unwrap_or(Status::Io);
            let error = Error::Os(Errno::from_raw_os_error(number));
            assert_eq!(Status::from(&error), expected, "{error}");
        }
    }

    #[test]
    fn every_other_error_has_its_status() {
        let expected = |error: &Error| match error {
            Error::WouldBlock => Status::Jukebox,
            Error::Stale => Status::Stale,
            Error::BadHandle => Status::BadHandle,
            Error::NotSync => Status::NotSync,
            Error::BadType => Status::BadType,
            Error::Os(_) => Status::Io,
        };
        let io = Error::Os(Errno::IO);
        for error in
            [Error::WouldBlock, Error::Stale, Error::BadHandle, Error::NotSync, Error::BadType, io]
        {
            assert_eq!(Status::from(&error), expected(&error), "{error}");
        }
    }

    #[test]
    fn no_errno_is_twice_in_the_table() {
        let mut numbers: Vec<_> = TABLE.iter().map(|(errno, _)| errno.raw_os_error()).collect();
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|one, next| one < next));
    }
}
