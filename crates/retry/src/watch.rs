use std::sync::Arc;

use palisade_core::{ClassifyEnd, End};

use crate::{Token, counters::Fate, finding::Finding, state::Common};

/// What waits for an answer's body to be over. Dropped before that, it has learnt nothing.
pub(crate) struct Watch<T> {
    /// The answer's place among the retries, if it is one's: given back when this is dropped.
    pub(crate) _place: Option<Token>,
    /// What is yet to be judged.
    pub(crate) end: Option<Late<T>>,
}

/// A status that is to come in the trailers, too late for another attempt.
pub(crate) struct Late<T> {
    pub(crate) end: T,
    pub(crate) common: Arc<Common>,
    pub(crate) attempt: u32,
    /// What becomes of it if it is a failure.
    pub(crate) fate: Fate,
}

impl<T: ClassifyEnd> Watch<T> {
    #[cold]
    pub(crate) fn ended(self, end: End<'_>) {
        let Some(late) = self.end else { return };
        let outcome = late.end.end(end);
        if Finding::without_hint(outcome).is_transient() {
            late.common.terms.budget.failed();
            late.common.give_up(late.fate, late.attempt, outcome);
        } else {
            late.common.answered(outcome, late.attempt > 1);
        }
    }
}
