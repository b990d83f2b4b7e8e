use axum::Router;
use clap::ValueEnum;
use http::{Request, Response, StatusCode};
use tower::Service;

use crate::{
    drive::{self, Sample},
    inner::Inner,
};

/// How a row is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Driver {
    /// One thread; the inner service answers at once.
    Ready,
    /// One thread; the inner service is pending once.
    Pending,
    /// Two threads share the layer; the inner service answers at once.
    Shared,
    /// One request at a time over an in-memory HTTP/1 connection.
    Pipe,
    /// Many requests at once over loopback, to a server in a process of its own.
    Socket,
    /// The same, by the time that the server's processor was busy.
    SocketBusy,
    /// A store alone, which is asked about one key all the time.
    Hot,
    /// … about a thousand keys, in no order.
    Thousand,
    /// … about a hundred thousand.
    HundredThousand,
    /// … about a million.
    Million,
    /// … about a key that it never saw, a million times at most.
    New,
    /// … about one key, whose bucket is empty.
    Denied,
    /// Two threads ask about one key.
    HotShared,
    /// … about one key, whose bucket is empty.
    DeniedShared,
}

impl Driver {
    /// Whether whole servers are compared, and not what a layer takes net of what is inside.
    pub(crate) fn is_end_to_end(self) -> bool {
        matches!(self, Self::Pipe | Self::Socket | Self::SocketBusy)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Pending => "pending",
            Self::Shared => "shared",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::SocketBusy => "socket-busy",
            Self::Hot => "hot",
            Self::Thousand => "thousand",
            Self::HundredThousand => "hundred-thousand",
            Self::Million => "million",
            Self::New => "new",
            Self::Denied => "denied",
            Self::HotShared => "hot-shared",
            Self::DeniedShared => "denied-shared",
        }
    }
}

/// What a row of ours promises to cost, beside a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) driver: Driver,
    pub(crate) peer: &'static str,
    /// Nothing is promised if there is none.
    pub(crate) at_most: Option<AtMost>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum AtMost {
    /// So many times what the peer costs.
    Times(f64),
    /// So many nanoseconds more.
    Over(f64),
}

/// A contender.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The row that this one is net of.
    pub(crate) base: &'static str,
    pub(crate) bounds: Vec<Bound>,
    makers: Vec<(Driver, Box<dyn Fn() -> Sample>)>,
    /// What a process of its own serves.
    pub(crate) app: Option<fn() -> Router>,
}

impl Row {
    /// A service that is called directly.
    pub(crate) fn new<B, C, Q, S>(
        name: &'static str,
        request: impl Fn() -> Request<Q> + Copy + Send + 'static,
        build: impl Fn(Inner<B>) -> S + Copy + 'static,
    ) -> Self
    where
        Q: 'static,
        S: Service<Request<Q>, Response = Response<C>> + Clone + Send + 'static,
    {
        Self::answering(StatusCode::OK, name, request, build)
    }

    /// One that answers with this status.
    pub(crate) fn answering<B, C, Q, S>(
        status: StatusCode,
        name: &'static str,
        request: impl Fn() -> Request<Q> + Copy + Send + 'static,
        build: impl Fn(Inner<B>) -> S + Copy + 'static,
    ) -> Self
    where
        Q: 'static,
        S: Service<Request<Q>, Response = Response<C>> + Clone + Send + 'static,
    {
        Self::on_one_thread(status, name, request, build)
            .driven(Driver::Shared, move || drive::shared(build(inner(false)), request))
    }

    /// One that threads cannot share, since it is not `Clone`.
    pub(crate) fn unshared<B, C, Q, S>(
        name: &'static str,
        request: impl Fn() -> Request<Q> + Copy + 'static,
        build: impl Fn(Inner<B>) -> S + Copy + 'static,
    ) -> Self
    where
        Q: 'static,
        S: Service<Request<Q>, Response = Response<C>> + 'static,
    {
        Self::on_one_thread(StatusCode::OK, name, request, build)
    }

