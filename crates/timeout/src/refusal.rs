//! What is said when the time is up.

use std::sync::atomic::AtomicU64;

use http::StatusCode;
use palisade_core::{GrpcCode, Id, Protocol, Reason, Rejection, Sent, log::RefusalLog};
use tokio::time::Instant;

use crate::counters::{Counters, Tally};

/// The reason of a rejection of a request that was under way when its time was up.
pub const TIMED_OUT: Reason = Reason::new("timed-out");

/// The reason of a rejection of a request whose time was up, or nearly so, before it began.
pub const DEADLINE_EXPIRED: Reason = Reason::new("deadline-expired");

/// The reason of a rejection of a request whose client stopped sending it.
pub const REQUEST_STALLED: Reason = Reason::new("request-stalled");

/// How the log calls this layer.
pub(crate) const LAYER: &str = "timeout";

/// One for the program, so that its bound does not grow with the number of layers.
static LOG: RefusalLog = RefusalLog::new(LAYER);

/// How a layer answers, and where it counts that; small enough to be copied along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) grpc_code: GrpcCode,
    pub(crate) tally: Tally,
}

/// What a refusal must know of whoever asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) protocol: Protocol,
    pub(crate) id: Option<Id>,
}

/// All that is known of an exchange once its request has moved on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) answer: Answer,
    pub(crate) protocol: Protocol,
    id: Option<Id>,
}

impl Refusal {
    #[inline]
    pub(crate) fn new(answer: Answer, caller: Caller) -> Self {
        let Caller { protocol, id } = caller;
        Self { answer, protocol, id }
    }
    /// Nobody waits for the answer any more, or will when it is there.
    #[cold]
    pub(crate) fn expired(&self) -> Rejection {
        let rejection = Rejection::new(DEADLINE_EXPIRED, self.answer.status)
            .with_detail("The time allowed for this request was over before it could be started.");
        self.tell(rejection, |counters| &counters.expired)
    }

    /// The answer has not come in time.
    #[cold]
    pub(crate) fn timed_out(&self) -> Rejection {
        let rejection = Rejection::new(TIMED_OUT, self.answer.status)
            .with_sent(Sent::Maybe)
            .with_detail("The answer did not come in the time allowed for this request.");
        self.tell(rejection, |counters| &counters.timed_out)
    }

    /// The answer has begun in time and not come to its end.
    #[cold]
    pub(crate) fn cut(&self) -> Rejection {
        let rejection = Rejection::new(TIMED_OUT, self.answer.status)
            .with_sent(Sent::Yes)
            .with_detail("The answer did not end in the time allowed for this request.");
        self.tell(rejection, |counters| &counters.cut)
    }

    /// The request itself has not come to its end.
    #[cold]
    pub(crate) fn stalled(&self) -> Rejection {
        let rejection = Rejection::new(REQUEST_STALLED, self.answer.status)
            .with_sent(Sent::Maybe)
            .with_detail("Nothing more of this request came for too long.");
        self.tell(rejection, |counters| &counters.timed_out)
    }

    fn tell(
        &self,
        rejection: Rejection,
        counter: impl FnOnce(&Counters) -> &AtomicU64,
    ) -> Rejection {
        self.answer.tally.count(counter);
        let rejection = rejection.with_grpc_code(self.answer.grpc_code);
        let rejection = match self.id {
            Some(id) => rejection.with_id(id),
            None => rejection,
        };
        LOG.refused(&rejection, Instant::now().into_std());
        rejection
    }
}
