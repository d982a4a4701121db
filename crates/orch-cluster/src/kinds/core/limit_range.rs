//! LimitRanges: their defaults, and what Kubernetes refuses of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath, Quantity};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::pod::resource::{is_overcommit_allowed, validate_container_name, validate_name};
use crate::kinds::raw::{Raw, child, child_mut, child_or_new, items_mut, quantities_as_text, text};

/// What may be limited, unless somebody else's domain stands before it.
const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];

/// Fills a LimitRange: containers that say nothing get the most that they may, and request what they are limited to, or the least.
pub(super) fn default(range: &mut Raw) {
    let Some(spec) = child_mut(range, "spec") else {
        return;
    };
    for limit in items_mut(spec, "limits") {
        for list in ["default", "defaultRequest", "max", "maxLimitRequestRatio", "min"] {
            quantities_as_text(limit, list);
        }
        if text(limit, "type") == "Container" {
            for (list, from) in [
                ("default", "max"),
                ("defaultRequest", "default"),
                ("defaultRequest", "min"),
            ] {
                fill(limit, list, from);
            }
        }
    }
}

/// Adds what one list has and another has not.
fn fill(limit: &mut Raw, list: &str, from: &str) {
    let given = child(limit, from).cloned().unwrap_or_default();
    if given.is_empty() {
        return;
    }
    if let Some(list) = child_or_new(limit, list) {
        for (name, amount) in given {
            list.entry(name).or_insert(amount);
        }
    }
}

pub(super) fn validate(range: &LimitRange) -> FieldErrors {
    let mut errors = meta::validate(&range.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec").child("limits");
    let limits = range.spec.iter().flat_map(|spec| &spec.limits);
    let mut types = BTreeSet::new();
    for (index, limit) in limits.enumerate() {
        let at = at.index(index);
        let type_at = at.child("type");
        validate_type(&mut errors, &type_at, &limit.type_);
        if !types.insert(&limit.type_) {
            errors.push(FieldError::duplicate(&type_at, &limit.type_));
        }
        validate_limit(&mut errors, &at, limit);
    }
    errors
}

fn validate_type(errors: &mut FieldErrors, at: &FieldPath, type_: &str) {
    let wrong = names::qualified_name(type_);
    if wrong.is_empty() && !type_.contains('/') && !TYPES.contains(&type_) {
        let detail = "must be a standard limit type or fully qualified";
        errors.push(FieldError::invalid(at, type_, detail));
    }
    check::format(errors, at, type_, wrong);
}

fn validate_limit(errors: &mut FieldErrors, at: &FieldPath, limit: &LimitRangeItem) {
    let type_ = limit.type_.as_str();
    let max = read_list(errors, &at.child("max"), type_, limit.max.as_ref());
    let min = read_list(errors, &at.child("min"), type_, limit.min.as_ref());
    let (mut default, mut request) = (Amounts::new(), Amounts::new());
    for (field, list, amounts) in [
        ("default", &limit.default, &mut default),
        ("defaultRequest", &limit.default_request, &mut request),
    ] {
        let at = at.child(field);
        if type_ != "Pod" {
            *amounts = read_list(errors, &at, type_, list.as_ref());
        } else if list.as_ref().is_some_and(|list| !list.is_empty()) {
            let detail = "may not be specified when `type` is 'Pod'";
            errors.push(FieldError::forbidden(&at, detail));
        }
    }
    let has_storage = min.contains_key("storage") || max.contains_key("storage");
    if type_ == "PersistentVolumeClaim" && !has_storage {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(&at.child("limits"), detail));
    }
    let ratio_at = at.child("maxLimitRequestRatio");
    let ratio = read_list(errors, &ratio_at, type_, limit.max_limit_request_ratio.as_ref());
    let lists = [&max, &min, &default, &request, &ratio];
    let named: BTreeSet<&str> = lists.iter().flat_map(|list| list.keys().copied()).collect();
    for name in named {
        let of = |list: &Amounts<'_>| list.get(name).copied();
        validate_order(errors, at, name, lists.map(of));
        if let Some(ratio) = of(&ratio) {
            let at = ratio_at.key(name.to_owned());
            validate_ratio(errors, &at, ratio, of(&min), of(&max));
        }
    }
}

type Amounts<'a> = BTreeMap<&'a str, Quantity>;

/// The amounts of a list that can be read.
fn read_list<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    type_: &str,
    list: Option<&'a BTreeMap<String, WireQuantity>>,
) -> Amounts<'a> {
    let mut amounts = Amounts::new();
    for (name, amount) in list.into_iter().flatten() {
        let at = at.key(name.clone());
        if matches!(type_, "Container" | "Pod") {
            validate_container_name(errors, &at, name);
        } else {
            validate_name(errors, &at, name);
        }
        match amount.0.parse() {
            Ok(amount) => drop(amounts.insert(name.as_str(), amount)),
            Err(error) => errors.push(FieldError::invalid(&at, &amount.0, format!("{error}"))),
        }
    }
    amounts
}

/// The least is not above what is requested by default, nor that above the default limit, nor that above the most.
fn validate_order(
    errors: &mut FieldErrors,
    at: &FieldPath,
    name: &str,
    [max, min, default, request, _]: [Option<Quantity>; 5],
) {
    let mut refuse = |field: &'static str, value: Quantity, detail: String| {
        let at = at.child(field).key(name.to_owned());
        errors.push(FieldError::invalid(&at, value.to_string(), detail));
    };
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let detail = format!("min value {min} is greater than max value {max}");
        refuse("min", min, detail);
    }
    if let (Some(min), Some(request)) = (min, request)
        && min > request
    {
        let detail = format!("min value {min} is greater than default request value {request}");
        refuse("defaultRequest", request, detail);
    }
    if let (Some(request), Some(max)) = (request, max)
        && request > max
    {
        let detail = format!("default request value {request} is greater than max value {max}");
        refuse("defaultRequest", request, detail);
    }
    if let (Some(request), Some(default)) = (request, default) {
        if request > default {
            let detail =
                format!("default request value {request} is greater than default limit value {default}");
            refuse("defaultRequest", request, detail);
        }
        if request != default && !is_overcommit_allowed(name) {
            let detail =
                format!("default value {default} must equal to defaultRequest value {request} in {name}");
            refuse("defaultRequest", request, detail);
        }
    }
    if let (Some(min), Some(default)) = (min, default)
        && min > default
    {
        let detail = format!("min value {min} is greater than default value {default}");
        refuse("default", min, detail);
    }
    if let (Some(default), Some(max)) = (default, max)
        && default > max
    {
        let detail = format!("default value {default} is greater than max value {max}");
        refuse("default", max, detail);
    }
}

/// How much more than it requests a container may use: not less, and not more than the bounds leave room for.
fn validate_ratio(
    errors: &mut FieldErrors,
    at: &FieldPath,
    ratio: Quantity,
    min: Option<Quantity>,
    max: Option<Quantity>,
) {
    if ratio < Quantity::from_units(1) {
        let detail = format!("ratio {ratio} is less than 1");
        errors.push(FieldError::invalid(at, ratio.to_string(), detail));
    }
    if let (Some(min), Some(max)) = (min, max) {
        let most = max.as_f64() / min.as_f64();
        if ratio.as_f64() > most {
            let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
            errors.push(FieldError::invalid(at, ratio.to_string(), detail));
        }
    }
}
