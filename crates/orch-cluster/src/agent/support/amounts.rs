//! What a pod's containers may use, on a runtime that cannot keep them to it.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use orch_core::object::{FieldPath, Quantity, QuantityFormat};

use super::{Judge, of_spec};
use crate::agent::qos::value;
use crate::kinds::pod::resource::huge_page_size;

/// Of a resource that no runtime knows.
const ONLY_COUNTS: &str = "does not give it to the container; it counts in scheduling alone";

impl Judge<'_> {
    pub(super) fn limits(&mut self, field: &FieldPath, container: &Container) {
        let resources = container.resources.as_ref();
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        let field = field.child("resources").child("limits");
        for (name, amount) in limits.into_iter().flatten() {
            match name.as_str() {
                "memory" if self.is_too_little(amount) => {
                    self.refuse_memory(field.key(name.clone()), "a container", amount);
                }
                "cpu" | "memory" if !self.can.resource_limits => {
                    self.warn(field.key(name.clone()), "does not enforce limits");
                }
                // The last one is the manifest reader's to warn of.
                "cpu" | "memory" | "ephemeral-storage" => {}
                name if huge_page_size(name).is_some() && self.can.hugepages => {}
                name if huge_page_size(name).is_some() => self.warn(
                    field.key(name.to_owned()),
                    "does not limit the use of huge pages; they count in scheduling alone",
                ),
                _ => self.warn(field.key(name.clone()), ONLY_COUNTS),
            }
        }
    }

    /// Whether a runtime cannot keep to so little. None at all is no limit, as in Kubernetes.
    fn is_too_little(&self, amount: &Amount) -> bool {
        value(amount).is_some_and(|bytes| (1..self.can.memory_limit_min).contains(&bytes))
    }

    fn refuse_memory(&mut self, field: FieldPath, what: &str, amount: &Amount) {
        let least = i64::try_from(self.can.memory_limit_min).unwrap_or(i64::MAX);
        let least = Quantity::from_units(least).with_format(QuantityFormat::BinarySi);
        self.refuse(
            field,
            format_args!(
                "cannot limit {what} to less than {least} of memory, got {}; raise it to at least {least}",
                amount.0
            ),
        );
    }

    /// Limits of the pod as a whole.
    pub(super) fn whole(&mut self, spec: &PodSpec) {
        let limits = spec.resources.as_ref().and_then(|whole| whole.limits.as_ref());
        let field = of_spec("resources").child("limits");
        for (name, amount) in limits.into_iter().flatten() {
            match name.as_str() {
                "memory" if self.can.pod_groups && self.is_too_little(amount) => {
                    self.refuse_memory(field.key(name.clone()), "a pod", amount);
                }
                "cpu" | "memory" if self.can.pod_groups => {}
                "cpu" | "memory" => self.warn(
                    field.key(name.clone()),
                    "does not hold the containers of a pod to a limit together",
                ),
                _ => self.warn(field.key(name.clone()), ONLY_COUNTS),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::{Capabilities, Runtime};
    use orch_core::testing::FakeRuntime;

    use crate::agent::support::support;
    use crate::agent::support_tests::{HOST, pod};

    #[test]
    fn a_limit_of_memory_that_the_runtime_cannot_keep_is_refused_before_it_is_asked() {
        let mut can = FakeRuntime::new().capabilities();
        let said = |can: &Capabilities, limit: &str, list: &str| {
            let example = format!(r#""resources": {{"limits": {{"memory": {limit}}}}}"#);
            let found = support(&pod("…", &example, list), "able", can, &HOST);
            assert_eq!(found.warnings, [], "{limit}");
            found.refusal().map(|refusal| refusal.message)
        };
        assert_eq!(
            said(&can, r#""1Ki""#, "containers"),
            None,
            "it can limit it to anything"
        );
        can.memory_limit_min = 6 << 20;
        for (limit, told) in [
            (r#""5Mi""#, Some("5Mi")),
            (r#""6M""#, Some("6M")),
            (r#""6291455""#, Some("6291455")),
            (r#""6Mi""#, None),
            (r#""1Gi""#, None),
            // No limit.
            (r#""0""#, None),
        ] {
            for list in ["containers", "initContainers"] {
                let told = told.map(|got| {
                    format!(
                        "spec.{list}[0].resources.limits[memory]: the able runtime cannot limit a container to less than \
                         6Mi of memory, got {got}; raise it to at least 6Mi"
                    )
                });
                assert_eq!(said(&can, limit, list), told, "{limit}");
            }
        }
        can.pod_groups = true;
        let limit = r#""resources": {"limits": {"memory": "1Mi"}}"#;
        let spec = format!(r#""spec": {{{limit}, "containers": [{{"name": "c", "image": "i"}}]}}"#);
        let text = format!(r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "p"}}, {spec}}}"#);
        let found = support(&serde_json::from_str(&text).unwrap(), "able", &can, &HOST);
        let told = "spec.resources.limits[memory]: the able runtime cannot limit a pod to less than 6Mi of memory, got 1Mi; \
                    raise it to at least 6Mi";
        assert_eq!(
            found.refusal().map(|refusal| refusal.message).as_deref(),
            Some(told)
        );
    }
}
