use crate::board::Change;

/// Tells of a change of state, once.
pub(crate) fn tell(change: &Change) {
    let Change { name, probe, from, to, detail } = change;
    if let Some(name) = name {
        tracing::info!(
            target: "palisade",
            layer = LAYER,
            check = %name,
            probe = %probe,
            from = %from,
            to = %to,
            detail = detail.as_deref(),
            "Check changed"
        );
    } else {
        tracing::info!(
            target: "palisade",
            layer = LAYER,
            probe = %probe,
            from = %from,
            to = %to,
            "Health changed"
        );
    }
}

/// As it is called in the log.
pub(crate) const LAYER: &str = "health";
