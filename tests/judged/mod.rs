//! Clients whose exchanges are judged, and a server that answers with any HTTP/2 frames.

mod peer;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
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
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::Service;

pub(crate) use peer::{Then, goaway, head, peer, reset};

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

pub(crate) fn legacy<B>(version: Version) -> Legacy<B>
where
    B: Body<Data: Send> + Send,
{
    let mut client = legacy::Client::builder(TokioExecutor::new());
    client.http2_only(version == Version::HTTP_2).build_http()
}
