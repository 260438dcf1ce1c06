//! The locks that are held on one file.

use std::ops;

use super::{Mode, Range};

/// One lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) range: Range,
    pub(super) owner: u32,
    pub(super) mode: Mode,
}

/// What setting or clearing a range will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    owner: u32,
    range: Range,
    mode: Option<Mode>,
    /// What is put in: the new lock and what is left of the old ones before and behind it.
    pieces: [Option<Span>; 3],
    removed: usize,
    gives_way: bool,
    held_already: bool,
}

impl Edit {
    /// Locks that are there afterwards and were not before; negative if there are fewer.
    pub(super) fn growth(&self) -> isize {
        self.pieces.iter().flatten().count() as isize - self.removed as isize
    }

    /// Whose locks it changes.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// Whether the table is the same afterwards.
    pub(super) fn is_nothing(&self) -> bool {
        self.held_already || self.mode.is_none() && self.removed == 0
    }

    /// Whether somebody else may get a lock afterwards who did not before.
    pub(super) fn gives_way(&self) -> bool {
        self.gives_way
    }
}

/// The locks of one file, sorted by their first byte. Locks of one owner do not overlap, shared
/// locks of different owners may.
#[derive(Debug, Default)]
pub(super) struct Spans {
    sorted: Vec<Span>,
    /// No lock is longer than this (last byte minus first byte), so that a search need not
    /// begin at the start of the file.
    longest: u64,
    /// Locks removed since `longest` was last exact.
    removals: usize,
}

impl Spans {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.sorted.iter()
    }

    /// The positions of all locks that could touch `range`.
    fn window(&self, range: Range) -> ops::Range<usize> {
        let low = range.first().saturating_sub(1).saturating_sub(self.longest);
        let high = range.last().saturating_add(1);
        let start = self.sorted.partition_point(|span| span.range.first() < low);
        let end = self.sorted.partition_point(|span| span.range.first() <= high);
        start..end
    }

    fn near(&self, range: Range) -> &[Span] {
        self.sorted.get(self.window(range)).unwrap_or_default()
    }

    /// The first lock of somebody else than `owner` that does not allow `range` in `mode`.
    pub(super) fn conflict(&self, owner: Option<u32>, range: Range, mode: Mode) -> Option<Span> {
        let stands_in_the_way = |span: &&Span| {
            Some(span.owner) != owner && span.mode.conflicts(mode) && span.range.overlaps(range)
        };
        self.near(range).iter().find(stands_in_the_way).copied()
    }

    /// What `owner` holds of `range`.
    pub(super) fn held_by(&self, owner: u32, range: Range) -> impl Iterator<Item = (Range, Mode)> {
        let held = self.near(range).iter().filter(move |span| span.owner == owner);
        held.filter_map(move |span| Some((span.range.overlap(range)?, span.mode)))
    }

    /// What it takes so that `owner` holds `range` in `mode`, or holds nothing there.
    pub(super) fn plan(&self, owner: u32, range: Range, mode: Option<Mode>) -> Edit {
        let mut edit = Edit {
            owner,
            range,
            mode,
            pieces: [None; 3],
            removed: 0,
            gives_way: false,
            held_already: false,
        };
        let mut joined = range;
        let wish = edit;
        for span in self.near(range).iter().filter(|span| wish.affects(span)) {
            edit.removed += 1;
            if Some(span.mode) == mode {
                joined = joined.join(span.range);
                edit.held_already |= span.range.contains(range);
                continue;
            }
            edit.gives_way |= mode.is_none() || span.mode == Mode::Exclusive;
            let rest = |range: Option<Range>| range.map(|range| Span { range, ..*span });
            edit.pieces[1] = edit.pieces[1].or(rest(span.range.before(range)));
            edit.pieces[2] = edit.pieces[2].or(rest(span.range.behind(range)));
        }
        edit.pieces[0] = mode.map(|mode| Span { range: joined, owner, mode });
        edit
    }

    /// Does what was planned; nothing may have changed since.
    pub(super) fn apply(&mut self, edit: &Edit) {
        if edit.removed > 0 {
            let window = self.window(edit.range);
            let mut kept = window.start;
            for position in window.clone() {
                if !edit.affects(&self.sorted[position]) {
                    self.sorted[kept] = self.sorted[position];
                    kept += 1;
                }
            }
            self.sorted.drain(kept..window.end);
            self.note_removals(edit.removed);
        }
        for piece in edit.pieces.into_iter().flatten() {
            let first = piece.range.first();
            let position = self.sorted.partition_point(|span| span.range.first() <= first);
            self.sorted.insert(position, piece);
            self.longest = self.longest.max(piece.range.last() - first);
        }
    }

    /// Drops all locks of an owner; tells how many there were.
    pub(super) fn remove_owner(&mut self, owner: u32) -> usize {
        let before = self.sorted.len();
        self.sorted.retain(|span| span.owner != owner);
        let removed = before - self.sorted.len();
        self.note_removals(removed);
        removed
    }

    /// Makes `longest` exact again once as many locks went as are left, which costs each removal
    /// a constant on average.
    fn note_removals(&mut self, count: usize) {
        self.removals += count;
        if self.removals > self.sorted.len() {
            let lengths = self.sorted.iter().map(|span| span.range.last() - span.range.first());
            self.longest = lengths.max().unwrap_or(0);
            self.removals = 0;
            self.sorted.shrink_to(self.sorted.len() * 2);
        }
    }
}

impl Edit {
    /// Whether the edit replaces this lock.
    fn affects(&self, span: &Span) -> bool {
        let near = if Some(span.mode) == self.mode {
            span.range.touches(self.range)
        } else {
            span.range.overlaps(self.range)
        };
        span.owner == self.owner && near
    }
}
