//! How far a roll may go above and below the wanted size.

use k8s_openapi::api::apps::v1::{Deployment, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A Deployment's `spec.strategy`, with percentages made numbers for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// All old pods go before the first new one comes.
    Recreate,
    RollingUpdate {
        /// Pods allowed above `spec.replicas`.
        surge: i32,
        /// Pods of `spec.replicas` that may be unavailable.
        unavailable: i32,
    },
}

impl Strategy {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let strategy = deployment.spec.strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
            return Self::Recreate;
        }
        rolling(
            strategy.and_then(|strategy| strategy.rolling_update.as_ref()),
            replicas(deployment),
        )
    }

    /// The most pods a Deployment of `replicas` may have, not counting those on their way out.
    pub(super) fn most(self, replicas: i32) -> i32 {
        match self {
            Self::RollingUpdate { surge, .. } if replicas > 0 => replicas.saturating_add(surge),
            _ => replicas,
        }
    }

    /// The fewest available pods that a roll may leave of `replicas`.
    pub(super) fn least_available(self, replicas: i32) -> i32 {
        match self {
            Self::RollingUpdate { unavailable, .. } => replicas - unavailable.min(replicas),
            Self::Recreate => replicas,
        }
    }
}

/// How many of a Deployment's pods a roll may take away before new ones are available: all of them with `Recreate`, else
/// `spec.strategy.rollingUpdate.maxUnavailable`, of which a percentage is rounded down.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    match Strategy::of(deployment) {
        Strategy::Recreate => replicas(deployment),
        Strategy::RollingUpdate { unavailable, .. } => unavailable,
    }
}

/// Surge rounds up and unavailable down; where both come to nothing one pod may be unavailable, or the roll
/// could not move (Kubernetes' `ResolveFenceposts`). Both default to 25%.
fn rolling(rolling: Option<&RollingUpdateDeployment>, replicas: i32) -> Strategy {
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let surge = scaled(surge.unwrap_or(&quarter), replicas, Round::Up);
    let unavailable = scaled(unavailable.unwrap_or(&quarter), replicas, Round::Down);
    let unavailable = if surge == 0 && unavailable == 0 {
        1
    } else {
        unavailable
    };
    Strategy::RollingUpdate { surge, unavailable }
}

#[derive(Clone, Copy)]
pub(crate) enum Round {
    Up,
    Down,
}

/// A number, or a percentage of `total`. Validation keeps malformed ones out; they count as zero.
pub(crate) fn scaled(value: &IntOrString, total: i32, round: Round) -> i32 {
    let percent = match value {
        IntOrString::Int(number) => return (*number).max(0),
        IntOrString::String(text) => text
            .strip_suffix('%')
            .and_then(|number| number.parse::<u32>().ok()),
    };
    let share = i64::from(percent.unwrap_or(0)) * i64::from(total.max(0));
    let share = match round {
        Round::Up => (share + 99) / 100,
        Round::Down => share / 100,
    };
    i32::try_from(share).unwrap_or(i32::MAX)
}

/// `spec.replicas`, which defaults to 1.
pub(super) fn replicas(deployment: &Deployment) -> i32 {
    let replicas = deployment.spec.replicas;
    replicas.unwrap_or(1).max(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        let table = [
            (json!({}), 10, 3, 2),
            (json!({}), 1, 1, 0),
            (json!({"maxSurge": "10%", "maxUnavailable": "30%"}), 5, 1, 1),
            (json!({"maxSurge": 2, "maxUnavailable": 0}), 5, 2, 0),
            (json!({"maxSurge": 0, "maxUnavailable": "10%"}), 5, 0, 1),
            (json!({"maxSurge": 0, "maxUnavailable": 0}), 5, 0, 1),
            (json!({"maxSurge": "100%", "maxUnavailable": "100%"}), 4, 4, 4),
        ];
        for (fields, replicas, surge, unavailable) in table {
            let fields: RollingUpdateDeployment = serde_json::from_value(fields).unwrap();
            let got = rolling(Some(&fields), replicas);
            assert_eq!(
                got,
                Strategy::RollingUpdate { surge, unavailable },
                "{fields:?} of {replicas}"
            );
        }
    }

    #[test]
    fn a_deployment_of_none_has_no_surge() {
        let strategy = rolling(None, 0);
        assert_eq!((strategy.most(0), strategy.least_available(0)), (0, 0));
        let all = Strategy::RollingUpdate {
            surge: 1,
            unavailable: 9,
        };
        assert_eq!((all.most(4), all.least_available(4)), (5, 0));
    }

    #[test]
    fn what_a_roll_may_take_away_depends_on_the_strategy_and_the_size() {
        let rolling = |unavailable: serde_json::Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": unavailable}});
        for (strategy, replicas, most) in [
            (json!(null), 1, 0),
            (json!(null), 4, 1),
            (json!({"type": "Recreate"}), 3, 3),
            (rolling(json!(1)), 1, 1),
            (rolling(json!("50%")), 1, 0),
        ] {
            let spec = json!({"replicas": replicas, "strategy": strategy, "selector": {}, "template": {}});
            let deployment: Deployment =
                serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
            assert_eq!(max_unavailable(&deployment), most, "{strategy} of {replicas}");
        }
    }
}
