//! Clients whose exchanges are judged.

mod failures;
mod peer;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Body;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    AutoClassifier, BodyRule, Classify, ClassifyEnd, End, Guard, GuardedBody, Head, Outcome,
    Verdict,
};
use palisade_testkit::grpc::{EchoClient, SayRequest};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tower::{Service, ServiceExt};

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

type AutoCall = <AutoClassifier as Classify<Infallible>>::Call;
type AutoEnd = <AutoClassifier as Classify<Infallible>>::Eos;

/// What is told of each exchange, once.
pub(crate) struct Outcomes(UnboundedReceiver<Outcome>);

impl Outcomes {
    pub(crate) async fn next(&mut self) -> Outcome {
        let told = tokio::time::timeout(Duration::from_secs(10), self.0.recv()).await;
        told.expect("the exchange is judged").expect("the exchange is judged")
    }

    /// That there are no more, after the client is gone.
    pub(crate) async fn were_all(mut self) {
        assert_eq!(self.0.recv().await, None);
    }
}

/// A service of which every exchange is judged, as a layer would.
#[derive(Clone)]
pub(crate) struct Judged<S> {
    inner: S,
    told: UnboundedSender<Outcome>,
}

pub(crate) fn judged<S>(inner: S) -> (Judged<S>, Outcomes) {
    let (told, outcomes) = unbounded_channel();
    (Judged { inner, told }, Outcomes(outcomes))
}

pub(crate) struct Ticket {
    end: AutoEnd,
    told: UnboundedSender<Outcome>,
}

impl Guard for Ticket {
    fn ended(self, end: End<'_>) {
        // Nobody listens any more where a test is over.
        self.told.send(self.end.end(end)).ok();
    }
}

impl<S, A, B, E> Service<Request<A>> for Judged<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = E>,
    S::Future: Send + 'static,
    B: Body,
    E: 'static,
{
    type Response = Response<GuardedBody<B, Ticket>>;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, E>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let rule = BodyRule::of(request.method());
        let call: AutoCall = Classify::<E>::request(&AutoClassifier, Head::of(&request));
        let (answer, told) = (self.inner.call(request), self.told.clone());
        Box::pin(async move {
            let answer = answer.await.inspect_err(|error| {
                told.send(AutoClassifier.error(error)).ok();
            })?;
            let (parts, body) = answer.into_parts();
            let ticket = match Classify::<E>::response(&AutoClassifier, call, &parts) {
                Verdict::AtEnd(end) => Some(Ticket { end, told }),
                Verdict::Now(outcome) => {
                    told.send(outcome).ok();
                    None
                }
            };
            Ok(GuardedBody::guard(Response::from_parts(parts, body), rule, ticket))
        })
    }
}

/// hyper-util's client.
pub(crate) type Legacy<B = Full<Bytes>> = legacy::Client<HttpConnector, B>;

/// One that speaks this version only.
pub(crate) fn over<B>(version: Version) -> Legacy<B>
where
    B: Body<Data: Send> + Send,
{
    let mut client = legacy::Client::builder(TokioExecutor::new());
    client.http2_only(version == Version::HTTP_2).build_http()
}

pub(crate) fn request(method: &Method, server: SocketAddr, path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://{server}{path}");
    Request::builder().method(method).uri(uri).body(Full::default()).unwrap()
}

/// What hyper-util's client makes of a GET, without its body.
pub(crate) async fn outcome_of_get(server: SocketAddr, version: Version) -> Outcome {
    let (client, mut outcomes) = judged(over(version));
    client.oneshot(request(&Method::GET, server, "/")).await.ok();
    outcomes.next().await
}

pub(crate) fn channel(server: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{server}")).unwrap().connect_lazy()
}

pub(crate) fn echo(server: SocketAddr) -> (EchoClient<Judged<Channel>>, Outcomes) {
    let (channel, outcomes) = judged(channel(server));
    (EchoClient::new(channel), outcomes)
}

/// What tonic's client makes of a call, and tells its caller.
pub(crate) async fn outcome_of_call(server: SocketAddr) -> (Outcome, Code) {
    let (mut client, mut outcomes) = echo(server);
    let code = match client.say(SayRequest::default()).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    };
    (outcomes.next().await, code)
}
