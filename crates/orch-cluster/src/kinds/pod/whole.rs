//! Defaults of what a pod asks for and may use as a whole (KEP-2837).

use std::collections::BTreeMap;

use orch_core::object::Quantity;
use serde_json::Value;

use super::resource::is_huge_pages;
use crate::kinds::raw::{Raw, child, child_mut, child_or_new, is_unset, items, text};

type Amounts = BTreeMap<String, Quantity>;

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
    let pages: Vec<_> = together(spec, "limits")
        .into_iter()
        .filter(|(name, _)| is_huge_pages(name) && !names("requests", name) && !names("limits", name))
        .map(|(name, amount)| (name, Value::from(amount.to_string())))
        .collect();
    let asked: Vec<_> = together(spec, "requests")
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

/// What a pod's containers take together at most: the main ones and the sidecars at once, or an init container beside
/// the sidecars started before it. Amounts that cannot be read count as none: validation refuses them.
fn together(spec: &Raw, list: &str) -> Amounts {
    let mut sum = Amounts::new();
    for container in items(spec, "containers") {
        add(&mut sum, container, list);
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in items(spec, "initContainers") {
        let mut running = sidecars.clone();
        add(&mut running, container, list);
        if text(container, "restartPolicy") == "Always" {
            add(&mut sum, container, list);
            sidecars.clone_from(&running);
        }
        raise(&mut peak, running);
    }
    raise(&mut sum, peak);
    sum
}

fn add(sum: &mut Amounts, container: &Raw, list: &str) {
    let amounts = child(container, "resources").and_then(|resources| child(resources, list));
    for (name, amount) in amounts.into_iter().flatten() {
        let Some(amount) = amount.as_str().and_then(|amount| amount.parse::<Quantity>().ok()) else {
            continue;
        };
        let before = sum.get(name).copied().unwrap_or(Quantity::ZERO);
        if let Some(after) = before.checked_add(amount) {
            sum.insert(name.clone(), after);
        }
    }
}

fn raise(sum: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        let own = sum.entry(name).or_insert(amount);
        *own = (*own).max(amount);
    }
}
