//! The messages of the lock manager and the status monitor, byte for byte as RFC 4506 and the
//! XNFS specification write them.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong stops")]

use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;
use standfast_nfs::nlm::protocol as nlm;
use standfast_nfs::nsm::protocol as nsm;
use standfast_rpc::xdr::{Decode, Encode, Opaque, from_bytes, to_bytes};

/// Bytes from words of hexadecimal digits.
fn hex(words: &str) -> Bytes {
    let digits: String = words.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[track_caller]
fn golden<T: Encode + Decode + PartialEq + Debug>(value: &T, words: &str) {
    let bytes = hex(words);
    assert_eq!(to_bytes(value), bytes, "{value:?}");
    assert_eq!(&from_bytes::<T>(&bytes).unwrap(), value);
    for length in 0..bytes.len() {
        assert!(
            from_bytes::<T>(&bytes.slice(..length)).is_err(),
            "{length} bytes are no {value:?}"
        );
    }
}

fn opaque<const MAX: usize>(text: &str) -> Opaque<MAX> {
    Opaque::copy_from_slice(text.as_bytes())
}

fn lock<O>(offset: O, length: O) -> nlm::Lock<O> {
    nlm::Lock {
        caller_name: opaque("host"),
        handle: opaque("\u{1}\u{2}\u{3}"),
        owner: opaque("7@host"),
        svid: 7,
        offset,
        length,
    }
}

/// [`lock`] before its offset.
const LOCK: &str = "00000004 686f7374 00000003 01020300 00000006 3740686f 73740000 00000007";
const COOKIE: &str = "00000002 c0010000";

fn cookie() -> nlm::Netobj {
    Opaque::copy_from_slice(&[0xc0, 0x01])
}

#[test]
fn locks_of_both_widths() {
    golden(&lock(0x0102_0304_u32, 0), &format!("{LOCK} 01020304 00000000"));
    golden(
        &lock(0x0102_0304_0506_0708_u64, u64::MAX),
        &format!("{LOCK} 01020304 05060708 ffffffff ffffffff"),
    );
}

#[test]
fn test_and_granted() {
    let args = nlm::TestArgs { cookie: cookie(), exclusive: true, lock: lock(1_u64, 2) };
    golden(&args, &format!("{COOKIE} 00000001 {LOCK} 00000000 00000001 00000000 00000002"));
    let args = nlm::TestArgs { cookie: cookie(), exclusive: false, lock: lock(1_u32, 2) };
    golden(&args, &format!("{COOKIE} 00000000 {LOCK} 00000001 00000002"));
}

#[test]
fn test_results() {
    let holder =
        nlm::Holder { exclusive: true, svid: -1, owner: opaque("me"), offset: 5_u64, length: 0 };
    golden(
        &nlm::TestResult { cookie: cookie(), reply: nlm::TestReply::Denied(holder) },
        &format!(
            "{COOKIE} 00000001 00000001 ffffffff 00000002 6d650000 00000000 00000005 00000000 \
             00000000"
        ),
    );
    let others: [(nlm::TestReply<u32>, &str); 9] = [
        (nlm::TestReply::Granted, "00000000"),
        (nlm::TestReply::DeniedNoLocks, "00000002"),
        (nlm::TestReply::Blocked, "00000003"),
        (nlm::TestReply::DeniedGracePeriod, "00000004"),
        (nlm::TestReply::Deadlock, "00000005"),
        (nlm::TestReply::ReadOnly, "00000006"),
        (nlm::TestReply::StaleHandle, "00000007"),
        (nlm::TestReply::TooBig, "00000008"),
        (nlm::TestReply::Failed, "00000009"),
    ];
    for (reply, word) in others {
        golden(&nlm::TestResult { cookie: cookie(), reply }, &format!("{COOKIE} {word}"));
    }
}

#[test]
fn lock_and_nm_lock() {
    let args = nlm::LockArgs {
        cookie: cookie(),
        block: true,
        exclusive: false,
        lock: lock(9_u64, 1),
        reclaim: true,
        state: 3,
    };
    golden(
        &args,
        &format!(
            "{COOKIE} 00000001 00000000 {LOCK} 00000000 00000009 00000000 00000001 00000001 \
             00000003"
        ),
    );
}

#[test]
fn cancel_and_unlock() {
    let args =
        nlm::CancelArgs { cookie: cookie(), block: true, exclusive: true, lock: lock(9_u32, 1) };
    golden(&args, &format!("{COOKIE} 00000001 00000001 {LOCK} 00000009 00000001"));
    let args = nlm::UnlockArgs { cookie: cookie(), lock: lock(9_u32, 1) };
    golden(&args, &format!("{COOKIE} {LOCK} 00000009 00000001"));
}

#[test]
fn results() {
    for (number, status) in nlm::Status::ALL.iter().enumerate() {
        let result = nlm::LockResult { cookie: cookie(), status: *status };
        golden(&result, &format!("{COOKIE} {number:08x}"));
    }
}

#[test]
fn share_and_unshare() {
    let share = nlm::ShareWish {
        caller_name: opaque("host"),
        handle: opaque("fh"),
        owner: opaque("own"),
        mode: nlm::ShareMode::DenyReadWrite,
        access: nlm::ShareAccess::Write,
    };
    golden(
        &nlm::ShareArgs { cookie: cookie(), share, reclaim: false },
        &format!(
            "{COOKIE} 00000004 686f7374 00000002 66680000 00000003 6f776e00 00000003 00000002 \
             00000000"
        ),
    );
    let result = nlm::ShareResult { cookie: cookie(), status: nlm::Status::Denied, sequence: 0 };
    golden(&result, &format!("{COOKIE} 00000001 00000000"));
}

#[test]
fn free_all() {
    let args = nlm::FreeAllArgs { name: opaque("host"), state: 5 };
    golden(&args, "00000004 686f7374 00000005");
}

#[test]
fn the_older_versions_have_fewer_statuses() {
    use nlm::Status;
    for status in Status::ALL {
        assert_eq!(status.in_version(4), *status);
        assert!(status.in_version(3) as u32 <= 5);
        assert!(status.in_version(1) as u32 <= 4);
    }
    assert_eq!(Status::Deadlock.in_version(3), Status::Deadlock);
    assert_eq!(Status::Deadlock.in_version(1), Status::Denied);
    assert_eq!(Status::StaleHandle.in_version(3), Status::DeniedNoLocks);
    assert_eq!(Status::Blocked.in_version(1), Status::Blocked);
}

#[test]
fn status_monitor() {
    let my_id = nsm::MyId { my_name: opaque("me"), program: 100_021, version: 4, procedure: 16 };
    let my_id_words = "00000002 6d650000 000186b5 00000004 00000010";
    let id = nsm::MonId { mon_name: opaque("them"), my_id: my_id.clone() };
    let private = *b"0123456789abcdef";
    let private_words = "30313233 34353637 38396162 63646566";
    golden(&nsm::StatArgs { mon_name: opaque("them") }, "00000004 7468656d");
    golden(&my_id, my_id_words);
    golden(&id, &format!("00000004 7468656d {my_id_words}"));
    golden(&nsm::Mon { id, private }, &format!("00000004 7468656d {my_id_words} {private_words}"));
    golden(&nsm::StatResult { outcome: nsm::Outcome::Fail, state: -1 }, "00000001 ffffffff");
    golden(&nsm::State { state: 7 }, "00000007");
    golden(&nsm::StateChange { mon_name: opaque("them"), state: 7 }, "00000004 7468656d 00000007");
    golden(
        &nsm::Status { mon_name: opaque("them"), state: 7, private },
        &format!("00000004 7468656d 00000007 {private_words}"),
    );
}

#[test]
fn too_long_is_refused() {
    let long = |length: u32| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.resize(4 + length as usize, b'x');
        Bytes::from(bytes)
    };
    assert!(from_bytes::<nlm::Name>(&long(1024)).is_ok());
    assert!(from_bytes::<nlm::Name>(&long(1028)).is_err());
    assert!(from_bytes::<nlm::Netobj>(&long(1028)).is_err());
    assert!(from_bytes::<nsm::Name>(&long(1028)).is_err());
}

