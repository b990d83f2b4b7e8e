//! Health under the laws: what is no probe, while it serves and after it has drained.

use std::time::Duration;

use palisade::health::{HealthLayer, HealthService, ResponseBody};
use palisade_testkit::{Plan, Probe, ProbeBody};

use crate::{Refuses, Subject};

pub(crate) struct Health;

impl Subject for Health {
    type Layer = HealthLayer;
    type Service = HealthService<Probe>;
    type Body = ResponseBody<ProbeBody>;

    fn passing() -> Self::Layer {
        HealthLayer::new(&palisade::health::Health::new())
    }

    fn held(layer: &Self::Layer) -> usize {
        usize::try_from(layer.handle().in_flight()).unwrap()
    }
}

impl Refuses for Health {
    fn refusing() -> Self::Layer {
        let layer = Self::passing();
        Self::tighten(&layer);
        layer
    }

    fn tight() -> (Self::Layer, Plan) {
        (Self::passing(), Plan::default())
    }

    fn tighten(layer: &Self::Layer) {
        layer.handle().drain(Duration::ZERO);
    }
}
