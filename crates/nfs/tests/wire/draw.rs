//! Values of wire types, drawn from bytes: shorter and smaller bytes give simpler values, so that
//! what fails a test can be made simple.

use standfast_rpc::xdr::{Chain, List, Opaque};

/// Bytes to draw from; zeros follow them.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// Draws from `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `limit`, which is at most 256.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }
}

/// A value that can be drawn.
pub(crate) trait Draw {
    /// Draws one.
    fn draw(source: &mut Source<'_>) -> Self;
}

/// Draws structs field by field.
macro_rules! draw_structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl crate::draw::Draw for $name {
            fn draw(source: &mut crate::draw::Source<'_>) -> Self {
                Self { $($field: crate::draw::Draw::draw(source)),* }
            }
        }
    )*};
}

/// Draws one of all values.
macro_rules! draw_enums {
    ($($name:ident)*) => {$(
        impl crate::draw::Draw for $name {
            fn draw(source: &mut crate::draw::Source<'_>) -> Self {
                Self::ALL[source.below(Self::ALL.len())]
            }
        }
    )*};
}

/// Draws one of the arms, then what is in it.
macro_rules! draw_unions {
    ($($name:ident { $($empty:ident),*; $($full:ident),* })*) => {$(
        impl crate::draw::Draw for $name {
            fn draw(source: &mut crate::draw::Source<'_>) -> Self {
                let arms: &[fn(&mut crate::draw::Source<'_>) -> Self] = &[
                    $(|_| Self::$empty,)*
                    $(|source| Self::$full(crate::draw::Draw::draw(source)),)*
                ];
                arms[source.below(arms.len())](source)
            }
        }
    )*};
}
pub(crate) use {draw_enums, draw_structs, draw_unions};

macro_rules! draw_integers {
    ($($type:ty),*) => {$(
        impl Draw for $type {
            fn draw(source: &mut Source<'_>) -> Self {
                Self::from_be_bytes(Draw::draw(source))
            }
        }
    )*};
}

draw_integers!(u32, u64);

impl<const N: usize> Draw for [u8; N] {
    fn draw(source: &mut Source<'_>) -> Self {
        std::array::from_fn(|_| source.byte())
    }
}

impl Draw for () {
    fn draw(_: &mut Source<'_>) -> Self {}
}

impl Draw for bool {
    fn draw(source: &mut Source<'_>) -> Self {
        source.below(2) == 1
    }
}

impl<T: Draw> Draw for Option<T> {
    fn draw(source: &mut Source<'_>) -> Self {
        bool::draw(source).then(|| T::draw(source))
    }
}

impl<const MAX: usize> Draw for Opaque<MAX> {
    /// Short ones of any bytes, and now and then one as long as may be, up to some pages.
    fn draw(source: &mut Source<'_>) -> Self {
        let length = match source.byte() {
            255 => MAX.min(20_000),
            short => usize::from(short) % (MAX.min(70) + 1),
        };
        let bytes = (0..length).map(|_| source.byte());
        Self::from(bytes.collect::<Vec<_>>())
    }
}

/// At most so many elements: enough to have a first, a last and one between them.
const MOST_ELEMENTS: usize = 4;

fn draw_elements<T: Draw>(source: &mut Source<'_>, most: usize) -> Vec<T> {
    (0..source.below(most + 1)).map(|_| T::draw(source)).collect()
}

impl<T: Draw, const MAX: usize> Draw for List<T, MAX> {
    fn draw(source: &mut Source<'_>) -> Self {
        Self(draw_elements(source, MAX.min(MOST_ELEMENTS)))
    }
}

impl<T: Draw> Draw for Chain<T> {
    fn draw(source: &mut Source<'_>) -> Self {
        Self(draw_elements(source, MOST_ELEMENTS))
    }
}
