//! Segments of a journal: records in order, each within the file, and an end that lies behind them.

use standfast_journal::{Tail, decode_segment};

/// The bytes of a file.
pub(crate) fn check(data: &[u8]) {
    let Ok(segment) = decode_segment(data) else { return };
    let mut end = 0;
    let mut sequence = segment.header.sequence;
    for record in &segment.records {
        assert!(end <= record.offset && record.offset < record.payload.start);
        assert!(record.payload.start <= record.payload.end && record.payload.end <= data.len());
        assert_eq!(record.sequence, sequence);
        end = record.payload.end;
        sequence = sequence.saturating_add(1);
    }
    if let Tail::Torn { offset, .. } | Tail::Damaged { offset, .. } = segment.tail {
        assert!(end <= offset && offset <= data.len().next_multiple_of(8));
    }
}
