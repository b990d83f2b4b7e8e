use http::{HeaderValue, Method, header::CONTENT_TYPE};

use crate::Head;

/// The language in which a request wants its refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP: a status code and a problem document.
    Http,
    /// HTTP, asked with HEAD: a status code and the problem's headers.
    HttpHead,
    /// gRPC: HTTP 200 and the status in a trailers-only answer.
    Grpc,
    /// gRPC-Web with binary frames: as gRPC, under its own content type.
    GrpcWeb,
    /// gRPC-Web with base64 frames: as gRPC, under its own content type.
    GrpcWebText,
}

impl Protocol {
    /// The protocol of a request: gRPC by its content type, else HTTP.
    ///
    /// Any message format counts as gRPC (`application/grpc`, `application/grpc+proto`,
    /// `application/grpc+json`, …), as the
    /// [gRPC wire format](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) has it.
    #[inline]
    #[must_use]
    pub fn of(head: Head<'_>) -> Self {
        let headers = head.headers();
        let content_type = if headers.is_empty() { None } else { headers.get(CONTENT_TYPE) };
        Self::by(head.method(), content_type)
    }

    /// The same for a layer that has come across the content type by itself.
    #[inline]
    #[must_use]
    pub fn by(method: &Method, content_type: Option<&HeaderValue>) -> Self {
        match content_type.and_then(of_content_type) {
            Some(grpc) => grpc,
            None if method == Method::HEAD => Self::HttpHead,
            None => Self::Http,
        }
    }

    /// Whether refusals are gRPC statuses.
    #[must_use]
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb | Self::GrpcWebText)
    }
}

fn of_content_type(value: &HeaderValue) -> Option<Protocol> {
    const GRPC: &[u8] = b"application/grpc";
    let (kind, rest) = value.as_bytes().split_at_checked(GRPC.len())?;
    if !kind.eq_ignore_ascii_case(GRPC) {
        return None;
    }
    let subtype = rest.split(|byte| b"+; \t".contains(byte)).next()?;
    if subtype.is_empty() {
        Some(Protocol::Grpc)
    } else if subtype.eq_ignore_ascii_case(b"-web") {
        Some(Protocol::GrpcWeb)
    } else if subtype.eq_ignore_ascii_case(b"-web-text") {
        Some(Protocol::GrpcWebText)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_content_type_decides_and_then_the_method() {
        for (content_type, method, expected) in [
            ("application/grpc", Method::POST, Protocol::Grpc),
            ("application/grpc+proto", Method::POST, Protocol::Grpc),
            ("application/grpc;charset=utf-8", Method::POST, Protocol::Grpc),
            ("application/grpc\t; charset=utf-8", Method::POST, Protocol::Grpc),
            ("Application/GRPC+json", Method::POST, Protocol::Grpc),
            ("application/grpc-web", Method::POST, Protocol::GrpcWeb),
            ("application/grpc-web+proto", Method::POST, Protocol::GrpcWeb),
            ("application/grpc-web-text", Method::POST, Protocol::GrpcWebText),
            ("application/grpc-web-text+proto", Method::POST, Protocol::GrpcWebText),
            ("application/grpcish", Method::POST, Protocol::Http),
            ("application/grp", Method::POST, Protocol::Http),
            ("application/json", Method::POST, Protocol::Http),
            ("", Method::GET, Protocol::Http),
            ("text/plain", Method::HEAD, Protocol::HttpHead),
        ] {
            let request = Request::builder()
                .method(&method)
                .header(CONTENT_TYPE, content_type)
                .body(())
                .unwrap();
            assert_eq!(Protocol::of(Head::of(&request)), expected, "{method} {content_type}");
        }
        let bare = Request::head("/").body(()).unwrap();
        assert_eq!(Protocol::of(Head::of(&bare)), Protocol::HttpHead);
    }
}
