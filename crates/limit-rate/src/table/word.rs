//! A bucket in 64 bits: a tag of 22, a scale of 3, and 39 that say when it is full again.
//!
//! The tag stands for the key. The scale says what a tick is: `16^scale` nanoseconds, the finest in
//! which a quarter of the 39 bits, [`QUARTER`], holds twice the time that the bucket takes to fill. So
//! quotas of a second and of a year live in one table, each with at least `2^32 / burst` ticks for a
//! token: rounding a token up to a whole tick makes a bucket of 10,000 at most a millionth too slow.
//!
//! The last scale is none. A word that has it is a *claim*: a key's place while it is not sure that
//! nobody else is giving the same key another one. Its 39 bits are a number that is not used again.

use crate::quota::LONGEST_FILL;

/// A word that is no bucket's.
pub(crate) const EMPTY: u64 = 0;

const TIME_BITS: u32 = 39;
const TIME: u64 = (1 << TIME_BITS) - 1;
const SCALE_BITS: u32 = 3;
const TAG_BITS: u32 = 22;

/// How far ahead of the time a word may point, in its ticks; see [`Line`](super::line::Line).
pub(crate) const QUARTER: u64 = 1 << (TIME_BITS - 2);

/// The scale that is none.
const CLAIM: u64 = 7;

/// What a tick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale(u8);

impl Scale {
    /// The finest in which a quarter of a word's range holds so many nanoseconds.
    #[inline]
    pub(crate) fn holding(nanos: u64) -> Self {
        if nanos <= QUARTER {
            return Self(0);
        }
        debug_assert!(nanos <= 2 * LONGEST_FILL);
        let bits = u64::BITS - (nanos - 1).leading_zeros();
        // At most six: 2^61 nanoseconds are 2^37 ticks of 2^24.
        Self(u8::try_from((bits - (TIME_BITS - 2)).div_ceil(4)).unwrap_or(6).min(6))
    }

    /// A tick is two to the power of this in nanoseconds.
    #[inline]
    pub(crate) fn shift(self) -> u8 {
        4 * self.0
    }

    /// The ticks that are over.
    #[inline]
    pub(crate) fn floor(self, nanos: u64) -> u64 {
        nanos >> self.shift()
    }

    /// The ticks that have begun.
    #[inline]
    pub(crate) fn ceil(self, nanos: u64) -> u64 {
        nanos.saturating_add((1 << self.shift()) - 1) >> self.shift()
    }

    /// As nanoseconds.
    #[inline]
    pub(crate) fn nanos(self, ticks: u64) -> u64 {
        u64::try_from(u128::from(ticks) << self.shift()).unwrap_or(u64::MAX)
    }
}

/// What stands for a key in a word. Never zero, so that no bucket looks [`EMPTY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    /// From the lower end of a hash; the upper end says where.
    #[inline]
    pub(crate) fn of(hash: u64) -> Self {
        Self((hash & ((1 << TAG_BITS) - 1)).max(1))
    }
}

/// The upper 25 bits of a bucket's word: what a lookup compares.
#[inline]
pub(crate) fn head(tag: Tag, scale: Scale) -> u64 {
    tag.0 << SCALE_BITS | u64::from(scale.0)
}

#[inline]
pub(crate) fn has_head(word: u64, head: u64) -> bool {
    word >> TIME_BITS == head
}

#[inline]
pub(crate) fn has_tag(word: u64, tag: Tag) -> bool {
    word >> (TIME_BITS + SCALE_BITS) == tag.0
}

/// A bucket that is full at this tick.
#[inline]
pub(crate) fn bucket(head: u64, full_at: u64) -> u64 {
    head << TIME_BITS | full_at & TIME
}

/// A claim by this number.
pub(crate) fn claim(tag: Tag, number: u64) -> u64 {
    bucket(tag.0 << SCALE_BITS | CLAIM, number)
}

pub(crate) fn is_claim(word: u64) -> bool {
    (word >> TIME_BITS) & CLAIM == CLAIM
}

/// The scale of a word that is a bucket.
#[allow(clippy::cast_possible_truncation, reason = "three bits")]
pub(crate) fn scale(word: u64) -> Scale {
    Scale(((word >> TIME_BITS) & CLAIM) as u8)
}

/// How far a bucket's word points ahead of `tick`, less than two quarters either way.
#[inline]
#[allow(clippy::cast_possible_wrap, reason = "the sign is what is wanted")]
pub(crate) fn ahead(word: u64, tick: u64) -> i64 {
    const UNUSED: u32 = u64::BITS - TIME_BITS;
    (word.wrapping_sub(tick) << UNUSED) as i64 >> UNUSED
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_scales_hold_what_they_are_for() {
        for bits in 0..=61 {
            for nanos in [(1_u64 << bits) - 1, 1 << bits, ((1 << bits) + 1).min(1 << 61)] {
                let scale = Scale::holding(nanos);
                assert!(scale.ceil(nanos) <= QUARTER, "{nanos} in {scale:?}");
                assert!(scale == Scale(0) || scale.ceil(nanos) >= QUARTER / 16, "{nanos}");
                assert!(u64::from(scale.0) < CLAIM);
            }
        }
    }

    proptest! {
        #[test]
        fn a_word_says_what_it_was_told(hash: u64, nanos in 0..=1_u64 << 61, now: u64, debt in 0..=QUARTER) {
            let (tag, scale) = (Tag::of(hash), Scale::holding(nanos));
            let now = now / 4;
            let word = bucket(head(tag, scale), now + debt);
            prop_assert!(word != EMPTY && !is_claim(word));
            prop_assert!(has_tag(word, tag) && has_head(word, head(tag, scale)));
            prop_assert_eq!(super::scale(word), scale);
            prop_assert_eq!(ahead(word, now), i64::try_from(debt).unwrap());
            prop_assert!(is_claim(claim(tag, now)) && has_tag(claim(tag, now), tag));
        }
    }
}
