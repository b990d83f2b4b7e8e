//! How long an exchange may take, and who is told.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request};
use palisade_core::{Deadline, Head, Protocol};
use tokio::time::Instant;

use crate::{
    alarm::{Due, Nanos},
    glance::Glance,
    layer::{Settings, TimeHeader},
    refusal::LAYER,
    watch::Bound,
    wire,
};

/// By how much [`forward`](crate::TimeoutLayer::forward) tells the next hop less than there is, for
/// its answer to arrive in time: 5 milliseconds, a round trip within a region and then some.
///
/// Of less than 50 milliseconds a tenth is kept back.
pub const HOP_SLACK: Duration = Duration::from_millis(5);

/// When an exchange is over, at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// When this layer has to end it.
    pub(crate) due: Due,
    /// When a gRPC transport that was told how much time there is gives up by itself.
    pub(crate) transport_gives_up: Option<Instant>,
}

impl Term {
    /// The term of a request that has this long, as far as nobody else says or is told anything;
    /// `None` if that is too little to begin.
    #[inline]
    pub(crate) fn without_clock(own: Nanos, settings: &Settings) -> Option<Self> {
        let due = if own == Nanos::FOREVER { Due::Never } else { Due::In(own) };
        settings.is_useful(own).then_some(Self { due, transport_gives_up: None })
    }

    /// The term of any request, which is told of it where the layer is to; `None` if it is too late
    /// to begin.
    pub(crate) fn with_clock<B>(
        request: &mut Request<B>,
        asked: Option<Duration>,
        settings: &Settings,
        protocol: Protocol,
    ) -> Option<Self> {
        let now = Instant::now();
        let inherited = Deadline::of(request);
        let own = Duration::from(own(Head::of(request), settings));
        let limit = asked.map_or(own, |asked| asked.min(settings.max.unwrap_or(own)));
        let mine = now.checked_add(limit).map(|at| Deadline::at(at.into_std()));
        let nearest = match (inherited, mine) {
            (Some(inherited), Some(mine)) => Some(inherited.sooner(mine)),
            (one, other) => one.or(other),
        };
        let left = nearest.map(|nearest| nearest.remaining(now.into_std()));
        if !settings.is_useful(left.map_or(Nanos::FOREVER, Into::into)) {
            return None;
        }
        // Whoever ends the exchange further out needs no help.
        let due = match nearest {
            Some(nearest) if !nearest.is_enforced() => Due::At(nearest.instant().into()),
            _ => Due::Never,
        };
        if let (Due::At(at), true) =
            (due, settings.shared || asked.is_some() || inherited.is_some())
        {
            let deadline = Deadline::at(at.into_std());
            let whole = settings.body == Bound::Within;
            let deadline = if whole { deadline.enforced() } else { deadline };
            deadline.attach(request.extensions_mut());
        }
        let mut told = left.filter(|_| asked.is_some());
        if settings.forward {
            told = left.map(|left| left.saturating_sub(HOP_SLACK.min(left / 10)));
            tell(request.headers_mut(), told, settings, protocol);
        }
        let told = told.filter(|_| protocol.is_grpc());
        Some(Self { due, transport_gives_up: told.and_then(|told| now.checked_add(told)) })
    }
}

/// What has a say in how long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// Only the layer, which allows this much.
    Own(Nanos),
    /// Others too, or the layer is to tell of it: it is a matter of what the time is. If the caller
    /// has asked for a time and no deadline came along, this is it.
    Clock { asked: Option<Duration> },
}

impl Say {
    /// What has it for a request with this head, at which the layer took a glance.
    pub(crate) fn of(head: Head<'_>, glance: &Glance<'_>, settings: &Settings) -> Self {
        let inherits = head.extensions().get::<Deadline>().is_some();
        let asked = if inherits { None } else { asked(head, glance, settings) };
        if inherits || asked.is_some() || settings.shared || settings.forward {
            Self::Clock { asked }
        } else {
            Self::Own(own(head, settings))
        }
    }
}

/// The layer's own limit for this request.
fn own(head: Head<'_>, settings: &Settings) -> Nanos {
    match settings.by.as_ref().and_then(|by| by(head)) {
        Some(own) => own.into(),
        None => settings.timeouts.counters().limit(),
    }
}

/// How long the caller says that it waits.
fn asked(head: Head<'_>, glance: &Glance<'_>, settings: &Settings) -> Option<Duration> {
    if let Some(value) = glance.grpc_timeout {
        let accepted = "1 to 8 digits and one of H, M, S, m, u, n";
        return wire::parse_grpc(value).or_else(|| invalid("grpc-timeout", value, accepted));
    }
    let TimeHeader { name, trusted } = settings.header.as_ref()?;
    let value = head.headers().get(name).filter(|_| trusted(head))?;
    let accepted = "a number of seconds, or one with ms, s, m or h";
    wire::parse_time(value).or_else(|| invalid(name.as_str(), value, accepted))
}

/// Tells of a header that cannot be understood and is therefore as good as none: a caller's mistake
/// must not cost it the answer, and the layer's own limit holds.
#[cold]
fn invalid(header: &str, value: &HeaderValue, accepted: &str) -> Option<Duration> {
    tracing::debug!(
        target: "palisade",
        layer = LAYER,
        header,
        ?value,
        accepted,
        "Invalid time in a request's header ignored"
    );
    None
}

impl Settings {
    #[inline]
    fn is_useful(&self, left: Nanos) -> bool {
        left > Nanos::ZERO && left >= self.min_useful
    }
}

/// Writes how much time there is over whatever the headers say.
fn tell(headers: &mut HeaderMap, left: Option<Duration>, settings: &Settings, protocol: Protocol) {
    let (name, format): (_, fn(Duration) -> HeaderValue) = if protocol.is_grpc() {
        (&wire::GRPC_TIMEOUT, wire::format_grpc)
    } else if let Some(header) = &settings.header {
        (&header.name, wire::format_time)
    } else {
        return;
    };
    match left {
        Some(left) => headers.insert(name, format(left)),
        None => headers.remove(name),
    };
}
