use crate::Limit;

/// The operator's end of a limit: read what is in flight, change the limit.
///
/// Cheap to clone. It acts on everything its layer was applied to, before or after.
///
/// At any moment in which no request begins or ends, `admitted` is the number of exchanges that are
/// over plus [`in_flight`](Self::in_flight), and `admitted + rejected` is the number of calls.
#[derive(Clone, Debug)]
pub struct InFlight(pub(crate) Limit);

impl InFlight {
    /// How many exchanges hold a permit now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    /// How many exchanges may hold a permit at once.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.max()
    }

    /// Changes the limit from the next request on; 0 refuses everything, as for maintenance.
    ///
    /// Lowering it cuts nobody off: until enough exchanges are over, none is admitted. Raising it
    /// admits the next requests at once.
    pub fn set_max(&self, max: usize) {
        self.0.set_max(max);
    }

    /// How many requests were admitted so far.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.0.admitted()
    }

    /// How many requests were turned away so far.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.0.rejected()
    }
}
