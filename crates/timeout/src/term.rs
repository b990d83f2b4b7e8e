//! How long an exchange may take, and who is told.

use std::time::{Duration, Instant as Moment};

use http::{Extensions, HeaderMap, HeaderValue, Request};
use palisade_core::{Deadline, GrpcTimeout, Head, Protocol};
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
    /// When this layer has to end it, if there is no answer by then.
    pub(crate) due: Due,
    /// When it, or others, end the body of the answer, where that is not [within](Bound::Within) the
    /// layer's own limit.
    pub(crate) whole: Due,
    /// When a gRPC transport that was told how much time there is gives up by itself.
    pub(crate) transport_gives_up: Option<Instant>,
}

/// What has a say in how long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// Only the layer, which allows this much.
    Own(Nanos),
    /// Others too, or others are to be told: it is a matter of what the time is.
    Clock(Asked),
}

/// For how much time the caller asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// In `grpc-timeout`, which a gRPC transport reads as well.
    grpc: Option<Duration>,
    /// In the layer's header.
    header: Option<Duration>,
}

impl Asked {
    fn time(self) -> Option<Duration> {
        self.grpc.or(self.header)
    }
}

impl Say {
    /// Who has it for a request with this head, at which the layer took a glance.
    pub(crate) fn of(head: Head<'_>, glance: &Glance<'_>, settings: &Settings) -> Self {
        let asked = asked(head, glance, settings);
        let inherits = || head.extensions().get::<Deadline>().is_some();
        if asked.time().is_some() || settings.shared || settings.forward || inherits() {
            Self::Clock(asked)
        } else {
            Self::Own(own(head, settings).0)
        }
    }
}

impl Term {
    /// The term of a request that has this long, as far as nobody else says or is told anything;
    /// `None` if that is too little to begin.
    #[inline]
    pub(crate) fn without_clock(own: Nanos) -> Option<Self> {
        let due = if own == Nanos::FOREVER { Due::Never } else { Due::In(own) };
        let term = Self { due, whole: Due::Never, transport_gives_up: None };
        (own > Nanos::ZERO).then_some(term)
    }

    /// The term of any request, which is told of it where the layer is to; `None` if it is too late
    /// to begin.
    pub(crate) fn with_clock<B>(
        request: &mut Request<B>,
        asked: Asked,
        settings: &Settings,
        protocol: Protocol,
    ) -> Option<Self> {
        let now = Instant::now();
        let (own, at_most) = own(Head::of(request), settings);
        let after = |time: Duration| now.checked_add(time).map(Instant::into_std);
        let inherited = Deadline::of(request).map(Deadline::instant);
        let enforced = request.extensions().get::<Enforced>().map(|enforced| enforced.0);

        let limit = asked.time().map_or(own, |asked| Nanos::from(asked).min(at_most));
        let head = nearest(inherited, after(limit.into()));
        // Where the layer does not bound bodies by its limit, callers still bound the whole by theirs.
        let whole = if settings.body == Bound::Within {
            head
        } else {
            let asked = asked.time().map(|asked| asked.min(settings.max.unwrap_or(asked)));
            nearest(inherited, asked.and_then(after))
        };

        let left = |at: Option<Moment>| at.map(|at| at.saturating_duration_since(now.into_std()));
        let least = Nanos::from(settings.min_useful).min(own);
        let useful = left(head).is_none_or(|left| left >= least.into() && !left.is_zero());
        if own == Nanos::ZERO || !useful {
            return None;
        }

        // Whoever ends the exchange further out needs no help.
        let due = |at: Option<Moment>| match at {
            Some(at) if enforced.is_none_or(|enforced| at < enforced) => Due::At(at.into()),
            _ => Due::Never,
        };
        if let (Some(at), Due::At(_)) = (whole, due(whole))
            && (settings.shared || asked.time().is_some() || inherited.is_some())
        {
            Deadline::at(at).attach(request.extensions_mut());
            Enforced(at).attach(request.extensions_mut());
        }

        let mut told = asked.grpc;
        if settings.forward {
            told = left(whole).map(|left| left.saturating_sub(HOP_SLACK.min(left / 10)));
            tell(request.headers_mut(), told, settings, protocol);
        }
        let told = told.filter(|_| protocol.is_grpc());
        Some(Self {
            due: due(head),
            whole: due(whole),
            transport_gives_up: told.and_then(|told| now.checked_add(told)),
        })
    }
}

/// In the extensions of a request that one of these layers will end at this moment, body included.
///
/// It stays within the crate, so that it does not go along where a [`Deadline`] is handed on, to
/// another request or into a task of its own, which that layer will not end.
#[derive(Clone, Copy)]
struct Enforced(Moment);

impl Enforced {
    fn attach(self, extensions: &mut Extensions) {
        match extensions.get_mut::<Self>() {
            Some(present) => *present = Self(present.0.min(self.0)),
            None => {
                extensions.insert(self);
            }
        }
    }
}

fn nearest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    [one, other].into_iter().flatten().min()
}

/// The layer's own limit for this request, and the most that its caller may ask for.
fn own(head: Head<'_>, settings: &Settings) -> (Nanos, Nanos) {
    if let Some(own) = settings.by.as_ref().and_then(|by| by(head)) {
        return (own.into(), own.into());
    }
    let own = settings.timeouts.counters().limit();
    (own, settings.max.map_or(own, Nanos::from))
}

/// How long the caller says that it waits.
fn asked(head: Head<'_>, glance: &Glance<'_>, settings: &Settings) -> Asked {
    let grpc = glance.grpc_timeout.and_then(|value| {
        let accepted = "1 to 8 digits and one of H, M, S, m, u, n";
        GrpcTimeout::read(value).or_else(|| invalid("grpc-timeout", value, accepted))
    });
    let header = settings.header.as_ref().and_then(|TimeHeader { name, trusted }| {
        let value = head.headers().get(name).filter(|_| trusted(head))?;
        let accepted = "a number of seconds, or one with ms, s, m or h";
        wire::parse_time(value).or_else(|| invalid(name.as_str(), value, accepted))
    });
    Asked { grpc, header }
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

/// Writes how much time there is over whatever the headers say.
fn tell(headers: &mut HeaderMap, left: Option<Duration>, settings: &Settings, protocol: Protocol) {
    headers.remove(GrpcTimeout::NAME);
    let header = settings.header.as_ref().map(|header| &header.name);
    if let Some(name) = header {
        headers.remove(name);
    }
    let Some(left) = left else { return };
    if protocol.is_grpc() {
        GrpcTimeout::insert(left, headers);
    } else if let Some(name) = header {
        headers.insert(name, wire::format_time(left));
    }
}
