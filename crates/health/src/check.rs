use std::{
    fmt,
    future::{Ready, ready},
    num::NonZeroU32,
    time::Duration,
};

use palisade_core::{Backoff, Jitter, Rng};

use crate::{Finding, standing::Standing, threshold::Threshold};

/// Something that is looked at in the background: a name, a closure that looks, and when its results count.
///
/// | setting | default | |
/// | --- | --- | --- |
/// | [`every`](Self::every) | 10 s | between the end of one look and the next; up to a tenth less, by chance |
/// | [`timeout`](Self::timeout) | 1 s | after which a look has failed |
/// | [`failures`](Self::failures) | 3 | in a row, before it fails |
/// | [`successes`](Self::successes) | 1 | in a row, before it passes |
/// | [`max_age`](Self::max_age) | three times `every` and `timeout` together | after which the last result is not believed, and nothing is known |
/// | [`critical`](Self::critical) | no | whether it takes readiness along |
///
/// The first four are those of a Kubernetes probe. The first look is at once. There is never more than one
/// at a time; one that takes longer than its timeout is dropped, and one that answers later than that, since it
/// has blocked its thread, has failed all the same. A look that panics has failed, also if it does so as it is
/// dropped.
///
/// Each change is in the log, at `info`: the first at once, and what follows in one line each 10 s, which says how
/// many there were.
///
/// The closure must not hold a [`Health`](crate::Health): its registry would hold the check, and the check its
/// registry, until the runtime ends. Give it what it reads instead.
///
/// # Degraded or critical
///
/// A check of readiness that fails makes the service *degraded*: it warns, and stays ready. Most checks are
/// of things that all instances share, as a database. When that is down, each instance would be taken out
/// of service at the same moment, and the answers that need no database with them; what would have been
/// errors becomes an outage, and the load balancer has nowhere to send the traffic when it is over.
/// [Critical](Self::critical) are checks of what belongs to this instance alone, and without which it can
/// answer nothing: its disk, its copy of the data, its certificate.
///
/// ```
/// use palisade_health::Check;
/// use std::{io, time::Duration};
///
/// #[derive(Clone)]
/// struct Pool;
/// impl Pool {
///     async fn ping(self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let pool = Pool;
/// let database = Check::new("database", move || pool.clone().ping()).every(Duration::from_secs(5));
/// let disk = Check::new("disk", async || std::fs::metadata("/").map(drop)).critical();
/// ```
pub struct Check<F> {
    pub(crate) name: String,
    pub(crate) look: F,
    pub(crate) timing: Timing,
    failures: NonZeroU32,
    successes: NonZeroU32,
    max_age: Option<Duration>,
    pub(crate) critical: bool,
}

/// When a check is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
}

impl Timing {
    /// As long as until the next look, a tenth of it left to chance: what began together, as the instances
    /// of a service do, would otherwise look at what they share together for good.
    pub(crate) fn pause(self, rng: &mut Rng) -> Duration {
        let less = Backoff::constant(self.every / 10).with_jitter(Jitter::Full);
        self.every.saturating_sub(less.delay(0, rng))
    }
}

/// How often a reading is taken that asks nobody and waits for nothing.
const READING: Duration = Duration::from_secs(1);

const DEFAULT: Timing = Timing { every: Duration::from_secs(10), timeout: Duration::from_secs(1) };

const FAILURES: NonZeroU32 = NonZeroU32::new(3).expect("it is not zero");

impl<F> Check<F> {
    /// Looks by calling this closure and awaiting its future, which returns nothing, a `Result`, a
    /// [`Status`](crate::Status) or a [`Finding`].
    ///
    /// The name is for people: it is in the log, and shown to those who may see it.
    #[must_use]
    pub fn new<Fut>(name: impl Into<String>, look: F) -> Self
    where
        F: FnMut() -> Fut,
        Fut: Future<Output: Into<Finding>>,
    {
        Self {
            name: name.into(),
            look,
            timing: DEFAULT,
            failures: FAILURES,
            successes: NonZeroU32::MIN,
            max_age: None,
            critical: false,
        }
    }

    /// Waits this long between looks, at least a millisecond.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.timing.every = interval.max(Duration::from_millis(1));
        self
    }

    /// Gives a look this long.
    ///
    /// A look that blocks its thread cannot be ended, and has failed when it is done. That it is never done is
    /// found by its [age](Self::max_age).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timing.timeout = timeout;
        self
    }

    /// Fails after so many failures in a row; 0 is as good as 1.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Passes after so many successes in a row; 0 is as good as 1.
    #[must_use]
    pub fn successes(mut self, successes: u32) -> Self {
        self.successes = NonZeroU32::new(successes).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Believes a result for this long.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Makes the service not ready while this fails, or nothing is known of it. See
    /// [above](Self#degraded-or-critical) when not to.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.critical = true;
        self
    }

    pub(crate) fn standing(&self) -> Standing {
        let max_age = self.max_age.unwrap_or_else(|| {
            self.timing.every.saturating_add(self.timing.timeout).saturating_mul(3)
        });
        Standing::new(Threshold::new(self.failures, self.successes), max_age)
    }
}

impl Check<()> {
    /// A check that reads something in memory: the state of a breaker, the length of a queue.
    ///
    /// The closure is called each second, and each answer counts at once. It should neither wait nor block.
    ///
    /// ```
    /// use palisade_health::{Check, Health, Status};
    /// # use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    /// # static OPEN: AtomicBool = AtomicBool::new(false);
    /// # fn is_open() -> bool { OPEN.load(Relaxed) }
    ///
    /// let health = Health::new();
    /// health.readiness().check(Check::reading("upstream", || match is_open() {
    ///     true => Status::Warn,
    ///     false => Status::Pass,
    /// }));
    /// ```
    #[must_use]
    pub fn reading<T: Into<Finding>>(
        name: impl Into<String>,
        mut read: impl FnMut() -> T,
    ) -> Check<impl FnMut() -> Ready<T>> {
        Check::new(name, move || ready(read())).every(READING).failures(1)
    }
}

impl<F> fmt::Debug for Check<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("timing", &self.timing)
            .field("failures", &self.failures)
            .field("successes", &self.successes)
            .field("max_age", &self.max_age)
            .field("critical", &self.critical)
            .finish_non_exhaustive()
    }
}
