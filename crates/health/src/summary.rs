use crate::{Probe, Status};

/// What probes are answered, and for how long that holds, in one word: whoever reads it takes no lock.
///
/// Nanoseconds rounded down to 64, which makes room for three statuses of two bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary(u64);

const STATUSES: u64 = 63;

impl Summary {
    /// `until` is `None` if time alone changes nothing.
    pub(crate) fn new(statuses: [Status; 3], until: Option<u64>) -> Self {
        let [liveness, readiness, startup] = statuses.map(|status| status as u64);
        let until = until.unwrap_or(u64::MAX) & !STATUSES;
        Self(until | startup << 4 | readiness << 2 | liveness)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn holds(self, now: u64) -> bool {
        now < self.0 & !STATUSES
    }

    #[inline]
    pub(crate) const fn status(self, probe: Probe) -> Status {
        Status::from_bits(self.0 >> (2 * probe as u64))
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::clock::END;

    const ALL: [Status; 4] = [Status::Pass, Status::Warn, Status::Unknown, Status::Fail];

    proptest! {
        #[test]
        fn says_what_was_said_and_not_for_longer(
            statuses in [select(&ALL[..]), select(&ALL[..]), select(&ALL[..])],
            until in proptest::option::of(0..END),
            now in 0..END,
        ) {
            let summary = Summary::from_bits(Summary::new(statuses, until).bits());
            for probe in Probe::ALL {
                prop_assert_eq!(summary.status(probe), statuses[probe as usize]);
            }
            match until {
                None => prop_assert!(summary.holds(now)),
                Some(until) => {
                    prop_assert!(!summary.holds(until));
                    prop_assert_eq!(summary.holds(now), now < until & !63);
                }
            }
        }
    }
}
