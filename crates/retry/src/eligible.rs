use std::{fmt, sync::Arc};

use http::{Extensions, HeaderName, Method, header::UPGRADE};
use palisade_core::Head;

use crate::{Attempts, InvalidMethod, lookup::has, methods::Methods};

/// Whether a request may be sent again, which is known before it is sent for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Eligible {
    /// Not at all. It passes untouched, and costs nothing.
    Never,
    /// Only on proof that it never got to the service: what is done twice must not happen twice.
    IfNotSent,
    /// Also if the service may have done it already, since doing it again changes nothing.
    Always,
}

/// In the extensions of a request: sending it twice is as good as once, whatever its method.
///
/// ```
/// use http::Request;
/// use palisade_core::Head;
/// use palisade_retry::{Eligible, Idempotent};
///
/// let search = Request::post("/search").extension(Idempotent).body(()).unwrap();
/// assert_eq!(Eligible::of(Head::of(&search)), Eligible::Always);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Idempotent;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Eligible {
    /// What HTTP says of a request.
    ///
    /// | request | |
    /// | --- | --- |
    /// | CONNECT, or one that asks for an upgrade | `Never`: what follows is no answer |
    /// | GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110 §9.2.2), QUERY (draft-ietf-httpbis-safe-method-w-body) | `Always` |
    /// | with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), or [`Idempotent`] among its extensions | `Always` |
    /// | all others, and so every gRPC call | `IfNotSent` |
    #[must_use]
    pub fn of(head: Head<'_>) -> Self {
        if is_tunnel(head) { Self::Never } else { Self::told(head) }
    }

    /// The same of a request that is no tunnel.
    fn told(head: Head<'_>) -> Self {
        if is_idempotent(head.method())
            || is_marked(head.extensions())
            || (!head.headers().is_empty() && has(head.headers(), &IDEMPOTENCY_KEY))
        {
            Self::Always
        } else {
            Self::IfNotSent
        }
    }
}

#[inline]
fn is_tunnel(head: Head<'_>) -> bool {
    matches!(*head.method(), Method::CONNECT)
        || (!head.headers().is_empty() && head.headers().contains_key(UPGRADE))
}

fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent() || method.as_str() == "QUERY"
}

fn is_marked(extensions: &Extensions) -> bool {
    extensions.get::<Idempotent>().is_some()
}

/// How a policy tells.
#[derive(Clone)]
pub(crate) struct Rule {
    base: Base,
    /// Those that are named.
    methods: Methods,
}

#[derive(Clone)]
enum Base {
    Http,
    Grpc,
    Custom(Arc<dyn Fn(Head<'_>) -> Eligible + Send + Sync>),
}

impl Rule {
    pub(crate) const fn http() -> Self {
        Self { base: Base::Http, methods: Methods::new() }
    }

    pub(crate) const fn grpc() -> Self {
        Self { base: Base::Grpc, methods: Methods::new() }
    }

    pub(crate) fn by(self, rule: impl Fn(Head<'_>) -> Eligible + Send + Sync + 'static) -> Self {
        Self { base: Base::Custom(Arc::new(rule)), ..self }
    }

    pub(crate) fn naming<M: AsRef<str>>(
        self,
        methods: impl IntoIterator<Item = M>,
    ) -> Result<Self, InvalidMethod> {
        Ok(Self { methods: self.methods.with(methods)?, ..self })
    }

    #[inline]
    pub(crate) fn of(&self, head: Head<'_>, stamp: Option<&HeaderName>) -> Eligible {
        if is_tunnel(head) || Attempts::is_a_retry(head, stamp) {
            return Eligible::Never;
        }
        if !self.methods.is_empty() && self.methods.contains(head.uri().path()) {
            return Eligible::Always;
        }
        match &self.base {
            Base::Http => Eligible::told(head),
            // What a method does is not in its name, and all of them are POST.
            Base::Grpc if is_marked(head.extensions()) => Eligible::Always,
            Base::Grpc => Eligible::IfNotSent,
            Base::Custom(rule) => rule(head),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::Http => "http",
            Base::Grpc => "grpc",
            Base::Custom(_) => "a closure",
        };
        f.debug_struct("Rule").field("base", &base).field("idempotent", &self.methods).finish()
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
