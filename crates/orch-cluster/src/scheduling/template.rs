//! Pods made from one template: what they ask of a node is read once, and shared.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use orch_core::object::{Document, DocumentError};
use orch_core::scheduler::{Group, Shape};
use parking_lot::Mutex;
use serde::Deserialize;

use super::pod::DEFAULT_SCHEDULER;
use super::requirements::Spec;

/// Templates that are remembered, one for each owner of pods, and the longest spec that is, which bounds them to 4 MiB.
const MOST: usize = 256;
const LONGEST: usize = 16 << 10;

/// What the scheduler reads in a pod's spec, its node apart.
#[derive(Debug)]
pub(super) struct Template {
    /// The spec of a pod without a node, as stored.
    spec: Box<str>,
    pub(super) scheduler: Arc<str>,
    pub(super) priority: i32,
    pub(super) is_gated: bool,
    pub(super) shape: Shape,
}

/// The templates seen last, by the uid of their pods' controller; pods without one share a place.
#[derive(Default)]
pub(super) struct Templates(Mutex<HashMap<Box<str>, Arc<Template>>>);

impl Templates {
    /// Reads a pod's spec: its template, and its node if it has one.
    pub(super) fn read(&self, pod: &Document) -> Result<(Arc<Template>, Option<Box<str>>), DocumentError> {
        let json = pod.field("spec").unwrap_or("{}");
        let owner = pod.meta().controller().map_or("", |owner| owner.uid.as_str());
        let known = self.0.lock().get(owner).cloned();
        if let Some(template) = known
            && let Some(node) = template.node_of(json)
        {
            return Ok((template, node));
        }
        let spec: Spec<'_> = serde_json::from_str(json)?;
        let group = Some(owner).filter(|owner| !owner.is_empty()).map(Group::new);
        let template = Arc::new(Template {
            spec: json.into(),
            scheduler: spec.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER).into(),
            priority: spec.priority.unwrap_or(0),
            is_gated: spec
                .scheduling_gates
                .as_ref()
                .is_some_and(|gates| !gates.is_empty()),
            shape: Shape::from(spec.requirements(group)),
        });
        if spec.node_name.is_none() && json.len() <= LONGEST {
            self.keep(owner, &template);
        }
        Ok((template, spec.node_name.and_then(named)))
    }

    fn keep(&self, owner: &str, template: &Arc<Template>) {
        let mut templates = self.0.lock();
        if templates.len() >= MOST && !templates.contains_key(owner) {
            templates.clear();
        }
        templates.insert(owner.into(), template.clone());
    }
}

impl Template {
    /// The node in `spec`, if that differs from this one's in nothing else: a binding adds it at the end.
    fn node_of(&self, spec: &str) -> Option<Option<Box<str>>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Added<'a> {
            #[serde(borrow)]
            node_name: Cow<'a, str>,
        }

        if *spec == *self.spec {
            return Some(None);
        }
        let rest = spec
            .strip_prefix(self.spec.strip_suffix('}')?)?
            .strip_prefix(',')?;
        let rest = ["{", rest].concat();
        let added: Added<'_> = serde_json::from_str(&rest).ok()?;
        Some(named(added.node_name))
    }
}

fn named(node: Cow<'_, str>) -> Option<Box<str>> {
    (!node.is_empty()).then(|| node.into())
}

#[cfg(test)]
mod tests {
    use orch_core::store::Revision;

    use super::*;

    fn pod(owner: &str, spec: &str) -> Document {
        let owners = match owner {
            "" => String::new(),
            uid => format!(
                r#","ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"{uid}","controller":true}}]"#
            ),
        };
        let json =
            format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p"{owners}}},"spec":{spec}}}"#);
        Document::from_stored(json.into(), Revision::new(1)).unwrap()
    }

    const SPEC: &str = r#"{"containers":[{"resources":{"requests":{"cpu":"1"}}}],"priority":3}"#;

    #[test]
    fn siblings_share_what_was_read_and_keep_their_own_node() {
        let templates = Templates::default();
        let (first, node) = templates.read(&pod("a", SPEC)).unwrap();
        assert_eq!(
            (first.shape.resources.cpu_millis, first.priority, node),
            (1_000, 3, None)
        );
        let bound = SPEC.replace(r#""priority":3"#, r#""priority":3,"nodeName":"n1""#);
        let (second, node) = templates.read(&pod("a", &bound)).unwrap();
        assert!(Arc::ptr_eq(&first, &second), "not read again");
        assert_eq!(node.as_deref(), Some("n1"));
        let (other, _) = templates.read(&pod("b", SPEC)).unwrap();
        assert_ne!(first.shape, other.shape, "a replica of another owner");
    }

    #[test]
    fn what_differs_in_anything_but_the_node_is_read() {
        for (spec, cpu, priority, node) in [
            (
                r#"{"containers":[{"resources":{"requests":{"cpu":"1"}}}],"priority":4}"#,
                1_000,
                4,
                None,
            ),
            (
                r#"{"containers":[{"resources":{"requests":{"cpu":"2"}}}],"priority":3}"#,
                2_000,
                3,
                None,
            ),
            (
                r#"{"containers":[{"resources":{"requests":{"cpu":"1"}}}],"priority":3,"nodeName":""}"#,
                1_000,
                3,
                None,
            ),
            (
                r#"{"containers":[{"resources":{"requests":{"cpu":"1"}}}],"priority":3,"nodeName":"n\u0031","overhead":{"cpu":"1"}}"#,
                2_000,
                3,
                Some("n1"),
            ),
            (
                r#"{"nodeName":"n2","containers":[{"resources":{"requests":{"cpu":"1"}}}],"priority":3}"#,
                1_000,
                3,
                Some("n2"),
            ),
            ("{}", 0, 0, None),
        ] {
            let templates = Templates::default();
            templates.read(&pod("", SPEC)).unwrap();
            let (template, found) = templates.read(&pod("", spec)).unwrap();
            let read = (
                template.shape.resources.cpu_millis,
                template.priority,
                found.as_deref(),
            );
            assert_eq!(read, (cpu, priority, node), "{spec}");
        }
    }

    #[test]
    fn templates_do_not_grow_without_bound() {
        let templates = Templates::default();
        for owner in 0..3 * MOST {
            templates.read(&pod(&owner.to_string(), SPEC)).unwrap();
        }
        assert!(templates.0.lock().len() <= MOST);
    }
}
