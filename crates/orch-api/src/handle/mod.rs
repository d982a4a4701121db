//! Requests, answered.

mod apply;
mod delete;
mod evict;
mod log;
mod read;
mod scale;
mod shown;
mod watch;
mod write;

use std::time::Duration;

use http::header::USER_AGENT;
use http::{Method, Request, StatusCode};
use orch_cluster::agent::NodeAccess;
use orch_core::client::{Client, Collection, Target};
use orch_core::object::ObjectKey;

use crate::accept::Accept;
use crate::answer::{self, Answer};
use crate::discovery;
use crate::input::{self, Sent};
use crate::options::ApiOptions;
use crate::publish::{self, Published};
use crate::query::Query;
use crate::resources::{self, Served};
use crate::route::{Place, Route};
use crate::status::Refused;

/// How long a request's body may take to come: what holds a connection is to be at work.
const BODY: Duration = Duration::from_secs(60);

/// What all requests are answered with.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) options: ApiOptions,
    /// The nodes whose containers can be reached.
    pub(crate) nodes: Vec<NodeAccess>,
    pub(crate) published: Published,
}

/// A request for objects, with all that was sent.
pub(crate) struct Asked {
    served: Served,
    place: Place,
    query: Query,
    accept: Accept,
    media_type: String,
    /// The program that asks, as it calls itself.
    agent: String,
    body: Vec<u8>,
}

pub(crate) async fn answer<B: Sent>(server: &Server, request: Request<B>) -> Answer {
    match route(server, request).await {
        Ok(answer) => answer,
        Err(refused) => refused.answer(),
    }
}

async fn route<B: Sent>(server: &Server, request: Request<B>) -> Result<Answer, Refused> {
    let Some(route) = Route::of(request.uri().path()) else {
        return Err(Refused::no_such_path());
    };
    let place = match route {
        Route::Resource(place) => place,
        route if matches!(*request.method(), Method::GET | Method::HEAD) => {
            return about(server, &route, &request);
        }
        _ => return Err(Refused::method(request.method())),
    };
    let served = resources::find(&server.client, &place.of, &place.plural);
    let served = served.ok_or_else(Refused::no_such_path)?;
    // Of what lives in none, no namespace is named; of what does, one is where an object is.
    let is_in_one = place.namespace.is_some();
    let needs_one = served.resource.is_namespaced() && place.name.is_some();
    if (is_in_one && !served.resource.is_namespaced()) || (needs_one && !is_in_one) {
        return Err(Refused::no_such_path());
    }
    let method = request.method().clone();
    let query = Query::of(request.uri().query());
    let accept = Accept::of(request.headers());
    let media_type = input::media_type(request.headers());
    let agent = request.headers().get(USER_AGENT);
    let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let reading = input::read(request, server.options.body_bytes);
    let body = tokio::time::timeout(BODY, reading).await;
    let body = body.map_err(|_| Refused::too_slow(BODY))??;
    let asked = Asked {
        served,
        place,
        query,
        accept,
        media_type,
        agent: agent.unwrap_or_default(),
        body,
    };
    objects(server, &method, &asked).await
}

/// What is said of the API itself.
fn about<B>(server: &Server, route: &Route, request: &Request<B>) -> Result<Answer, Refused> {
    let headers = request.headers();
    match route {
        Route::OpenApi(path) => {
            let query = Query::of(request.uri().query());
            let asked = publish::Asked {
                path,
                query: &query,
                headers,
            };
            server.published.answer(&server.client, &asked)
        }
        Route::Version => Ok(answer::value(StatusCode::OK, &discovery::version())),
        Route::Health => Ok(answer::text(StatusCode::OK, "ok")),
        _ => discovery::answer(&server.client, route, headers),
    }
}

async fn objects(server: &Server, method: &Method, asked: &Asked) -> Result<Answer, Refused> {
    let place = &asked.place;
    let is_everywhere = asked.served.resource.is_namespaced() && place.namespace.is_none();
    if is_everywhere && place.name.is_none() && method != Method::GET {
        // Of all namespaces at once there is nothing but to look at.
        return Err(Refused::method(method));
    }
    match (method, &place.name, place.subresource.as_deref()) {
        (&Method::GET, None, _) if asked.query.is_set("watch") => watch::watch(server, asked).await,
        (&Method::GET, None, _) => read::list(server, asked).await,
        (&Method::POST, None, _) => write::create(server, asked).await,
        (&Method::DELETE, None, _) => delete::collection(server, asked).await,
        (&Method::GET, Some(name), None) => read::get(server, asked, name).await,
        (&Method::PUT, Some(name), None) => write::update(server, asked, name).await,
        (&Method::PATCH, Some(name), None) => write::patch(server, asked, name).await,
        (&Method::DELETE, Some(name), None) => delete::one(server, asked, name).await,
        (method, Some(name), Some("status")) if asked.served.has_status() => match *method {
            Method::GET => read::get(server, asked, name).await,
            Method::PUT => write::update(server, asked, name).await,
            Method::PATCH => write::patch(server, asked, name).await,
            _ => Err(Refused::method(method)),
        },
        (method, Some(name), Some(resources::SCALE)) if asked.served.has_scale() => match *method {
            Method::GET => scale::get(server, asked, name).await,
            Method::PUT => scale::update(server, asked, name).await,
            Method::PATCH => scale::patch(server, asked, name).await,
            _ => Err(Refused::method(method)),
        },
        (method, Some(name), Some(resources::LOG)) if asked.served.is_pod() => match *method {
            Method::GET => log::log(server, asked, name).await,
            _ => Err(Refused::method(method)),
        },
        (method, Some(name), Some(resources::EVICTION)) if asked.served.is_pod() => match *method {
            Method::POST => evict::evict(server, asked, name).await,
            _ => Err(Refused::method(method)),
        },
        (method, Some(name), Some(part)) => match (asked.served.part(part), method) {
            (None, _) => Err(Refused::no_such_path()),
            (Some("binding"), &Method::POST) => write::bind(server, asked, name).await,
            (Some(other), &Method::PUT) if other != "binding" => write::update(server, asked, name).await,
            (Some(_), method) => Err(Refused::method(method)),
        },
        (method, ..) => Err(Refused::method(method)),
    }
}

impl Asked {
    fn collection(&self) -> Collection {
        Collection {
            resource: self.served.resource.clone(),
            namespace: self.place.namespace.clone(),
        }
    }

    fn target(&self, name: &str) -> Target {
        Target {
            resource: self.served.resource.clone(),
            key: ObjectKey::new(self.place.namespace.as_deref(), name),
        }
    }
}
