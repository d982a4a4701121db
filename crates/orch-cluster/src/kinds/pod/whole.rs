//! Defaults of what a pod asks for and may use as a whole (KEP-2837).

use std::collections::BTreeMap;

use orch_core::object::Quantity;
use serde_json::Value;

use super::resource::is_huge_pages;
use super::together::together;
use crate::kinds::raw::{Raw, child, child_mut, child_or_new, is_unset, items, text};

/// Fills `spec.resources` where it is given in part, once the containers' own defaults are there: with limits, the
/// requests it does not name are what its containers ask for together, or else its limit; the limit of huge pages is
/// what its containers may use together.
pub(super) fn default_whole(spec: &mut Raw) {
    let Some(whole) = child(spec, "resources") else {
        return;
    };
    let is_given = |list: &str| child(whole, list).is_some_and(|list| !list.is_empty());
    let names = |list: &str, name: &str| child(whole, list).is_some_and(|list| !is_unset(list, name));
    if !is_given("limits") && !is_given("requests") {
        return;
    }
    let pages: Vec<_> = all(spec, "limits")
        .into_iter()
        .filter(|(name, _)| is_huge_pages(name) && !names("requests", name) && !names("limits", name))
        .map(|(name, amount)| (name, Value::from(amount.to_string())))
        .collect();
    let asked: Vec<_> = all(spec, "requests")
        .into_iter()
        .filter(|(name, _)| is_shared(name) && !names("requests", name))
        .map(|(name, amount)| (name, Value::from(amount.to_string())))
        .collect();
    let Some(whole) = child_mut(spec, "resources") else {
        return;
    };
    if !pages.is_empty()
        && let Some(limits) = child_or_new(whole, "limits")
    {
        limits.extend(pages);
    }
    let Some(limits) = child(whole, "limits")
        .filter(|limits| !limits.is_empty())
        .cloned()
    else {
        return;
    };
    let Some(requests) = child_or_new(whole, "requests") else {
        return;
    };
    requests.extend(asked);
    for (name, limit) in limits {
        if (is_shared(&name) || is_huge_pages(&name)) && is_unset(requests, &name) {
            requests.insert(name, limit);
        }
    }
}

/// Besides huge pages, what a pod as a whole can ask for.
fn is_shared(name: &str) -> bool {
    matches!(name, "cpu" | "memory")
}

/// What the containers' lists of this name come to, taken together.
fn all(spec: &Raw, list: &str) -> BTreeMap<String, Quantity> {
    let amounts = |container| {
        let amounts = child(container, "resources").and_then(|resources| child(resources, list));
        let amounts = amounts.into_iter().flatten();
        amounts.filter_map(|(name, amount)| Some((name.as_str(), amount.as_str()?)))
    };
    let inits = items(spec, "initContainers");
    together(
        items(spec, "containers").map(amounts),
        inits.map(|container| (amounts(container), text(container, "restartPolicy") == "Always")),
    )
    .0
}
