use http::HeaderValue;

use crate::{Head, Id, Protocol};

/// What the headers of a request say to every layer, found in one look over them.
///
/// For layers that need it of each request: a lookup for each header costs more than a pass over as
/// many headers as requests have.
///
/// ```
/// use http::Request;
/// use palisade_core::{Glance, Head, Protocol};
///
/// let request = Request::post("/shop.Orders/Place")
///     .header("content-type", "application/grpc")
///     .header("grpc-timeout", "250m")
///     .body(())
///     .unwrap();
/// let glance = Glance::at(Head::of(&request));
/// assert_eq!(glance.protocol, Protocol::Grpc);
/// assert_eq!(glance.grpc_timeout.unwrap(), "250m");
/// assert_eq!(glance.id, None);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Glance<'a> {
    /// The [protocol](Protocol::of) of the request.
    pub protocol: Protocol,
    /// The [id](Id::of) that the request carries, if it carries one.
    pub id: Option<Id>,
    /// The header `grpc-timeout`, as it is.
    pub grpc_timeout: Option<&'a HeaderValue>,
}

impl<'a> Glance<'a> {
    /// Looks at the headers of this head.
    #[must_use]
    pub fn at(head: Head<'a>) -> Self {
        let [mut content_type, mut grpc_timeout, mut traceparent, mut request_id] = [None; 4];
        for (name, value) in head.headers() {
            let found = match name.as_str() {
                "content-type" => &mut content_type,
                "grpc-timeout" => &mut grpc_timeout,
                "traceparent" => &mut traceparent,
                "x-request-id" => &mut request_id,
                _ => continue,
            };
            // As from a lookup, the first value.
            found.get_or_insert(value);
        }
        Self {
            protocol: Protocol::by(head.method(), content_type),
            id: Id::in_headers(traceparent, request_id),
            grpc_timeout,
        }
    }
}
