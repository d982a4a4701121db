//! Taints and tolerations in the scheduler's words, for all who ask whether one covers the other.

use k8s_openapi::api::core::v1;
use orch_core::scheduler::{Effect, Taint, Toleration};

/// Whether a toleration covers a taint (Kubernetes' `Toleration.ToleratesTaint`).
pub(crate) fn tolerates(toleration: &v1::Toleration, taint: &v1::Taint) -> bool {
    let pair = self::toleration(toleration).zip(self::taint(taint));
    pair.is_some_and(|(toleration, taint)| toleration.tolerates(&taint))
}

/// A toleration; none if it covers nothing: of an effect or operator that is not known, or of no key but for the operator
/// `Exists`.
pub(super) fn toleration(wire: &v1::Toleration) -> Option<Toleration> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let effect = match text(&wire.effect) {
        None => None,
        Some(word) => Some(effect(&word)?),
    };
    let key = text(&wire.key);
    let value = match text(&wire.operator).as_deref() {
        Some("Exists") => None,
        None | Some("Equal") if key.is_some() => Some(wire.value.clone().unwrap_or_default()),
        _ => return None,
    };
    Some(Toleration { key, value, effect })
}

/// A taint; none if its effect is not known.
pub(super) fn taint(wire: &v1::Taint) -> Option<Taint> {
    let value = wire.value.as_deref().unwrap_or_default();
    Some(Taint::new(wire.key.as_str(), value, effect(&wire.effect)?))
}

/// By Kubernetes' word for it.
fn effect(word: &str) -> Option<Effect> {
    match word {
        "NoSchedule" => Some(Effect::NoSchedule),
        "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
        "NoExecute" => Some(Effect::NoExecute),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_toleration_covers_what_kubernetes_says_it_does() {
        let taint: v1::Taint =
            serde_json::from_value(json!({"key": "k", "value": "v", "effect": "NoExecute"})).unwrap();
        for (toleration, covers) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (
                json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}),
                true,
            ),
            (json!({"key": "k", "value": "v", "effect": ""}), true),
            (json!({"key": "k"}), false),
            (json!({"key": "k", "value": "w"}), false),
            (json!({"key": "j", "operator": "Exists"}), false),
            (
                json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}),
                false,
            ),
            (
                json!({"key": "k", "operator": "Exists", "effect": "Other"}),
                false,
            ),
            (json!({"key": "k", "operator": "Lt", "value": "v"}), false),
            (json!({"value": "v"}), false),
        ] {
            let toleration = serde_json::from_value(toleration).unwrap();
            assert_eq!(tolerates(&toleration, &taint), covers, "{toleration:?}");
        }
    }
}
