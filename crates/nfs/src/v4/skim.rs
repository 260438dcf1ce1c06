//! A first look at a COMPOUND, before there is room for its reply.

use bytes::Bytes;
use standfast_rpc::xdr::{Decode, Decoder};

use super::operations;
use super::protocol::{MAX_TAG, MAX_WORDS, Operation, OperationCode};

/// What a COMPOUND looks like from afar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skimmed {
    /// The minor version.
    pub(super) minor: u32,
    /// Bytes of payload that its reply may hold.
    pub(super) payload: usize,
    /// It does something that must not be done twice.
    pub(super) runs_once: bool,
}

/// Values that are passed over.
struct Skimmer<'a>(Decoder<'a>);

impl Skimmer<'_> {
    fn u32(&mut self) -> Option<u32> {
        self.0.u32().ok()
    }

    fn skip<const N: usize>(&mut self) -> Option<()> {
        self.0.fixed::<N>().ok().map(|_| ())
    }

    /// A word on how much is wanted.
    fn count(&mut self) -> Option<usize> {
        self.u32().map(|count| count as usize)
    }

    fn bitmap(&mut self) -> Option<()> {
        let words = self.0.length(MAX_WORDS).ok()?;
        (0..words).try_for_each(|_| self.skip::<4>())
    }

    /// Passes over an operation; how much payload its result may hold.
    fn operation(&mut self, code: OperationCode) -> Option<usize> {
        use OperationCode as Code;
        match code {
            Code::Sequence => self.skip::<32>()?,
            Code::PutHandle | Code::Lookup => self.0.pass_opaque().ok()?,
            Code::GetAttr => self.bitmap()?,
            Code::Access => self.skip::<4>()?,
            Code::Read | Code::ReadPlus => {
                self.skip::<24>()?;
                return self.count();
            }
            Code::ReadDir => {
                self.skip::<20>()?;
                let count = self.count()?;
                self.bitmap()?;
                return Some(count);
            }
            _ => return None,
        }
        Some(0)
    }
}

/// Looks at the arguments of a COMPOUND; what cannot be read is left to who runs it.
pub(super) fn skim(arguments: &Bytes) -> Skimmed {
    let mut skimmed = Skimmed::default();
    let mut skimmer = Skimmer(Decoder::new(arguments));
    let _ended = skim_all(&mut skimmer, &mut skimmed);
    skimmed
}

fn skim_all(skimmer: &mut Skimmer<'_>, skimmed: &mut Skimmed) -> Option<()> {
    skimmer.0.opaque(MAX_TAG).ok()?;
    skimmed.minor = skimmer.u32()?;
    let count = skimmer.u32()?;
    for _ in 0..count {
        let before = skimmer.0.clone();
        let code = OperationCode::try_from(skimmer.u32()?).ok()?;
        skimmed.runs_once |= operations::runs_once_without_session(code);
        match skimmer.operation(code) {
            Some(payload) => skimmed.payload = skimmed.payload.saturating_add(payload),
            None => {
                skimmer.0 = before;
                let operation = Operation::decode(&mut skimmer.0).ok()?;
                let payload = payload_of(&operation);
                skimmed.payload = skimmed.payload.saturating_add(payload);
            }
        }
    }
    Some(())
}

/// How much payload the result of a rarer operation may hold.
fn payload_of(operation: &Operation) -> usize {
    match operation {
        Operation::ReadLink => 4096,
        Operation::GetXattr(_) => 1 << 16,
        Operation::ListXattrs(args) => args.max_bytes as usize,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4::protocol::{
        Bitmap, CompoundArgs, GetAttrArgs, NameArgs, ReadArgs, ReadDirArgs, SequenceArgs, StateId,
        Tag,
    };
    use standfast_rpc::xdr::to_bytes;

    fn skimmed(minor: u32, operations: &[Operation]) -> Skimmed {
        skim(&to_bytes(&CompoundArgs::new(Tag::copy_from_slice(b"tag"), minor, operations)))
    }

    fn read(count: u32) -> Operation {
        Operation::Read(ReadArgs { stateid: StateId::default(), offset: 1, count })
    }

    #[test]
    fn payloads_add_up_wherever_they_stand() {
        let name = || NameArgs { name: b"name".to_vec().into() };
        let attributes: Bitmap = [1, 33].into_iter().collect();
        let operations = [
            Operation::Sequence(SequenceArgs {
                session: [1; 16],
                sequence: 1,
                slot: 0,
                highest_slot: 0,
                cache_this: false,
            }),
            Operation::PutHandle(vec![1; 33].into()),
            Operation::Lookup(name()),
            Operation::SecInfo(name()),
            Operation::GetAttr(GetAttrArgs { attributes }),
            Operation::ReadLink,
            read(70_000),
            Operation::ReadDir(ReadDirArgs {
                cookie: 0,
                verifier: [0; 8],
                directory_bytes: 7,
                max_bytes: 32_768,
                attributes,
            }),
            read(5),
        ];
        let expected = Skimmed { minor: 1, payload: 4096 + 70_000 + 32_768 + 5, runs_once: false };
        assert_eq!(skimmed(1, &operations), expected);
    }

    #[test]
    fn what_changes_something_is_seen() {
        let name = NameArgs { name: b"name".to_vec().into() };
        let remove = [Operation::PutRootHandle, Operation::Remove(name), read(9)];
        assert_eq!(skimmed(0, &remove), Skimmed { minor: 0, payload: 9, runs_once: true });
        assert!(!skimmed(0, &[Operation::PutRootHandle, read(u32::MAX), read(9)]).runs_once);
    }

    #[test]
    fn what_cannot_be_read_is_left() {
        assert_eq!(skim(&Bytes::new()), Skimmed::default());
        assert_eq!(skim(&Bytes::from_static(&[0xff; 64])), Skimmed::default());
    }
}
