//! Draws requests.

use std::fmt;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use orch_core::random::Random;
use serde_json::{Value, json};

use crate::mutate::{self, at, one_of};
use crate::objects;

/// A request on its way.
pub(crate) struct Sent {
    method: &'static str,
    path: String,
    form: String,
    accept: String,
    body: Vec<u8>,
}

const METHODS: [&str; 8] = ["GET", "GET", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE"];
const PARTS: [&str; 10] = [
    "status", "scale", "log", "eviction", "binding", "approval", "token", "finalize", "exec", "resize",
];
const PARAMETERS: [&str; 22] = [
    "watch",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "labelSelector",
    "fieldSelector",
    "timeoutSeconds",
    "allowWatchBookmarks",
    "sendInitialEvents",
    "dryRun",
    "fieldManager",
    "fieldValidation",
    "force",
    "gracePeriodSeconds",
    "propagationPolicy",
    "pretty",
    "includeObject",
    "container",
    "tailLines",
    "sinceSeconds",
    "limitBytes",
];
const VALUES: [&str; 22] = [
    "true",
    "false",
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "All",
    "me",
    "Strict",
    "Warn",
    "Ignore",
    "Foreground",
    "NotOlderThan",
    "Exact",
    "app=web",
    "app in (a,b)",
    "!app,",
    "metadata.name=one",
    "spec.nodeName!=a",
    "eyJ2IjoxfQ",
    "Object",
    "None",
];
const FORMS: [&str; 8] = [
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
];
const ACCEPTS: [&str; 6] = [
    "*/*",
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf,application/json",
    "text/html;q=x",
];
const OTHER_PATHS: [&str; 10] = [
    "/",
    "/api",
    "/apis",
    "/apis/apps/v1",
    "/api/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/apps/v1",
    "/version",
    "/readyz",
];

impl Sent {
    pub(crate) fn draw(random: &Random) -> Self {
        let all = objects::all();
        let object = one_of(random, &all);
        let method = *one_of(random, &METHODS);
        let form = match (method, random.below(10)) {
            (_, 0) => mutate::text(random).replace(|letter: char| !letter.is_ascii_graphic(), ""),
            ("PATCH", _) => (*one_of(random, &FORMS[2..6])).to_owned(),
            _ => (*one_of(random, &FORMS[..2])).to_owned(),
        };
        Self {
            path: path(random, object, method),
            body: body(random, object, method, &form),
            accept: (*one_of(random, &ACCEPTS)).to_owned(),
            method,
            form,
        }
    }

    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("Content-Type", &self.form)
            .header("Accept", &self.accept);
        request
            .body(Full::new(Bytes::from(self.body.clone())))
            .unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            path,
            form,
            accept,
            body,
        } = self;
        write!(
            f,
            "{method} {path} ({form}; accept {accept})\n{}",
            String::from_utf8_lossy(body)
        )
    }
}

fn path(random: &Random, object: &Value, method: &str) -> String {
    let mut path = match random.below(20) {
        0 => (*one_of(random, &OTHER_PATHS)).to_owned(),
        _ => objects::collection(object),
    };
    if method != "POST" || random.below(4) == 0 {
        path += "/one";
    }
    if random.below(4) == 0 {
        path = format!("{path}/{}", one_of(random, &PARTS));
    }
    if random.below(8) == 0 {
        let mut segments: Vec<_> = path.split('/').map(str::to_owned).collect();
        let place = at(random, segments.len());
        segments[place] = escaped(&mutate::text(random));
        path = format!("/{}", segments.join("/").trim_start_matches('/'));
    }
    let parameters = random.below(6).saturating_sub(3);
    let parameters = (0..parameters).map(|_| {
        let value = match random.below(4) {
            0 => mutate::text(random),
            _ => (*one_of(random, &VALUES)).to_owned(),
        };
        format!("{}={}", one_of(random, &PARAMETERS), escaped(&value))
    });
    let query: Vec<_> = parameters.collect();
    match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    }
}

/// A text as a segment of a path.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn body(random: &Random, object: &Value, method: &str, form: &str) -> Vec<u8> {
    let mut value = object.clone();
    match (method, form) {
        ("POST", _) => value["metadata"]["name"] = json!(format!("n{}", random.below(1000))),
        ("PATCH", "application/json-patch+json") => value = operations(random, object),
        ("DELETE", _) => {
            value = json!({"gracePeriodSeconds": 1, "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan"});
        }
        _ => {}
    }
    if random.below(8) > 0 {
        mutate::value(random, &mut value);
    }
    let mut bytes = value.to_string().into_bytes();
    if form.ends_with("yaml") && random.below(2) == 0 {
        bytes = b"a: &a [x]\nb: *a\nmetadata: {name: one}\n? [k]\n: v\n".to_vec();
    }
    if random.below(6) == 0 {
        mutate::bytes(random, &mut bytes);
    }
    bytes
}

/// Operations of a JSON patch, at places that objects have.
fn operations(random: &Random, object: &Value) -> Value {
    let mut paths = Vec::new();
    walk(object, String::new(), &mut paths);
    let draw = || one_of(random, &paths).clone();
    let operations = (0..random.below(5)).map(|_| {
        let op = one_of(
            random,
            &["add", "remove", "replace", "move", "copy", "test", "jump"],
        );
        json!({"op": op, "path": draw(), "from": draw(), "value": mutate::odd(random)})
    });
    operations.collect()
}

fn walk(value: &Value, at: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                walk(
                    inner,
                    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    paths,
                );
            }
        }
        Value::Array(list) => {
            paths.push(format!("{at}/-"));
            for (index, inner) in list.iter().enumerate() {
                walk(inner, format!("{at}/{index}"), paths);
            }
        }
        _ => {}
    }
    paths.push(at);
}
