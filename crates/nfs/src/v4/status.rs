//! From the filesystem's errors to those of the protocol.

use standfast_vfs::Error;

use super::protocol::Status;
use crate::v3::protocol::Status as Status3;

impl From<&Error> for Status {
    /// The versions have their statuses in common, but for these.
    fn from(error: &Error) -> Self {
        match Status3::from(error) {
            Status3::NoDev => Self::NxIo,
            status => Self::try_from(status as u32).unwrap_or(Self::ServerFault),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn an_error_has_the_same_status_in_both_versions() {
        for number in 1..4096 {
            let error = Error::Os(Errno::from_raw_os_error(number));
            let (old, new) = (Status3::from(&error), Status::from(&error));
            if old == Status3::NoDev {
                assert_eq!(new, Status::NxIo);
            } else {
                assert_eq!(new as u32, old as u32, "{error}");
            }
        }
        assert_eq!(Status::from(&Error::Stale), Status::Stale);
        assert_eq!(Status::from(&Error::BadHandle), Status::BadHandle);
    }
}
