//! The retry under the laws. It turns nobody away, so that of those about refusals none is about it.

use std::{
    cell::RefCell,
    future::{Ready, ready},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body_util::Empty;
use palisade::{
    Backoff,
    retry::{Attempts, Budget, ResponseBody, RetryBody, RetryLayer, RetryPolicy},
};
use palisade_testkit::{Act, Pace, Probe, ProbeBody, ProbeError, ProbeFuture};
use tower::{Layer, Service};

use crate::{Subject, answer, get};

/// Without a wait, so that an answer is there at once.
fn policy() -> RetryPolicy {
    RetryPolicy::http().backoff(Backoff::constant(Duration::ZERO)).budget(Budget::unlimited())
}

fn held(layer: &RetryLayer) -> usize {
    let retries = layer.handle();
    retries.budget().in_use() as usize + retries.buffered()
}

/// Of which the first attempt is good.
pub(crate) struct Retry;

impl Subject for Retry {
    type Layer = RetryLayer;
    type Service = palisade::retry::Retry<Probe>;
    type Body = ResponseBody<ProbeBody>;

    fn passing() -> Self::Layer {
        RetryLayer::new(policy())
    }

    fn held(layer: &Self::Layer) -> usize {
        held(layer)
    }
}

/// Of which all that goes by a plan is a second attempt, which has a place among the retries.
pub(crate) struct SecondAttempt;

impl Subject for SecondAttempt {
    type Layer = FailsFirstLayer;
    type Service = palisade::retry::Retry<FailsFirst>;
    type Body = ResponseBody<ProbeBody>;

    fn passing() -> Self::Layer {
        FailsFirstLayer(Retry::passing())
    }

    fn held(layer: &Self::Layer) -> usize {
        held(&layer.0)
    }
}

#[derive(Clone)]
pub(crate) struct FailsFirstLayer(RetryLayer);

impl Layer<Probe> for FailsFirstLayer {
    type Service = palisade::retry::Retry<FailsFirst>;

    fn layer(&self, probe: Probe) -> Self::Service {
        self.0.layer(FailsFirst(Rc::new(RefCell::new(probe))))
    }
}

/// Fails first attempts before they reach the probe. Its clones are one service, whose readiness those do
/// not use up.
#[derive(Clone)]
pub(crate) struct FailsFirst(Rc<RefCell<Probe>>);

impl Service<Request<RetryBody<Empty<Bytes>>>> for FailsFirst {
    type Response = Response<ProbeBody>;
    type Error = ProbeError;
    type Future = Either<Ready<Result<Self::Response, ProbeError>>, ProbeFuture>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProbeError>> {
        Service::<Request<()>>::poll_ready(&mut *self.0.borrow_mut(), cx)
    }

    fn call(&mut self, request: Request<RetryBody<Empty<Bytes>>>) -> Self::Future {
        if Attempts::of(request.extensions()) == 1 {
            Either::Left(ready(Err(ProbeError)))
        } else {
            Either::Right(self.0.borrow_mut().call(request))
        }
    }
}

/// Promise 2, which others show by their refusals.
#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_and_of_its_clones_share_one_budget() {
    let layer = RetryLayer::new(policy().budget(Budget::ratio(0.1).floor(0).burst(1)));
    let probe = Probe::new().with_head(Pace::AtOnce, Act::Fail);
    let mut first = layer.layer(probe.clone());
    let mut others =
        [first.clone(), layer.layer(probe.clone()), layer.clone().layer(probe.clone())];
    answer(&mut first, get()).unwrap_err();
    assert_eq!(probe.tally().calls, 2);
    for service in &mut others {
        answer(service, get()).unwrap_err();
    }
    assert_eq!((probe.tally().calls, layer.handle().retried()), (5, 1));
    // Once for the first request too, which wanted a third attempt.
    assert_eq!(layer.handle().refused(), 4);
}

/// Else the laws would see nothing.
#[tokio::test(start_paused = true)]
async fn a_second_attempt_holds_its_place_while_its_body_goes_on() {
    let layer = SecondAttempt::passing();
    let probe = Probe::new().with_body(2, Pace::AtOnce);
    let response = answer(&mut layer.layer(probe), get()).unwrap();
    assert_eq!((Attempts::of(response.extensions()), SecondAttempt::held(&layer)), (2, 1));
}
