//! That enough has happened for the rest to mean something.

use super::{World, stack::Stack};

impl World {
    /// Each way to be refused was gone, and each thing that clients do was done.
    pub(crate) fn was_eventful(&self) {
        let Stack { server, client, handlers, .. } = &self.stack;
        let (retries, circuit) = (&client.retries, client.switch.stats());
        let happened = [
            ("timed out", server.timeouts.timed_out()),
            ("cut off", server.timeouts.cut()),
            ("expired", server.timeouts.expired()),
            ("at capacity", server.limit.rejected()),
            ("over quota", server.buckets.refused()),
            ("stalled", server.stalls.stalled()),
            ("panicked", handlers.panics()),
            ("called", self.upstream.asked()),
            ("timed out in a call", client.total.timed_out()),
            ("expired in a call", client.total.expired()),
            ("retried", retries.retried()),
            ("recovered", retries.recovered()),
            ("not eligible", retries.not_eligible()),
            ("exhausted", retries.exhausted()),
            ("over budget", retries.refused()),
            ("too late", retries.too_late()),
            ("without a body", retries.no_body()),
            ("circuit opened", circuit.opened),
            ("circuit open", circuit.refused),
            ("too many calls", client.limit.rejected()),
            ("timed out in an attempt", client.each.timed_out()),
            ("cut off in an attempt", client.each.cut()),
        ];
        let never: Vec<_> = happened.iter().filter(|(_, times)| *times == 0).collect();
        assert!(never.is_empty(), "never happened: {never:?}, but {happened:?}");
        let done = self.crowd.done();
        assert_eq!(done.len(), 14, "{done:?}");
    }
}
