use crate::board::Change;

/// Tells of a change of state, or of several, and how many those were.
pub(crate) fn tell(change: &Change) {
    let Change { name, probe, from, to, times, detail } = change;
    let changes = (*times > 1).then_some(*times);
    if let Some(name) = name {
        tracing::info!(
            target: "palisade",
            layer = LAYER,
            check = %name,
            probe = %probe,
            from = %from,
            to = %to,
            changes,
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
            changes,
            "Health changed"
        );
    }
}

/// As it is called in the log.
pub(crate) const LAYER: &str = "health";
