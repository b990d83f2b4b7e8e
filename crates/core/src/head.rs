use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri};

/// What a closure or an extractor sees of a request: everything but the body.
///
/// It borrows the request and is as cheap to pass on as a reference. Having no body, it needs no
/// type parameter, so a closure over a head works on every server and client.
///
/// ```
/// use http::Request;
/// use palisade_core::Head;
///
/// let request = Request::post("/orders").header("x-tenant", "blue").body("…").unwrap();
/// let head = Head::of(&request);
/// assert_eq!(head.uri().path(), "/orders");
/// assert_eq!(head.header("x-tenant").unwrap(), "blue");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    /// The head of `request`.
    #[inline]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The request's method.
    #[inline]
    #[must_use]
    pub fn method(self) -> &'a Method {
        self.method
    }

    /// The request's target.
    #[inline]
    #[must_use]
    pub fn uri(self) -> &'a Uri {
        self.uri
    }

    /// The request's headers.
    #[inline]
    #[must_use]
    pub fn headers(self) -> &'a HeaderMap {
        self.headers
    }

    /// What servers, clients and other layers have attached to the request.
    #[inline]
    #[must_use]
    pub fn extensions(self) -> &'a Extensions {
        self.extensions
    }

    /// The first value of the header `name`, which is matched without regard to case.
    #[inline]
    #[must_use]
    pub fn header(self, name: &str) -> Option<&'a HeaderValue> {
        self.headers.get(name)
    }
}
