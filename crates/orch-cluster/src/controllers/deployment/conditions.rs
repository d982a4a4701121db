//! A Deployment's conditions in the making.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Conditions in the making. Kubernetes' rule: the transition time moves when the status does, the update
/// time when status or reason do.
pub(super) struct Conditions {
    list: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    pub(super) fn of(deployment: &Deployment, now: Timestamp) -> Self {
        let list = deployment
            .status
            .as_ref()
            .and_then(|status| status.conditions.clone());
        Self {
            list: list.unwrap_or_default(),
            now,
        }
    }

    pub(super) fn get(&self, type_: &str) -> Option<&DeploymentCondition> {
        self.list.iter().find(|condition| is_type(condition, type_))
    }

    pub(super) fn reason(&self, type_: &str) -> Option<&str> {
        self.get(type_)?.reason.as_deref()
    }

    pub(super) fn set(&mut self, type_: &str, status: &str, reason: &str, message: String) {
        let same = |now: &DeploymentCondition| {
            now.status.as_deref() == Some(status) && now.reason.as_deref() == Some(reason)
        };
        if !self.get(type_).is_some_and(same) {
            self.touch(type_, status, reason, message);
        }
    }

    /// Sets it, and its update time even if nothing else changes.
    pub(super) fn touch(&mut self, type_: &str, status: &str, reason: &str, message: String) {
        let before = self.list.iter().position(|condition| is_type(condition, type_));
        let since = before.and_then(|at| {
            let before = &self.list[at];
            let same = before.status.as_deref() == Some(status);
            before.last_transition_time.clone().filter(|_| same)
        });
        let condition = DeploymentCondition {
            type_: type_.to_owned().into(),
            status: status.to_owned().into(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: Some(Time(self.now)),
            last_transition_time: Some(since.unwrap_or(Time(self.now))),
        };
        match before {
            Some(at) => self.list[at] = condition,
            None => self.list.push(condition),
        }
    }

    pub(super) fn remove(&mut self, type_: &str) {
        self.list.retain(|condition| !is_type(condition, type_));
    }

    pub(super) fn finish(self) -> Option<Vec<DeploymentCondition>> {
        (!self.list.is_empty()).then_some(self.list)
    }
}

pub(super) fn is_type(condition: &DeploymentCondition, type_: &str) -> bool {
    condition.type_.as_deref() == Some(type_)
}
