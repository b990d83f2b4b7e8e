//! What must add up when nothing is in flight.

use http::StatusCode;
use palisade::{
    breaker::CIRCUIT_OPEN,
    health::SHUTTING_DOWN,
    limit_concurrency::AT_CAPACITY,
    limit_rate::QUOTA_EXCEEDED,
    timeout::{DEADLINE_EXPIRED, REQUEST_STALLED, TIMED_OUT},
};

use super::{
    crowd::Crowd,
    stack::{Caller, Server, Stack},
    tap::Tap,
    upstream::Upstream,
};

const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
const TOO_LATE: StatusCode = StatusCode::GATEWAY_TIMEOUT;

impl Stack {
    /// What is still in flight, or held for what is, and how much of it.
    pub(crate) fn held(&self) -> Vec<(&'static str, u64)> {
        let Self { server, client, handlers, .. } = self;
        let (retries, probes) = (&client.retries, client.switch.stats().probes_in_flight);
        let taps = server.taps().into_iter().chain(client.taps());
        let held = [
            ("exchanges of health's", server.health.in_flight()),
            ("permits", server.limit.in_flight() as u64),
            ("permits of calls", client.limit.in_flight() as u64),
            ("places among the retries", retries.budget().in_use().into()),
            ("bytes to be sent again", retries.buffered() as u64),
            ("probes of the circuit", probes.into()),
            ("handlers", handlers.in_flight()),
            ("futures", taps.map(|tap| tap.called() - tap.over()).sum()),
        ];
        held.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// That each request is accounted for by each layer that it came to.
    pub(crate) fn adds_up(&self, probes: u64) {
        let Self { server, client, handlers, .. } = self;
        server.adds_up(probes);
        assert_eq!(server.admitted.called(), server.most.called() + handlers.free());
        assert_eq!(server.handled.called(), handlers.begun());
        client.adds_up();
    }

    /// That nobody was told what no layer has said, and nothing came to the upstream that was not sent.
    pub(crate) fn is_what_was_seen(&self, crowd: &Crowd, upstream: &Upstream) {
        let said = self.server.outside.looks();
        for (look, seen) in crowd.looks() {
            let said = said.get(&look).copied().unwrap_or_default();
            assert!(seen <= said, "{look} was seen {seen} times, and said {said} times");
        }
        assert!(upstream.asked() <= self.client.sent.called());
        assert!(upstream.most_for_one() <= 1, "something was done twice");
    }
}

impl Server {
    fn taps(&self) -> [&Tap; 7] {
        let Self { outside, serving, in_time, admitted, most, paid, handled, .. } = self;
        [outside, serving, in_time, admitted, most, paid, handled]
    }

    fn adds_up(&self, probes: u64) {
        let leaving = self.outside.refused(SHUTTING_DOWN, BUSY);
        assert_eq!(self.outside.called(), probes + leaving + self.serving.called());

        let times = &self.timeouts;
        assert_eq!(self.serving.called(), times.expired() + self.in_time.called());
        assert_eq!(self.serving.refused(DEADLINE_EXPIRED, BUSY), times.expired());
        assert_eq!(self.serving.refused(TIMED_OUT, BUSY), times.timed_out());

        let limit = &self.limit;
        assert_eq!(self.in_time.called(), limit.rejected() + limit.admitted());
        assert_eq!(self.in_time.refused(AT_CAPACITY, TOO_MANY), limit.rejected());
        assert_eq!(self.admitted.called(), limit.admitted());

        assert_eq!(self.most.called(), self.buckets.refused() + self.paid.called());
        assert_eq!(self.most.refused(QUOTA_EXCEEDED, TOO_MANY), self.buckets.refused());
        assert_eq!((self.buckets.keyless(), self.buckets.shadowed()), (0, 0));

        assert_eq!(self.paid.called(), self.handled.called());
        // Others had been answered, or were gone.
        let stalled = self.paid.refused(REQUEST_STALLED, StatusCode::REQUEST_TIMEOUT);
        assert!(stalled <= self.stalls.stalled());
    }
}

impl Caller {
    fn taps(&self) -> [&Tap; 6] {
        let Self { outside, requests, attempts, passed, admitted, sent, .. } = self;
        [outside, requests, attempts, passed, admitted, sent]
    }

    fn adds_up(&self) {
        let (total, late) = (&self.total, |tap: &Tap, reason| tap.refused(reason, TOO_LATE));
        assert_eq!(self.outside.called(), total.expired() + self.requests.called());
        for (reason, count) in [(TIMED_OUT, total.timed_out()), (DEADLINE_EXPIRED, total.expired())]
        {
            // Those of an attempt look the same.
            assert_eq!(late(&self.outside, reason), count + late(&self.requests, reason));
        }
        self.tries_add_up();

        let stats = self.switch.stats();
        assert_eq!(self.attempts.called(), stats.refused + self.passed.called());
        assert_eq!(self.attempts.refused(CIRCUIT_OPEN, BUSY), stats.refused);
        // No lease has ended: each call that was let through has come to something, once.
        let judged = stats.total_calls + stats.ignored + stats.late + stats.observed;
        assert_eq!(self.passed.called(), judged, "{stats:?}");

        let limit = &self.limit;
        assert_eq!(self.passed.called(), limit.rejected() + limit.admitted());
        assert_eq!(self.passed.refused(AT_CAPACITY, BUSY), limit.rejected());
        assert_eq!(self.admitted.called(), limit.admitted());

        let each = &self.each;
        assert_eq!(self.admitted.called(), each.expired() + self.sent.called());
        assert_eq!(late(&self.admitted, TIMED_OUT), each.timed_out());
        assert_eq!(late(&self.admitted, DEADLINE_EXPIRED), each.expired());
    }

    fn tries_add_up(&self) {
        let Self { retries, requests, .. } = self;
        assert_eq!(self.attempts.called(), requests.called() + retries.retried());
        // The others' requests were given up.
        assert!(requests.again() <= retries.retried(), "{retries:?}");
        assert!(retries.recovered() <= requests.again(), "{retries:?}");
        let budget = retries.budget();
        assert_eq!(budget.refused(), retries.refused(), "{retries:?}");
        let in_vain = retries.not_ready() + retries.too_late() + retries.no_body();
        let taken = retries.retried()..=retries.retried() + requests.dropped() + in_vain;
        assert!(taken.contains(&budget.taken()), "{retries:?}");
        let given_up = [
            retries.not_eligible(),
            retries.begun(),
            retries.exhausted(),
            retries.refused(),
            in_vain,
        ];
        assert!(given_up.iter().sum::<u64>() <= requests.called(), "{retries:?}");
    }
}
