//! Settings of an interface under `/proc/sys/net`.

use std::path::PathBuf;

use crate::Error;

/// Address family of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `net.ipv4`
    Ipv4,
    /// `net.ipv6`
    Ipv6,
}

/// One setting of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    path: PathBuf,
}

impl Setting {
    /// The setting `net.FAMILY.conf.INTERFACE.NAME`.
    pub fn of_interface(family: Family, interface: &str, name: &str) -> Self {
        let family = match family {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        };
        let conf = PathBuf::from("/proc/sys/net").join(family).join("conf");
        Self { path: conf.join(interface).join(name) }
    }

    /// Its value.
    ///
    /// # Errors
    /// If it cannot be read, or is no number.
    pub fn read(&self) -> Result<i64, Error> {
        let text = std::fs::read_to_string(&self.path)
            .map_err(Error::system(format!("read {}", self.path.display())))?;
        text.trim().parse().map_err(|_| Error::Answer {
            action: format!("read {}", self.path.display()),
            reason: format!("`{}` is no number", text.trim()),
        })
    }

    /// Sets it and returns the value that it had.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn write(&self, value: i64) -> Result<i64, Error> {
        let before = self.read()?;
        if before != value {
            std::fs::write(&self.path, value.to_string())
                .map_err(Error::system(format!("write {value} to {}", self.path.display())))?;
        }
        Ok(before)
    }
}
