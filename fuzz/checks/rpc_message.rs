//! Headers of calls and replies, and credentials: what can be read can be written, and is read
//! again as the same.

use bytes::Bytes;
use standfast_rpc::auth::{Credential, OpaqueAuth};
use standfast_rpc::message::{CallMessage, RPC_VERSION, ReplyStatus};
use standfast_rpc::xdr::{Decoder, Encoder};

/// Takes a message.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    if let Ok(call) = CallMessage::decode(&message) {
        check_call(&call);
    }
    let mut decoder = Decoder::new(&message);
    if let Ok((xid, status)) = ReplyStatus::decode(&mut decoder) {
        let mut encoder = Encoder::default();
        status.encode_header(&mut encoder, xid);
        let again = encoder.into_segments().to_bytes();
        assert_eq!(ReplyStatus::decode(&mut Decoder::new(&again)), Ok((xid, status)));
    }
}

fn check_call(call: &CallMessage) {
    if call.rpc_version != RPC_VERSION {
        return;
    }
    let Ok(credential) = &call.credential else { return };
    let auth = match credential {
        Credential::None => OpaqueAuth::none(),
        Credential::Sys(identity) => OpaqueAuth::sys(identity),
    };
    let procedure = (call.program, call.version, call.procedure);
    let mut encoder = Encoder::default();
    CallMessage::encode_header(&mut encoder, call.xid, procedure, &auth);
    let again = CallMessage::decode(&encoder.into_segments().to_bytes());
    let again = again.expect("what was written can be read");
    assert_eq!(again.xid, call.xid);
    assert_eq!((again.program, again.version, again.procedure), procedure);
    assert_eq!(again.credential.as_ref(), Ok(credential));
}
