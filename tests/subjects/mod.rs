//! The layers under the laws.

mod breaker;
mod health;
mod retry;

use std::{num::NonZeroU32, time::Duration};

use palisade::{
    key::Global,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{ExactStore, LimitRateLayer, Quota},
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer, request_body},
};
use palisade_testkit::{Plan, Probe};

pub(crate) use breaker::{Breaker, BreakerByBody, KeyedBreaker};
pub(crate) use health::Health;
pub(crate) use retry::{Retry, SecondAttempt};

use crate::{Refuses, Subject};

pub(crate) struct LimitConcurrency;

impl Subject for LimitConcurrency {
    type Layer = LimitConcurrencyLayer;
    type Service = palisade::limit_concurrency::LimitConcurrency<Probe>;
    type Body = palisade::limit_concurrency::ResponseBody<palisade_testkit::ProbeBody>;

    fn passing() -> Self::Layer {
        LimitConcurrencyLayer::new(1)
    }

    fn held(layer: &Self::Layer) -> usize {
        layer.handle().in_flight()
    }
}

impl Refuses for LimitConcurrency {
    fn refusing() -> Self::Layer {
        LimitConcurrencyLayer::new(0)
    }

    fn tight() -> (Self::Layer, Plan) {
        let mut plan = Plan::default();
        plan.body.frames = 1;
        (LimitConcurrencyLayer::new(1), plan)
    }
}

pub(crate) struct LimitRate;

impl Subject for LimitRate {
    type Layer = LimitRateLayer<Global>;
    type Service = palisade::limit_rate::LimitRate<Probe, Global>;
    type Body = palisade::limit_rate::ResponseBody<palisade_testkit::ProbeBody>;

    fn passing() -> Self::Layer {
        LimitRateLayer::new(Quota::per_second(NonZeroU32::MAX), Global)
    }

    /// Tokens are not handed back.
    fn held(_: &Self::Layer) -> usize {
        0
    }
}

impl Refuses for LimitRate {
    /// Whose requests cost more than is ever allowed.
    fn refusing() -> Self::Layer {
        let two = NonZeroU32::MIN.saturating_add(1);
        LimitRateLayer::new(Quota::per_second(NonZeroU32::MIN), Global).with_cost(move |_| two)
    }

    fn tight() -> (Self::Layer, Plan) {
        (LimitRateLayer::new(Quota::per_hour(NonZeroU32::MIN), Global), Plan::default())
    }
}

/// By several windows, of which each alone may refuse, and by the store of exact keys.
pub(crate) struct LimitRateByWindows;

impl Subject for LimitRateByWindows {
    type Layer = LimitRateLayer<Global, ExactStore<()>>;
    type Service = palisade::limit_rate::LimitRate<Probe, Global, ExactStore<()>>;
    type Body = palisade::limit_rate::ResponseBody<palisade_testkit::ProbeBody>;

    fn passing() -> Self::Layer {
        LimitRate::passing()
            .with_store(ExactStore::new())
            .with_quota("hour", Quota::per_hour(NonZeroU32::MAX))
    }

    fn held(_: &Self::Layer) -> usize {
        0
    }
}

impl Refuses for LimitRateByWindows {
    /// Since the last window never allows so much.
    fn refusing() -> Self::Layer {
        let two = NonZeroU32::MIN.saturating_add(1);
        Self::passing()
            .with_quota("one", Quota::per_second(NonZeroU32::MIN))
            .with_cost(move |_| two)
    }

    fn tight() -> (Self::Layer, Plan) {
        let layer = Self::passing().with_quota("one", Quota::per_hour(NonZeroU32::MIN));
        (layer, Plan::default())
    }
}

/// Charged when the answer is known.
pub(crate) struct LimitRateByAnswer;

impl Subject for LimitRateByAnswer {
    type Layer = LimitRateLayer<Global>;
    type Service = palisade::limit_rate::LimitRate<Probe, Global>;
    type Body = palisade::limit_rate::ResponseBody<palisade_testkit::ProbeBody>;

    fn passing() -> Self::Layer {
        LimitRate::passing().charge_when(|_| true)
    }

    fn held(_: &Self::Layer) -> usize {
        0
    }
}

impl Refuses for LimitRateByAnswer {
    fn refusing() -> Self::Layer {
        LimitRate::refusing().charge_when(|_| true)
    }

    fn tight() -> (Self::Layer, Plan) {
        let (layer, plan) = LimitRate::tight();
        (layer.charge_when(|_| true), plan)
    }
}

pub(crate) struct Timeout;

impl Subject for Timeout {
    type Layer = TimeoutLayer;
    type Service = palisade::timeout::Timeout<Probe>;
    type Body = palisade::timeout::ResponseBody<palisade_testkit::ProbeBody>;

    fn passing() -> Self::Layer {
        TimeoutLayer::server(Duration::from_secs(60))
    }

    /// It hands nothing out.
    fn held(_: &Self::Layer) -> usize {
        0
    }
}

impl Refuses for Timeout {
    fn refusing() -> Self::Layer {
        TimeoutLayer::server(Duration::ZERO)
    }

    fn tight() -> (Self::Layer, Plan) {
        (Self::passing(), Plan::default())
    }

    fn tighten(layer: &Self::Layer) {
        layer.handle().set_limit(Duration::ZERO);
    }
}

/// What is asked here has no body, and passes.
pub(crate) struct RequestBodyTimeout;

impl Subject for RequestBodyTimeout {
    type Layer = RequestBodyTimeoutLayer;
    type Service = palisade::timeout::RequestBodyTimeout<Probe>;
    type Body = request_body::ResponseBody<palisade_testkit::ProbeBody>;

    fn passing() -> Self::Layer {
        RequestBodyTimeoutLayer::new(Duration::ZERO)
    }

    /// It hands nothing out.
    fn held(_: &Self::Layer) -> usize {
        0
    }
}
