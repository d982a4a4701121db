//! What is served: groups, their versions, and the kinds in them.
//!
//! In one answer for all groups where the caller takes that (aggregated discovery, KEP-3352), else a document per version.

use http::{HeaderMap, HeaderValue, StatusCode};
use orch_core::object::Scope;
use serde_json::{Value, json};

use crate::accept::Accept;
use crate::answer::{self, Answer};
use crate::resources::{self, Served};
use crate::route::{GroupVersion, Route};
use crate::status::Refused;

/// The versions of aggregated discovery, the newest first.
const AGGREGATED: [&str; 2] = ["v2", "v2beta1"];

k8s_openapi::k8s_if_1_33! { const MINOR: &str = "33"; }
k8s_openapi::k8s_if_1_34! { const MINOR: &str = "34"; }
k8s_openapi::k8s_if_1_35! { const MINOR: &str = "35"; }
k8s_openapi::k8s_if_1_36! { const MINOR: &str = "36"; }
k8s_openapi::k8s_if_1_37! { const MINOR: &str = "37"; }

/// The version of Kubernetes whose API this is, and of this crate.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": format!("v1.{MINOR}.0+orch-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

pub(crate) fn answer(all: &[Served], route: &Route, headers: &HeaderMap) -> Result<Answer, Refused> {
    let whole = match route {
        Route::CoreVersions => aggregated(headers).map(|version| (version, true)),
        Route::Groups => aggregated(headers).map(|version| (version, false)),
        _ => None,
    };
    if let Some((version, is_core)) = whole {
        let mut answer = answer::value(StatusCode::OK, &together(all, version, is_core));
        let form = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        if let Ok(form) = HeaderValue::from_str(&form) {
            answer.headers_mut().insert(http::header::CONTENT_TYPE, form);
        }
        return Ok(answer);
    }
    let document = match route {
        Route::CoreVersions => {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        }
        Route::Groups => {
            let groups: Vec<_> = groups(all).iter().map(|group| described(group, all)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        Route::Group(name) => {
            let group = groups(all).into_iter().find(|group| group == name);
            let mut group = described(&group.ok_or_else(Refused::no_such_path)?, all);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        Route::Resources(of) => listed(of, all).ok_or_else(Refused::no_such_path)?,
        _ => return Err(Refused::no_such_path()),
    };
    Ok(answer::value(StatusCode::OK, &document))
}

/// The version of aggregated discovery that the caller takes, if it takes one.
fn aggregated(headers: &HeaderMap) -> Option<&'static str> {
    // In the order of preference.
    Accept::of(headers).iter().find_map(|taken| {
        let asks = taken.param("as") == Some("APIGroupDiscoveryList")
            && taken.param("g") == Some("apidiscovery.k8s.io");
        let version = taken.param("v").filter(|_| asks)?;
        AGGREGATED.iter().find(|known| **known == version).copied()
    })
}

/// The named groups, each once, in the order of their kinds.
fn groups(all: &[Served]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for served in all {
        let group = &*served.resource.group;
        if !group.is_empty() && !found.iter().any(|known| known == group) {
            found.push(group.to_owned());
        }
    }
    found
}

/// The versions of a group, each once.
fn versions(group: &str, all: &[Served]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for served in all.iter().filter(|served| served.resource.group == group) {
        if !found.iter().any(|known| *known == served.resource.version) {
            found.push(served.resource.version.clone().into_owned());
        }
    }
    found
}

fn described(group: &str, all: &[Served]) -> Value {
    let versions: Vec<_> = versions(group, all)
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// The kinds of a version; none if there is no such version.
fn listed(of: &GroupVersion, all: &[Served]) -> Option<Value> {
    let mut resources = Vec::new();
    for served in resources::within(of, all) {
        let resource = &served.resource;
        let mut one = json!({
            "name": resource.plural,
            "singularName": served.singular(),
            "namespaced": resource.is_namespaced(),
            "kind": resource.kind,
            "verbs": served.verbs(),
        });
        if !served.short_names().is_empty() {
            one["shortNames"] = json!(served.short_names());
        }
        if !served.categories().is_empty() {
            one["categories"] = json!(served.categories());
        }
        resources.push(one);
        resources.extend(served.all_parts().map(|(part, kind, verbs)| {
            let mut one = json!({
                "name": format!("{}/{part}", resource.plural),
                "singularName": "",
                "namespaced": resource.is_namespaced(),
                "kind": kind,
                "verbs": verbs,
            });
            if let Some(of) = resources::version_of_part(part) {
                one["group"] = json!(of.group);
                one["version"] = json!(of.version);
            }
            one
        }));
    }
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": of.api_version(),
            "resources": resources,
        })
    })
}

/// All groups, or the core group, in one document.
fn together(all: &[Served], version: &str, is_core: bool) -> Value {
    let names = if is_core { vec![String::new()] } else { groups(all) };
    let items: Vec<_> = names
        .iter()
        .map(|group| {
            let versions: Vec<_> = versions(group, all)
                .into_iter()
                .map(|version| {
                    let of = GroupVersion {
                        group: group.clone(),
                        version: version.clone(),
                    };
                    let resources: Vec<_> = resources::within(&of, all).into_iter().map(one_of_all).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let mut meta = json!({"creationTimestamp": null});
            if !group.is_empty() {
                meta["name"] = json!(group);
            }
            json!({"metadata": meta, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn one_of_all(served: &Served) -> Value {
    let resource = &served.resource;
    let own = GroupVersion::new(&resource.group, &resource.version);
    let of_kind =
        |of: &GroupVersion, kind: &str| json!({"group": of.group, "version": of.version, "kind": kind});
    let subresources: Vec<_> = served
        .all_parts()
        .map(|(part, kind, verbs)| {
            let of = resources::version_of_part(part);
            let kind = of_kind(of.as_ref().unwrap_or(&own), &kind);
            json!({"subresource": part, "responseKind": kind, "verbs": verbs})
        })
        .collect();
    let scope = match resource.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut one = json!({
        "resource": resource.plural,
        "responseKind": of_kind(&own, &resource.kind),
        "scope": scope,
        "singularResource": served.singular(),
        "verbs": served.verbs(),
    });
    for (field, words) in [
        ("shortNames", served.short_names()),
        ("categories", served.categories()),
    ] {
        if !words.is_empty() {
            one[field] = json!(words);
        }
    }
    if !subresources.is_empty() {
        one["subresources"] = json!(subresources);
    }
    one
}
