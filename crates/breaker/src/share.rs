/// So many of the calls in the window, of which there are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    /// In millionths: exact for what people write, which a binary fraction is not.
    millionths: u32,
    pub(crate) min: u32,
}

/// With fewer calls, a rate is chance: of 20 calls that fail one time in ten, ten fail once in 140,000
/// windows, of 5 three do in every 117th.
const MIN: u32 = 20;

impl Share {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in (0, 1]")]
    pub(crate) const fn checked(share: f64) -> Option<Self> {
        if !(share > 0.0 && share <= 1.0) {
            return None;
        }
        let millionths = (share * 1e6 + 0.5) as u32;
        Some(Self { millionths: if millionths == 0 { 1 } else { millionths }, min: MIN })
    }

    /// Whether so many of these calls are too many.
    pub(crate) fn is_reached(self, part: u64, calls: u64) -> bool {
        self.is_enough(calls)
            && part.saturating_mul(1_000_000) >= calls.saturating_mul(self.millionths.into())
    }

    pub(crate) fn is_enough(self, calls: u64) -> bool {
        calls >= u64::from(self.min)
    }
}
