//! Properties of XDR, for all kinds of types that the macros make.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use standfast_rpc::record::{LAST_FRAGMENT, RecordReader};
use standfast_rpc::xdr::{Chain, Decode, DecodeError, Encode, List, Opaque, from_bytes, to_bytes};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

xdr_enum! {
    /// Numbers with a gap.
    pub enum Colour {
        /// The first.
        Red = 0,
        /// The second.
        Green = 1,
        /// Far away.
        Other = 10_000,
    }
}

xdr_struct! {
    /// Every kind of field.
    pub struct Everything {
        /// Unsigned.
        pub small: u32,
        /// Signed.
        pub signed: i32,
        /// Unsigned, long.
        pub large: u64,
        /// Signed, long.
        pub large_signed: i64,
        /// A truth.
        pub truth: bool,
        /// Fixed opaque data, padded.
        pub fixed: [u8; 5],
        /// Variable opaque data, small or large.
        pub opaque: Opaque<2000>,
        /// An enumeration.
        pub colour: Colour,
        /// Optional data.
        pub option: Option<Opaque<9>>,
        /// An array.
        pub list: List<Colour, 8>,
        /// A linked list of optional values.
        pub chain: Chain<Option<u64>>,
        /// A union.
        pub choice: Choice,
    }
}

xdr_union! {
    /// Arms with and without a value.
    pub enum Choice {
        /// None.
        Nothing = 0,
        /// Small.
        Number(u32) = 1,
        /// Large.
        Data(Opaque<2000>) = 2,
        /// Nested.
        Colours(List<Colour, 4>) = 70,
    }
}

fn opaque<const MAX: usize>() -> impl Strategy<Value = Opaque<MAX>> {
    vec(any::<u8>(), 0..=MAX).prop_map(Opaque::from)
}

fn colour() -> impl Strategy<Value = Colour> {
    prop::sample::select(Colour::ALL)
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<u32>().prop_map(Choice::Number),
        opaque().prop_map(Choice::Data),
        vec(colour(), 0..=4).prop_map(|colours| Choice::Colours(List(colours))),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = any::<(u32, i32, u64, i64, bool, [u8; 5])>();
    let lists = (vec(colour(), 0..=8), vec(any::<Option<u64>>(), 0..20));
    (numbers, opaque(), colour(), option::of(opaque()), lists, choice()).prop_map(
        |(numbers, opaque, colour, option, (list, chain), choice)| {
            let (small, signed, large, large_signed, truth, fixed) = numbers;
            let (list, chain) = (List(list), Chain(chain));
            Everything {
                small,
                signed,
                large,
                large_signed,
                truth,
                fixed,
                opaque,
                colour,
                option,
                list,
                chain,
                choice,
            }
        },
    )
}

/// What can be read, is written as the same bytes but for padding, and read as the same value.
fn check<T: Decode + Encode + PartialEq + std::fmt::Debug>(bytes: &Bytes) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        let written = to_bytes(&value);
        assert_eq!(written.len(), bytes.len());
        assert_eq!(from_bytes::<T>(&written), Ok(value));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in everything()) {
        let bytes = to_bytes(&value);
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(from_bytes::<Everything>(&bytes), Ok(value));
    }

    #[test]
    fn a_part_is_never_enough(value in everything(), cut in any::<prop::sample::Index>()) {
        let bytes = to_bytes(&value);
        let part = bytes.slice(..cut.index(bytes.len()));
        prop_assert_eq!(from_bytes::<Everything>(&part), Err(DecodeError::Short));
    }

    #[test]
    fn more_is_too_much(value in everything(), more in 1_usize..9) {
        let mut bytes = to_bytes(&value).to_vec();
        bytes.extend(std::iter::repeat_n(0, more));
        prop_assert_eq!(from_bytes::<Everything>(&bytes.into()), Err(DecodeError::Trailing(more)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        check::<Everything>(&bytes);
        check::<Choice>(&bytes);
        check::<Chain<Option<u64>>>(&bytes);
        check::<List<Opaque<40>, 100>>(&bytes);
    }

    #[test]
    fn damage_is_read_or_refused(
        value in everything(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = to_bytes(&value).to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check::<Everything>(&bytes.into());
    }

    #[test]
    fn records_do_not_depend_on_how_they_arrive(
        records in vec(vec(vec(any::<u8>(), 0..50), 1..5), 0..8),
        cuts in vec(1_usize..40, 1..20),
    ) {
        let mut stream = Vec::new();
        for fragments in &records {
            for (index, fragment) in fragments.iter().enumerate() {
                let last = if index + 1 == fragments.len() { LAST_FRAGMENT } else { 0 };
                stream.extend((fragment.len() as u32 | last).to_be_bytes());
                stream.extend(fragment);
            }
        }
        let (mut reader, mut buffer) = (RecordReader::new(1000), BytesMut::new());
        let mut found = Vec::new();
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while let (false, Some(cut)) = (rest.is_empty(), cuts.next()) {
            let (chunk, after) = rest.split_at(rest.len().min(*cut));
            rest = after;
            buffer.extend_from_slice(chunk);
            while let Some(record) = reader.next(&mut buffer).expect("records within the limit") {
                found.push(record.to_vec());
            }
        }
        let sent: Vec<Vec<u8>> = records.iter().map(|fragments| fragments.concat()).collect();
        prop_assert_eq!(found, sent);
        prop_assert!(!reader.is_partial(&buffer));
    }
}

/// A length that is claimed takes no memory before the data is there.
#[test]
fn claims_cost_nothing() {
    const MANY: usize = u32::MAX as usize;
    for claim in [0x7fff_ffff_u32, u32::MAX] {
        let bytes = to_bytes(&(claim));
        assert_eq!(from_bytes::<List<u64, MANY>>(&bytes), Err(DecodeError::Short));
        assert_eq!(from_bytes::<Opaque<MANY>>(&bytes), Err(DecodeError::Short));
        let refused = Err(DecodeError::TooLong { length: claim as usize, limit: 1000 });
        assert_eq!(from_bytes::<List<u64, 1000>>(&bytes), refused);
    }
}

#[test]
fn numbers_without_a_name_are_refused() {
    for (value, known) in [(0_u32, true), (1, true), (2, false), (10_000, true), (10_001, false)] {
        assert_eq!(from_bytes::<Colour>(&to_bytes(&value)).is_ok(), known, "{value}");
    }
    assert!(from_bytes::<bool>(&to_bytes(&2_u32)).is_err());
    assert!(from_bytes::<Choice>(&to_bytes(&3_u32)).is_err());
}
