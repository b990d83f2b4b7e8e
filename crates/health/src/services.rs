use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::ServingStatus;

/// The services that gRPC clients may ask for by name, and what was set by hand for each.
#[derive(Debug)]
pub(crate) struct Services(RwLock<BTreeMap<Arc<str>, Option<ServingStatus>>>);

impl Services {
    /// With the server as a whole, whose name is empty.
    pub(crate) fn new() -> Self {
        Self(RwLock::new(BTreeMap::from([("".into(), None)])))
    }

    /// Adds one that follows readiness, unless it is there.
    pub(crate) fn add(&self, name: &str) -> Arc<str> {
        let mut services = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, _)) = services.get_key_value(name) {
            return Arc::clone(name);
        }
        let name = Arc::<str>::from(name);
        services.insert(Arc::clone(&name), None);
        name
    }

    pub(crate) fn set(&self, name: &Arc<str>, status: Option<ServingStatus>) {
        let mut services = self.0.write().unwrap_or_else(PoisonError::into_inner);
        services.insert(Arc::clone(name), status);
    }

    /// `None` if there is no such service; else what was set by hand.
    #[allow(clippy::option_option, reason = "to be unknown and to follow readiness are two things")]
    pub(crate) fn of(&self, name: &str) -> Option<Option<ServingStatus>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    pub(crate) fn all(&self) -> Vec<(Arc<str>, Option<ServingStatus>)> {
        let services = self.0.read().unwrap_or_else(PoisonError::into_inner);
        services.iter().map(|(name, &status)| (Arc::clone(name), status)).collect()
    }
}
