use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use standfast_rpc::xdr::{Decode, Encode, from_bytes, to_bytes};

use super::*;

/// Messages that look like XDR: mostly small words, so that decoders get far.
fn words() -> impl Strategy<Value = Bytes> {
    let word = prop_oneof![
        6 => 0_u32..4,
        2 => 4_u32..16,
        1 => any::<u32>(),
    ];
    prop::collection::vec(word, 0..48).prop_map(|words| {
        let mut message = BytesMut::new();
        words.iter().for_each(|word| message.put_u32(*word));
        message.freeze()
    })
}

/// What can be decoded comes back the same after a trip over the wire.
fn round_trip<T: Decode + Encode + PartialEq + std::fmt::Debug>(message: &Bytes) -> bool {
    let mut decoder = standfast_rpc::xdr::Decoder::new(message);
    let Ok(value) = T::decode(&mut decoder) else { return false };
    assert_eq!(from_bytes::<T>(&to_bytes(&value)).as_ref(), Ok(&value));
    true
}

fn numbered(code: u32, rest: &Bytes) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u32(code);
    message.extend_from_slice(rest);
    message.freeze()
}

proptest! {
    #[test]
    fn operations_survive_the_wire(code in 3_u32..76, rest in words()) {
        let message = numbered(code, &rest);
        round_trip::<Operation>(&message);
        round_trip::<OperationResult>(&message);
        round_trip::<CallbackOperation>(&message);
        round_trip::<CallbackResult>(&message);
        round_trip::<CallbackArgs>(&rest);
        round_trip::<CallbackResults>(&rest);
        round_trip::<CompoundResults>(&rest);
        round_trip::<Fattr>(&rest);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let message = Bytes::from(bytes);
        round_trip::<Operation>(&message);
        round_trip::<CallbackResults>(&message);
        if let Ok(compound) = from_bytes::<CompoundArgs>(&message) {
            // Each operation takes at least its number: a count is only the client's word.
            prop_assert!(compound.operations().count() <= message.len() / 4 + 1);
        }
    }

    #[test]
    fn a_compound_is_read_up_to_what_cannot_be(
        minor in 0_u32..4, count in any::<u32>(), rest in words()
    ) {
        let tag = Tag::default();
        let compound = CompoundArgs { tag, minor, count, operations: rest.clone() };
        let read: Vec<_> = compound.operations().collect();
        prop_assert!(read.len() <= rest.len() / 4 + 1);
        let failures = read.iter().filter(|operation| operation.is_err()).count();
        prop_assert!(failures <= 1 && (failures == 0 || read.last().is_some_and(Result::is_err)));
        for operation in read.iter().flatten() {
            prop_assert!(operation.code().is_served(minor));
        }
        let again = from_bytes::<CompoundArgs>(&to_bytes(&compound));
        prop_assert_eq!(again, Ok(compound));
    }

    #[test]
    fn attributes_survive_the_wire(mask in any::<[u32; 3]>(), rest in words()) {
        let numbers = (0..96).filter(|number| mask[*number as usize / 32] >> (number % 32) & 1 == 1);
        let mask: Bitmap = numbers.filter(|number| Attribute::try_from(*number).is_ok()).collect();
        let mut decoder = standfast_rpc::xdr::Decoder::new(&rest);
        let mut values = Vec::new();
        for number in mask.iter() {
            let attribute = Attribute::try_from(number).unwrap();
            let Ok(value) = Value::decode_as(attribute, &mut decoder) else { break };
            values.push(value);
        }
        let fattr = Fattr::new(values.iter().rev().cloned());
        prop_assert_eq!(fattr.values(), Ok(values));
    }

    #[test]
    fn bitmaps_hold_what_is_put_in(numbers in prop::collection::btree_set(0_u32..256, 0..20)) {
        let set: Bitmap = numbers.iter().copied().collect();
        prop_assert!(set.iter().eq(numbers.iter().copied()));
        prop_assert_eq!(from_bytes::<Bitmap>(&to_bytes(&set)), Ok(set));
    }
}

/// The words above reach every operation and every result.
#[test]
fn every_operation_is_reached() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    for &code in OperationCode::ALL.iter().filter(|code| code.is_served(0) || code.is_served(2)) {
        let reached = |decode: fn(&Bytes) -> bool, runner: &mut TestRunner| {
            (0..5_000).any(|_| {
                let rest = words().new_tree(runner).unwrap().current();
                decode(&numbered(code as u32, &rest))
            })
        };
        assert!(reached(round_trip::<Operation>, &mut runner), "{code:?}");
        assert!(reached(round_trip::<OperationResult>, &mut runner), "{code:?}");
    }
}

#[test]
fn unknown_attributes_are_named() {
    let fattr = Fattr { mask: [1, 80].into_iter().collect(), values: vec![0, 0, 0, 1].into() };
    assert_eq!(fattr.values(), Err(AttributeError::Unsupported(80)));
    assert_eq!(Status::from(AttributeError::Unsupported(80)), Status::AttrNotSupp);
}

#[test]
fn minor_versions_have_their_operations() {
    let read = |minor, operations: Vec<u8>| {
        let compound =
            CompoundArgs { tag: Tag::default(), minor, count: 1, operations: operations.into() };
        compound.operations().next().unwrap()
    };
    let error = |code, status| Err(OperationError { code, status });
    let sequence = [&[0, 0, 0, 53][..], &[0; 32]].concat();
    assert_eq!(read(0, sequence.clone()), error(OperationCode::Illegal, Status::OpIllegal));
    assert!(read(1, sequence).is_ok());
    let layout = vec![0, 0, 0, 50];
    assert_eq!(read(1, layout), error(OperationCode::LayoutGet, Status::NotSupp));
    let renew = [&[0, 0, 0, 30][..], &[0; 8]].concat();
    assert!(read(0, renew.clone()).is_ok());
    assert_eq!(read(1, renew), error(OperationCode::Renew, Status::NotSupp));
    assert_eq!(read(1, vec![0, 0, 0, 34]), error(OperationCode::SetAttr, Status::BadXdr));
    assert_eq!(read(1, vec![0, 0, 0, 2]), error(OperationCode::Illegal, Status::OpIllegal));
    let refusal = OperationError { code: OperationCode::SetAttr, status: Status::BadXdr };
    let result = from_bytes::<OperationResult>(&refused(refusal));
    assert_eq!(result.map(|result| result.status()), Ok(Status::BadXdr));
}