    fn on_one_thread<B, C, Q, S>(
        status: StatusCode,
        name: &'static str,
        request: impl Fn() -> Request<Q> + Copy + 'static,
        build: impl Fn(Inner<B>) -> S + Copy + 'static,
    ) -> Self
    where
        Q: 'static,
        S: Service<Request<Q>, Response = Response<C>> + 'static,
    {
        let alone = move |pending| drive::alone(build(inner(pending)), request, status);
        Self::named(name, "bare")
            .driven(Driver::Ready, move || alone(false))
            .driven(Driver::Pending, move || alone(true))
    }

    pub(crate) fn named(name: &'static str, base: &'static str) -> Self {
        Self { name, base, bounds: Vec::new(), makers: Vec::new(), app: None }
    }

    pub(crate) fn driven(mut self, driver: Driver, make: impl Fn() -> Sample + 'static) -> Self {
        self.makers.push((driver, Box::new(make)));
        self
    }

    pub(crate) fn serving(mut self, app: fn() -> Router) -> Self {
        self.app = Some(app);
        self
    }

    /// Net of this row instead of `bare`.
    pub(crate) fn over(mut self, base: &'static str) -> Self {
        self.base = base;
        self
    }

    /// Must cost at most this times what the peer does: net of bare if called directly, all
    /// together end to end.
    pub(crate) fn bound(mut self, driver: Driver, peer: &'static str, at_most: f64) -> Self {
        self.bounds.push(Bound { driver, peer, at_most: Some(AtMost::Times(at_most)) });
        self
    }

    /// Must cost at most so many nanoseconds more than another row.
    pub(crate) fn bound_over(mut self, driver: Driver, row: &'static str, at_most: f64) -> Self {
        self.bounds.push(Bound { driver, peer: row, at_most: Some(AtMost::Over(at_most)) });
        self
    }

    /// Is shown against the peer, and promises nothing.
    pub(crate) fn beside(mut self, driver: Driver, peer: &'static str) -> Self {
        self.bounds.push(Bound { driver, peer, at_most: None });
        self
    }

    /// Makes the service, to be driven like this, if it can be.
    pub(crate) fn sample(&self, driver: Driver) -> Option<Sample> {
        let (_, make) = self.makers.iter().find(|(by, _)| *by == driver)?;
        // Some peers make their first timer when they are made.
        let _context = drive::timers();
        Some(make())
    }

    pub(crate) fn can(&self, driver: Driver) -> bool {
        self.makers.iter().any(|(by, _)| *by == driver)
    }
}

fn inner<B>(pending: bool) -> Inner<B> {
    Inner { pending, body: std::marker::PhantomData }
}

/// The rows whose names contain one of `filters`, and those they are compared with.
pub(crate) fn selected(rows: Vec<Row>, filters: &[String]) -> Vec<Row> {
    if filters.is_empty() {
        return rows;
    }
    let asked = |row: &&Row| filters.iter().any(|part| row.name.contains(part.as_str()));
    let mut names: Vec<_> = rows.iter().filter(asked).map(|row| row.name).collect();
    for _ in 0..2 {
        let compared = rows
            .iter()
            .filter(|row| names.contains(&row.name))
            .flat_map(|row| row.bounds.iter().map(|bound| bound.peer).chain([row.base]));
        names = compared.chain(names.iter().copied()).collect();
    }
    rows.into_iter().filter(|row| names.contains(&row.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_never_selected_without_what_it_is_compared_with() {
        let rows = vec![
            Row::named("bare", "bare"),
            Row::named("bare/header", "bare/header"),
            Row::named("peer", "bare/header"),
            Row::named("other", "bare"),
            Row::named("ours", "bare").bound(Driver::Ready, "peer", 0.5),
        ];
        let names: Vec<_> =
            selected(rows, &["our".to_owned()]).iter().map(|row| row.name).collect();
        assert_eq!(names, ["bare", "bare/header", "peer", "ours"]);
    }
}
