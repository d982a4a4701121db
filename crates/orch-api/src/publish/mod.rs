//! The OpenAPI documents of what is served, by which kubectl explains kinds and checks what it sends.
//!
//! One for each version of a group (`/openapi/v3`, KEP-2896). They are made when they are asked for and not kept: they
//! are long, and who reads them keeps them, by a hash of their content.

mod operations;
mod v3;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, StatusCode};
use orch_core::client::Client;
use serde_json::{Map, Value, json};

use crate::accept::{Accept, Answered, Form};
use crate::answer::{self, Answer};
use crate::query::Query;
use crate::resources::{self, Served};
use crate::route::GroupVersion;
use crate::status::Refused;

/// What is known of documents that were made.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<HashMap<GroupVersion, Known>>);

/// One of them.
#[derive(Debug)]
struct Known {
    /// Which kinds it was made of.
    kinds: Vec<String>,
    hash: String,
}

/// What is asked of the documents.
pub(crate) struct Asked<'a> {
    /// What comes after `/openapi` in the path.
    pub(crate) path: &'a [String],
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
}

impl Published {
    pub(crate) fn answer(&self, client: &Client, asked: &Asked<'_>) -> Result<Answer, Refused> {
        let words: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        let all = resources::all(client);
        let of = match words[..] {
            ["v3"] => return Ok(answer::value(StatusCode::OK, &self.index(&all))),
            ["v3", "api", version] => GroupVersion::new("", version),
            ["v3", "apis", group, version] => GroupVersion::new(group, version),
            _ => return Err(Refused::no_such_path()),
        };
        let served = resources::within(&of, &all);
        if served.is_empty() {
            return Err(Refused::no_such_path());
        }
        if Accept::of(asked.headers).form(Answered::One)? != Form::Whole {
            return Err(Refused::no_such_path());
        }
        let hash = self.hash(&of, &served);
        if let Some(wanted) = asked.query.get("hash").filter(|wanted| *wanted != hash) {
            tracing::debug!(
                wanted,
                hash,
                "an OpenAPI document of an older index was asked for"
            );
            return Ok(moved(&url(&of, &hash)));
        }
        let tag = format!("\"{hash}\"");
        let has_it = asked.headers.get_all(IF_NONE_MATCH).iter();
        let mut answer = if has_it.into_iter().any(|known| known.as_bytes() == tag.as_bytes()) {
            answer::json(StatusCode::NOT_MODIFIED, Bytes::new())
        } else {
            answer::json(StatusCode::OK, v3::document(&of, &served).into())
        };
        let headers = answer.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        // By its hash it is for ever the same.
        let is_fixed = asked.query.get("hash").is_some();
        let caching = if is_fixed {
            "public, immutable"
        } else {
            "no-cache, private"
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        Ok(answer)
    }

    /// Where the document of each version is.
    fn index(&self, all: &[Served]) -> Value {
        let mut paths = Map::new();
        for one in all {
            let of = GroupVersion::new(&one.resource.group, &one.resource.version);
            let path = of.path();
            if !paths.contains_key(&path) {
                let hash = self.hash(&of, &resources::within(&of, all));
                paths.insert(path, json!({"serverRelativeURL": url(&of, &hash)}));
            }
        }
        json!({"paths": paths})
    }

    /// The hash of a document; it is made where that is not known.
    fn hash(&self, of: &GroupVersion, served: &[&Served]) -> String {
        let kinds: Vec<String> = served.iter().map(|one| one.resource.kind.to_string()).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(of).filter(|known| known.kinds == kinds) {
            return known.hash.clone();
        }
        let mut hasher = DefaultHasher::new();
        v3::document(of, served).hash(&mut hasher);
        let hash = format!("{:016X}", hasher.finish());
        let made = Known {
            kinds,
            hash: hash.clone(),
        };
        known.insert(of.clone(), made);
        hash
    }
}

fn url(of: &GroupVersion, hash: &str) -> String {
    format!("/openapi/v3/{}?hash={hash}", of.path())
}

/// As kube-apiserver answers who has an older index.
fn moved(to: &str) -> Answer {
    let mut answer = answer::json(StatusCode::MOVED_PERMANENTLY, Bytes::new());
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}
