//! The breakers under the laws.
//!
//! One that lets requests pass is half-open, since that is when they hold something: a probe's place.

use std::time::Duration;

use palisade::{
    Backoff, GrpcClassifier, GrpcEnd,
    breaker::{BreakerLayer, KeyedBreakerLayer, Policy, Probes, ResponseBody, State, Switch, Trip},
    key::Global,
};
use palisade_testkit::{Act, Pace, Plan, Probe, ProbeBody};
use tower::Layer;

use crate::{Refuses, Subject, answer, get};

const HOUR: Duration = Duration::from_secs(3600);

/// Opens after one failure.
fn open_for(time: Duration) -> Policy {
    Policy::new(Trip::consecutive(1))
        .with_open(Backoff::constant(time))
        .with_probes(Probes::new(63).need(63))
}

/// Fails a call by this layer, whose circuit is open for no time.
fn half_opened<T: Subject>(layer: T::Layer, switch: &Switch) -> T::Layer {
    let failing = Probe::new().with_head(Pace::AtOnce, Act::Fail);
    assert!(answer(&mut layer.layer(failing), get()).is_err());
    assert_eq!(switch.state(), State::HalfOpen);
    layer
}

fn failing() -> Plan {
    let mut plan = Plan::default();
    plan.head.1 = Act::Fail;
    plan
}

fn probes(switch: &Switch) -> usize {
    switch.stats().probes_in_flight as usize
}

pub(crate) struct Breaker;

impl Subject for Breaker {
    type Layer = BreakerLayer;
    type Service = palisade::breaker::Breaker<Probe>;
    type Body = ResponseBody<ProbeBody>;

    fn passing() -> Self::Layer {
        let layer = BreakerLayer::new(open_for(Duration::ZERO));
        let switch = layer.handle();
        half_opened::<Self>(layer, &switch)
    }

    fn held(layer: &Self::Layer) -> usize {
        probes(&layer.handle())
    }
}

impl Refuses for Breaker {
    fn refusing() -> Self::Layer {
        let layer = BreakerLayer::default();
        layer.handle().force_open();
        layer
    }

    fn tight() -> (Self::Layer, Plan) {
        (BreakerLayer::new(open_for(HOUR)), failing())
    }
}

/// Judged when the body is over, as every answer is to this classifier.
pub(crate) struct BreakerByBody;

impl Subject for BreakerByBody {
    type Layer = BreakerLayer<GrpcClassifier>;
    type Service = palisade::breaker::Breaker<Probe, GrpcClassifier>;
    type Body = ResponseBody<ProbeBody, GrpcClassifier, GrpcEnd>;

    fn passing() -> Self::Layer {
        Breaker::passing().with_classifier(GrpcClassifier)
    }

    fn held(layer: &Self::Layer) -> usize {
        probes(&layer.handle())
    }
}

impl Refuses for BreakerByBody {
    fn refusing() -> Self::Layer {
        Breaker::refusing().with_classifier(GrpcClassifier)
    }

    /// By a body that ends without a status.
    fn tight() -> (Self::Layer, Plan) {
        let (layer, _) = Breaker::tight();
        (layer.with_classifier(GrpcClassifier), Plan::default())
    }
}

pub(crate) struct KeyedBreaker;

impl Subject for KeyedBreaker {
    type Layer = KeyedBreakerLayer<Global>;
    type Service = palisade::breaker::KeyedBreaker<Probe, Global>;
    type Body = ResponseBody<ProbeBody>;

    fn passing() -> Self::Layer {
        let layer = KeyedBreakerLayer::new(open_for(Duration::ZERO), Global);
        let switch = layer.handle().make(&()).unwrap();
        half_opened::<Self>(layer, &switch)
    }

    fn held(layer: &Self::Layer) -> usize {
        probes(&layer.handle().make(&()).unwrap())
    }
}

impl Refuses for KeyedBreaker {
    fn refusing() -> Self::Layer {
        let layer = KeyedBreakerLayer::new(open_for(HOUR), Global);
        layer.handle().make(&()).unwrap().force_open();
        layer
    }

    fn tight() -> (Self::Layer, Plan) {
        (KeyedBreakerLayer::new(open_for(HOUR), Global), failing())
    }
}
