//! NFSv4: COMPOUND, its operations one by one, its results, attributes; callbacks.

use std::fmt::Debug;

use bytes::Bytes;
use standfast_nfs::v4::protocol::{
    CallbackArgs, CallbackResults, CompoundArgs, CompoundResults, Fattr, OperationError, refused,
};
use standfast_rpc::xdr::{Decode, Decoder, Encode, from_bytes, to_bytes};

/// More operations than a message of this size can hold come from a count that lies.
const MIN_OPERATION: usize = 4;

/// Takes a message, and reads it as everything that it can be.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    settles::<CompoundResults>(&message);
    settles::<CallbackArgs>(&message);
    settles::<CallbackResults>(&message);
    attributes(&message);
    let Ok(args) = CompoundArgs::decode(&mut Decoder::new(&message)) else { return };
    let mut read = 0;
    for operation in args.operations() {
        read += 1;
        match operation {
            Ok(operation) => {
                again(&operation);
                assert!(operation.code().is_served(args.minor), "{operation:?}");
            }
            Err(OperationError { code, status }) => {
                assert!(!refused(OperationError { code, status }).is_empty());
            }
        }
    }
    assert!(read <= 1 + message.len() / MIN_OPERATION);
}

/// What is read is written so that it is read as the same; padding, and words of a set that are
/// empty, need not be there again.
fn settles<T: Decode + Encode + PartialEq + Debug>(message: &Bytes) {
    if let Ok(value) = T::decode(&mut Decoder::new(message)) {
        again(&value);
    }
}

fn again<T: Decode + Encode + PartialEq + Debug>(value: &T) {
    assert_eq!(from_bytes::<T>(&to_bytes(value)).as_ref(), Ok(value));
}

fn attributes(message: &Bytes) {
    let Ok(attributes) = Fattr::decode(&mut Decoder::new(message)) else { return };
    if let Ok(values) = attributes.values() {
        assert_eq!(Fattr::new(values.clone()).values().as_ref(), Ok(&values));
    }
}
