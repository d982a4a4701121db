//! The OpenAPI documents of what is served, by which kubectl explains kinds and checks what it sends.
//!
//! One for each version of a group (`/openapi/v3`, KEP-2896), and one of all for older kubectls (`/openapi/v2`). They are
//! made when they are asked for and not kept: they are long, and who reads them keeps them, by a hash of their content.

mod gnostic;
mod operations;
mod v2;
mod v3;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::accept::{Accept, Answered, Form};
use crate::answer::{self, Answer};
use crate::query::Query;
use crate::resources::{self, Served};
use crate::route::GroupVersion;
use crate::status::Refused;

/// The document of all versions as protobuf: what it is, and of which version.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What it was called at first and kubectl asks for, though no media type may have that sign.
const PROTOBUF_ONCE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// What is known of documents that were made.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<HashMap<GroupVersion, Known>>);

/// One of them.
#[derive(Debug)]
struct Known {
    /// Which kinds it was made of, and of which generations of what defines them.
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
    pub(crate) fn answer(&self, all: &[Served], asked: &Asked<'_>) -> Result<Answer, Refused> {
        let words: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        let of = match words[..] {
            ["v2"] => return older(all, asked.headers),
            ["v3"] => return Ok(answer::value(StatusCode::OK, &self.index(all))),
            ["v3", "api", version] => GroupVersion::new("", version),
            ["v3", "apis", group, version] => GroupVersion::new(group, version),
            _ => return Err(Refused::no_such_path()),
        };
        let served = resources::within(&of, all);
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
            answer::value(StatusCode::OK, &v3::document(&of, &served))
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
        let kinds: Vec<String> = served.iter().map(|one| one.identity()).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(of).filter(|known| known.kinds == kinds) {
            return known.hash.clone();
        }
        let mut hasher = DefaultHasher::new();
        v3::document(of, served).to_string().hash(&mut hasher);
        let hash = format!("{:016X}", hasher.finish());
        let made = Known {
            kinds,
            hash: hash.clone(),
        };
        known.insert(of.clone(), made);
        hash
    }
}

/// The document of all versions, in the form that is liked best.
fn older(all: &[Served], headers: &HeaderMap) -> Result<Answer, Refused> {
    let accept = Accept::of(headers);
    let takes_json = accept.form(Answered::One).is_ok_and(|form| form == Form::Whole);
    let mut liked = accept.iter().map(|taken| taken.media_type.as_str());
    let is_protobuf = |form: &str| form == PROTOBUF || form == PROTOBUF_ONCE;
    match liked.find(|form| is_protobuf(form) || *form == "application/json") {
        Some(form) if is_protobuf(form) => {
            let mut answer = answer::json(StatusCode::OK, gnostic::encode(&v2::document(all)).into());
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
            Ok(answer)
        }
        _ if takes_json => Ok(answer::value(StatusCode::OK, &v2::document(all))),
        _ => Err(Refused::not_acceptable(&["application/json", PROTOBUF])),
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