/// What is decoded from any bytes says the same when it is encoded again.
fn decodes_or_not<T: Encode + Decode + PartialEq + Debug>(bytes: &Bytes) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        let again = to_bytes(&value);
        assert_eq!(from_bytes::<T>(&again).as_ref(), Ok(&value));
        assert_eq!(again.len(), bytes.len());
    }
}

/// Small numbers are lengths, flags and statuses more often than any would be by chance.
fn words() -> impl Strategy<Value = Bytes> {
    let word = prop_oneof![3 => 0..12_u32, 1 => any::<u32>()];
    prop::collection::vec(word, 0..24)
        .prop_map(|words| words.iter().flat_map(|word| word.to_be_bytes()).collect())
}

proptest! {
    #[test]
    fn any_bytes_can_be_looked_at(bytes in words()) {
        decodes_or_not::<nlm::TestArgs<u32>>(&bytes);
        decodes_or_not::<nlm::TestArgs<u64>>(&bytes);
        decodes_or_not::<nlm::TestResult<u64>>(&bytes);
        decodes_or_not::<nlm::LockArgs<u32>>(&bytes);
        decodes_or_not::<nlm::LockArgs<u64>>(&bytes);
        decodes_or_not::<nlm::CancelArgs<u64>>(&bytes);
        decodes_or_not::<nlm::UnlockArgs<u64>>(&bytes);
        decodes_or_not::<nlm::LockResult>(&bytes);
        decodes_or_not::<nlm::ShareArgs>(&bytes);
        decodes_or_not::<nlm::ShareResult>(&bytes);
        decodes_or_not::<nlm::FreeAllArgs>(&bytes);
        decodes_or_not::<nsm::Mon>(&bytes);
        decodes_or_not::<nsm::MonId>(&bytes);
        decodes_or_not::<nsm::StatResult>(&bytes);
        decodes_or_not::<nsm::StateChange>(&bytes);
        decodes_or_not::<nsm::Status>(&bytes);
    }

    #[test]
    fn any_lock_survives_the_wire(
        name in prop::collection::vec(any::<u8>(), 0..64),
        svid in any::<i32>(),
        offset in any::<u64>(),
        length in any::<u64>(),
        flags in any::<[bool; 3]>(),
    ) {
        let [block, exclusive, reclaim] = flags;
        let lock = nlm::Lock {
            caller_name: Opaque::copy_from_slice(&name),
            handle: Opaque::copy_from_slice(&name),
            owner: Opaque::copy_from_slice(&name),
            svid,
            offset,
            length,
        };
        let args =
            nlm::LockArgs { cookie: cookie(), block, exclusive, lock, reclaim, state: svid };
        prop_assert_eq!(from_bytes::<nlm::LockArgs<u64>>(&to_bytes(&args)), Ok(args));
    }
}
