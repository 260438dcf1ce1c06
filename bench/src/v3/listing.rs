//! READDIRPLUS through a whole directory, again and again.

use standfast_nfs::v3::protocol::{
    Attributes, FileHandle, Procedure, ReadDirPlusArgs, ReadDirPlusOk, Verifier,
};
use standfast_rpc::xdr::Decoder;

use super::calls::{expect, judge, procedure};
use crate::Error;
use crate::load::{Field, Outbox, Progress, Template, Work};

/// Bytes asked for in one call.
const REPLY: u32 = 64 << 10;
/// `.` and `..`, which are listed too.
const DOTS: u64 = 2;

/// Listings of one directory, one call at a time.
pub(super) struct Listings {
    directory: FileHandle,
    /// Names in it, without the dots.
    names: u64,
    cookie: u64,
    verifier: Verifier,
    /// Names of this listing so far.
    seen: u64,
    /// Sum of their file ids, and that of the first whole listing.
    sum: u64,
    first_sum: Option<u64>,
}

impl Listings {
    pub(super) fn new(directory: &FileHandle, names: u64) -> Self {
        let directory = directory.clone();
        Self { directory, names, cookie: 0, verifier: [0; 8], seen: 0, sum: 0, first_sum: None }
    }

    /// Every listing has all the names, and the same ones.
    fn end(&mut self) -> Result<(), Error> {
        let (seen, right) = (self.seen, self.names + DOTS);
        expect(seen == right, || format!("{seen} names were listed instead of {right}"))?;
        let first = *self.first_sum.get_or_insert(self.sum);
        expect(first == self.sum, || "two listings differ".into())?;
        (self.cookie, self.verifier, self.seen, self.sum) = (0, [0; 8], 0, 0);
        Ok(())
    }
}

impl Work for Listings {
    fn next(&mut self, _slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        let arguments = ReadDirPlusArgs {
            directory: self.directory.clone(),
            cookie: self.cookie,
            verifier: self.verifier,
            dir_count: REPLY,
            max_count: REPLY,
        };
        outbox.push(
            &Template::new(procedure(Procedure::ReadDirPlus), &arguments, Field::None),
            xid,
            0,
        );
        true
    }

    fn judge(&mut self, _slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        let listed: ReadDirPlusOk = judge::<_, Option<Attributes>>(results)?;
        let entries = &listed.entries.0;
        expect(listed.end || !entries.is_empty(), || "a listing makes no progress".into())?;
        for entry in entries {
            self.sum = self.sum.wrapping_add(entry.file_id);
            let whole = entry.attributes.is_some() && entry.handle.is_some();
            expect(whole || entry.name.starts_with(b"."), || {
                format!("{:?} came without handle or attributes", entry.name)
            })?;
        }
        self.seen += entries.len() as u64;
        self.cookie = entries.last().map_or(self.cookie, |entry| entry.cookie);
        self.verifier = listed.verifier;
        if listed.end {
            self.end()?;
        }
        Ok(Progress::Done(entries.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_nfs::v3::protocol::{EntryPlus, Name, Outcome};
    use standfast_rpc::xdr::{Chain, to_bytes};

    fn judged(listings: &mut Listings, names: &[&str], end: bool) -> Result<Progress, Error> {
        let entry = |name: &&str| EntryPlus {
            file_id: 1,
            name: Name::copy_from_slice(name.as_bytes()),
            cookie: 1,
            attributes: None,
            handle: None,
        };
        let outcome: Outcome<ReadDirPlusOk, Option<Attributes>> = Outcome::Ok(ReadDirPlusOk {
            attributes: None,
            verifier: [0; 8],
            entries: Chain(names.iter().map(entry).collect()),
            end,
        });
        let reply = to_bytes(&outcome);
        listings.judge(0, &mut Decoder::new(&reply))
    }

    #[test]
    fn a_listing_must_be_whole() {
        let listings = || Listings::new(&FileHandle::default(), 0);
        assert_eq!(judged(&mut listings(), &[".", ".."], true).unwrap(), Progress::Done(2));
        assert!(judged(&mut listings(), &["."], true).is_err());
        assert!(judged(&mut listings(), &[], false).is_err());
        assert!(judged(&mut listings(), &["a"], false).is_err(), "a name without a handle");
    }
}
