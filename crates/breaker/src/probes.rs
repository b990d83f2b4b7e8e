use std::{error::Error, fmt, time::Duration};

/// How an open circuit finds out whether all is well again: so many calls are let through, and judged.
///
/// ```
/// use palisade_breaker::Probes;
///
/// const CAREFUL: Probes = Probes::new(5).need(4);
/// assert_eq!((CAREFUL.needed(), CAREFUL.failures_allowed()), (4, 1));
/// assert_eq!(Probes::new(1).needed(), 1);
/// assert_eq!(Probes::default(), Probes::new(3));
/// ```
///
/// Never more than that are let through before the verdict, whatever comes at once. The default is three
/// probes of which two must succeed: one alone is chance, and one that fails by chance would keep the
/// circuit open for another, longer while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probes {
    pub(crate) most: u8,
    pub(crate) need: u8,
    pub(crate) allowed: u8,
    pub(crate) lease: Duration,
}

/// What the control word can count.
const MOST: u32 = 63;

/// Longer than most calls may take, and short enough that an upstream which swallows its probes is asked
/// again soon. It must not be shorter than the timeout of a call, or slow probes are failed ones.
const LEASE: Duration = Duration::from_secs(30);

const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// What is wrong with probes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Probes(u32),
    Need(u32, u8),
    Allowed(u32, u8),
    Lease(Duration),
}

impl Probes {
    /// So many probes, of which more than half must succeed, each within 30 seconds.
    ///
    /// # Panics
    ///
    /// When it is 0 or more than 63. In a `const` that is a compile error.
    #[must_use]
    pub const fn new(probes: u32) -> Self {
        match Self::checked(probes) {
            Some(probes) => probes,
            None => panic!("a circuit is probed by 1 to 63 calls"),
        }
    }

    /// So many probes, of which more than half must succeed, each within 30 seconds.
    ///
    /// # Errors
    ///
    /// When it is 0 or more than 63.
    pub fn try_new(probes: u32) -> Result<Self, InvalidProbes> {
        Self::checked(probes).ok_or(InvalidProbes(Fault::Probes(probes)))
    }

    #[allow(clippy::cast_possible_truncation, reason = "it was compared with the most")]
    const fn checked(probes: u32) -> Option<Self> {
        if probes == 0 || probes > MOST {
            return None;
        }
        let need = probes as u8 / 2 + 1;
        Some(Self { most: probes as u8, need, allowed: probes as u8 - need, lease: LEASE })
    }

    /// As soon as so many have succeeded, the circuit closes. All others may fail.
    ///
    /// # Panics
    ///
    /// When it is 0 or more than there are probes. In a `const` that is a compile error.
    #[must_use]
    pub const fn need(self, successes: u32) -> Self {
        match self.checked_need(successes) {
            Some(probes) => probes,
            None => panic!("at least one probe must succeed, and no more than there are"),
        }
    }

    /// As soon as so many have succeeded, the circuit closes. All others may fail.
    ///
    /// # Errors
    ///
    /// When it is 0 or more than there are probes.
    pub fn try_need(self, successes: u32) -> Result<Self, InvalidProbes> {
        self.checked_need(successes).ok_or(InvalidProbes(Fault::Need(successes, self.most)))
    }

    #[allow(clippy::cast_possible_truncation, reason = "it was compared with their number")]
    const fn checked_need(self, successes: u32) -> Option<Self> {
        if successes == 0 || successes > self.most as u32 {
            return None;
        }
        let need = successes as u8;
        Some(Self { need, allowed: self.most - need, ..self })
    }

    /// As soon as more than so many have failed, the circuit opens again.
    ///
    /// # Panics
    ///
    /// When so many failures would leave fewer probes than must succeed, so that there might be no
    /// verdict. In a `const` that is a compile error.
    #[must_use]
    pub const fn allowed(self, failures: u32) -> Self {
        match self.checked_allowed(failures) {
            Some(probes) => probes,
            None => panic!("no more probes may fail than those that need not succeed"),
        }
    }

    /// As soon as more than so many have failed, the circuit opens again.
    ///
    /// # Errors
    ///
    /// When so many failures would leave fewer probes than must succeed, so that there might be no
    /// verdict.
    pub fn try_allowed(self, failures: u32) -> Result<Self, InvalidProbes> {
        let most = self.most - self.need;
        self.checked_allowed(failures).ok_or(InvalidProbes(Fault::Allowed(failures, most)))
    }

    #[allow(clippy::cast_possible_truncation, reason = "it was compared with their number")]
    const fn checked_allowed(self, failures: u32) -> Option<Self> {
        if failures > (self.most - self.need) as u32 {
            return None;
        }
        Some(Self { allowed: failures as u8, ..self })
    }

    /// A probe of which nothing is heard for so long has failed. Longer than the timeout of a call.
    ///
    /// # Panics
    ///
    /// When it is zero or longer than a day. In a `const` that is a compile error.
    #[must_use]
    pub const fn lease(self, lease: Duration) -> Self {
        assert!(is_lease(lease), "the lease of a probe is above zero and at most a day");
        Self { lease, ..self }
    }

    /// A probe of which nothing is heard for so long has failed. Longer than the timeout of a call.
    ///
    /// # Errors
    ///
    /// When it is zero or longer than a day.
    pub fn try_lease(self, lease: Duration) -> Result<Self, InvalidProbes> {
        if is_lease(lease) {
            Ok(self.lease(lease))
        } else {
            Err(InvalidProbes(Fault::Lease(lease)))
        }
    }

    /// How many are let through before the verdict.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.most as u32
    }

    /// How many must succeed.
    #[must_use]
    pub const fn needed(&self) -> u32 {
        self.need as u32
    }

    /// How many may fail.
    #[must_use]
    pub const fn failures_allowed(&self) -> u32 {
        self.allowed as u32
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self::new(3)
    }
}

const fn is_lease(lease: Duration) -> bool {
    !lease.is_zero() && lease.as_nanos() <= LONGEST_LEASE.as_nanos()
}

/// A circuit cannot be probed like this: a value is out of bounds.
///
/// Shown as one line that names the value and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProbes(Fault);

impl fmt::Display for InvalidProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::Probes(probes) => {
                write!(f, "{probes} calls cannot probe a circuit: 1 to {MOST} can")
            }
            Fault::Need(need, probes) => {
                write!(f, "{need} of {probes} probes cannot succeed: 1 to {probes} can")
            }
            Fault::Allowed(allowed, most) => {
                write!(f, "{allowed} probes may not fail: at most {most} leave enough to succeed")
            }
            Fault::Lease(lease) => {
                write!(f, "{lease:?} is no lease of a probe: it is above zero and at most a day")
            }
        }
    }
}

impl Error for InvalidProbes {}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
