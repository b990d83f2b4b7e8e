//! What a gRPC client can take apart of a refusal: a real tonic client reads it with tonic-types.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use http::StatusCode;
use palisade::{
    GrpcCode, Protocol, Reason, Rejection, RejectionErrorLayer,
    limit_concurrency::LimitConcurrencyLayer,
};
use palisade_testkit::{
    Gate,
    grpc::{Echo, EchoClient, EchoServer, SayRequest},
    sockets::Server,
};
use tonic::{
    Code, Status,
    body::Body,
    transport::{self, Endpoint, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";

#[tokio::test]
async fn a_refusal_over_a_socket_is_taken_apart() {
    let echo = EchoServer::new(Echo::new(Gate::new()));
    let server = Server::start(|listener| {
        transport::Server::builder()
            .layer(LimitConcurrencyLayer::new(0))
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    let mut request = tonic::Request::new(SayRequest::default());
    request.metadata_mut().insert("traceparent", TRACE.parse().unwrap());
    let status = EchoClient::new(endpoint.connect_lazy()).say(request).await.unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("AT_CAPACITY", "palisade"));
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    assert_eq!(details.request_info().unwrap().request_id, TRACE_ID);
}

/// The status that a client makes of a rejection's response.
async fn told(rejection: Rejection) -> Status {
    let refusing = service_fn(move |_: http::Request<Body>| {
        let response = rejection.clone().respond(Protocol::Grpc).map(Body::new);
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    EchoClient::new(refusing).say(SayRequest::default()).await.unwrap_err()
}

fn rejection() -> Rejection {
    const TOO_SLOW: Reason = Reason::new("too-slow-2");
    Rejection::new(TOO_SLOW, StatusCode::GATEWAY_TIMEOUT)
}

#[tokio::test]
async fn code_and_message_stand_in_the_details_too() {
    let detail = "é".repeat(300); // a length of two bytes in the encoding
    let status =
        told(rejection().with_detail(detail.clone()).with_grpc_code(GrpcCode::Aborted)).await;
    assert_eq!((status.code(), status.message()), (Code::Aborted, detail.as_str()));
    let details: tonic_types::pb::Status = prost::Message::decode(status.details()).unwrap();
    assert_eq!((details.code, details.message), (Code::Aborted as i32, detail));
    assert_eq!(details.details.len(), 2);
}

#[tokio::test]
async fn members_are_metadata() {
    let words = ["burst", "daily"].map(str::to_owned);
    let status = told(rejection().with_member("violated-policies", words)).await;
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["violated-policies"], "burst,daily");
}

#[tokio::test]
async fn without_a_hint_there_is_no_retry_info() {
    let details: ErrorDetails = told(rejection()).await.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "TOO_SLOW_2");
    assert!(details.retry_info().is_none());
}

#[tokio::test]
async fn any_wait_is_readable() {
    for wait in [Duration::ZERO, Duration::new(0, 1), Duration::new(70_000, 999_999_999)] {
        let status = told(rejection().with_retry_after(wait)).await;
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(wait));
    }
    let longest = told(rejection().with_retry_after(Duration::MAX)).await;
    assert!(
        longest.get_details_retry_info().unwrap().retry_delay > Some(Duration::from_secs(1 << 38))
    );
}

#[tokio::test]
async fn a_refusal_made_an_error_is_found_by_downcast_and_by_source() {
    #[derive(Debug)]
    struct Wrapped(palisade::BoxError);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the call failed")
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(self.0.as_ref())
        }
    }

    let stack = ServiceBuilder::new()
        .map_err(Wrapped)
        .layer(RejectionErrorLayer::new())
        .layer(LimitConcurrencyLayer::new(0));
    let never = service_fn(async |_: http::Request<Body>| {
        Ok::<_, std::io::Error>(http::Response::new(Body::empty()))
    });
    let error = stack.service(never).oneshot(http::Request::new(Body::empty())).await.unwrap_err();
    assert!(error.0.is::<Rejection>());
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.downcast_ref::<Rejection>().unwrap().status(), 429);
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_the_error_layer() {
    let failing = service_fn(async |_: http::Request<Body>| {
        Err::<http::Response<Body>, _>(std::io::Error::other("no route"))
    });
    let service = RejectionErrorLayer::new().layer(failing);
    let error = service.oneshot(http::Request::new(Body::empty())).await.unwrap_err();
    assert!(error.is::<std::io::Error>());
}
