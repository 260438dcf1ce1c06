//! The number of this run of the node.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::lease::Incarnation;

const NAME: &str = "incarnation";

/// The number of the run that begins now, durable before it is given: one more than the last. Only
/// one process may use the directory, which the store of consensus sees to.
///
/// # Errors
/// If it cannot be read or written, or is no number: to begin again from one would let leases of
/// earlier runs count as this one's, so a person has to look.
pub fn next_incarnation(directory: &Path) -> io::Result<Incarnation> {
    let path = directory.join(NAME);
    let last = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            let text = format!("{}: `{}` is no number of a run", path.display(), text.trim());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0_u64,
        Err(error) => return Err(error),
    };
    let next = last.saturating_add(1);
    let new = directory.join(format!("{NAME}.new"));
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{next}")?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(Incarnation(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_at_each_start() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(next_incarnation(directory.path()).unwrap(), Incarnation(1));
        assert_eq!(next_incarnation(directory.path()).unwrap(), Incarnation(2));
        fs::write(directory.path().join(NAME), "x").unwrap();
        let error = next_incarnation(directory.path()).unwrap_err();
        assert!(error.to_string().contains("`x` is no number"));
    }
}
