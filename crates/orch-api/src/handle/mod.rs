//! Requests, answered.

mod apply;
mod delete;
mod evict;
mod log;
mod metrics;
mod read;
mod review;
mod scale;
mod shown;
#[cfg(feature = "listen")]
mod token;
mod watch;
mod write;

use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, Method, Request, StatusCode};
use orch_cluster::agent::NodeAccess;
use orch_core::client::{Client, Collection, Target};
use orch_core::object::ObjectKey;
use tokio::sync::Semaphore;

use crate::accept::Accept;
use crate::answer::{self, Answer};
use crate::custom::CustomKinds;
use crate::discovery;
use crate::input::{self, Sent};
use crate::options::ApiOptions;
use crate::publish::{self, Published};
use crate::query::Query;
use crate::resources::{self, Served};
use crate::route::{Place, Route};
use crate::status::Refused;
#[cfg(feature = "listen")]
use crate::tokens::Issuer;
use crate::unstored::Unstored;
use crate::user::User;

/// How long a request's body may take to come: what holds a connection is to be at work.
const BODY: Duration = Duration::from_secs(60);

/// What all requests are answered with.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) options: ApiOptions,
    /// The nodes whose containers can be reached.
    pub(crate) nodes: Vec<NodeAccess>,
    pub(crate) published: Published,
    pub(crate) custom: CustomKinds,
    /// Places for those that measure what containers use: each holds the pods of all nodes that it looks at.
    pub(crate) measuring: Semaphore,
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
    user: User,
    /// Makes tokens of service accounts, where somebody listens who takes them.
    #[cfg(feature = "listen")]
    issuer: Option<Issuer>,
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
            let (head, _) = request.into_parts();
            let query = Query::of(&head.method, head.uri.query());
            return about(server, &route, &query, &head.headers).await;
        }
        _ => return Err(Refused::method(request.method())),
    };
    let served = resources::find(&server.client, &server.custom, &place.of, &place.plural).await?;
    let served = served.ok_or_else(Refused::no_such_path)?;
    // Of what lives in none, no namespace is named; of what does, one is where an object is.
    let is_in_one = place.namespace.is_some();
    let needs_one = served.resource.is_namespaced() && place.name.is_some();
    if (is_in_one && !served.resource.is_namespaced()) || (needs_one && !is_in_one) {
        return Err(Refused::no_such_path());
    }
    if let Some(other) = request.headers().get("impersonate-user") {
        return Err(Refused::impersonation(&String::from_utf8_lossy(other.as_bytes())));
    }
    let method = request.method().clone();
    let query = Query::of(&method, request.uri().query());
    let accept = Accept::of(request.headers());
    let media_type = input::media_type(request.headers());
    let agent = request.headers().get(USER_AGENT);
    let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let user = request.extensions().get().cloned().unwrap_or_else(User::admin);
    #[cfg(feature = "listen")]
    let issuer = request.extensions().get().cloned();
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
        user,
        #[cfg(feature = "listen")]
        issuer,
        body,
    };
    let mut answer = objects(server, &method, &asked).await?;
    if let Some(warning) = asked.served.deprecation() {
        answer::warn(&mut answer, &[warning.to_owned()]);
    }
    Ok(answer)
}

/// What is said of the API itself.
async fn about(
    server: &Server,
    route: &Route,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Answer, Refused> {
    match route {
        Route::Version => return Ok(answer::value(StatusCode::OK, &discovery::version())),
        Route::Health => return Ok(answer::text(StatusCode::OK, "ok")),
        _ => {}
    }
    let all = resources::all(&server.client, &server.custom).await?;
    match route {
        Route::OpenApi(path) => {
            let asked = publish::Asked { path, query, headers };
            server.published.answer(&all, &asked)
        }
        _ => discovery::answer(&all, route, headers),
    }
}

async fn objects(server: &Server, method: &Method, asked: &Asked) -> Result<Answer, Refused> {
    let place = &asked.place;
    match (asked.served.why_unstored(), method, &place.name) {
        (None, ..) => {}
        (Some(Unstored::Review), &Method::POST, None) => return review::review(asked),
        (Some(Unstored::Metrics), &Method::GET, None) => return metrics::list(server, asked).await,
        (Some(Unstored::Metrics), &Method::GET, Some(name)) if place.subresource.is_none() => {
            return metrics::get(server, asked, name).await;
        }
        _ => return Err(Refused::method(method)),
    }
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
        (method, Some(name), Some(resources::SCALE)) if asked.served.scale().is_some() => match *method {
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
        #[cfg(feature = "listen")]
        (&Method::POST, Some(name), Some(resources::TOKEN)) if asked.served.is_service_account() => {
            token::issue(server, asked, name).await
        }
        #[cfg(not(feature = "listen"))]
        (&Method::POST, Some(_), Some(resources::TOKEN)) if asked.served.is_service_account() => {
            Err(Refused::no_tokens())
        }
        (method, Some(name), Some(part)) => match (asked.served.part(part), method) {
            (None, _) => Err(Refused::no_such_path()),
            (Some(resources::BINDING), &Method::POST) => write::bind(server, asked, name).await,
            (Some(resources::BINDING), method) => Err(Refused::method(method)),
            (Some(_), &Method::PUT) => write::update(server, asked, name).await,
            (Some(resources::APPROVAL | resources::RESIZE), &Method::GET) => {
                read::get(server, asked, name).await
            }
            (Some(resources::APPROVAL | resources::RESIZE), &Method::PATCH) => {
                write::patch(server, asked, name).await
            }
            (Some(_), method) => Err(Refused::method(method)),
        },
        (method, ..) => Err(Refused::method(method)),
    }
}

impl Asked {
    /// Refuses what makes an object of a kind that is about to go.
    fn takes_new(&self) -> Result<(), Refused> {
        let custom = self.served.as_custom();
        match custom.filter(|custom| custom.definition.is_terminating) {
            Some(_) => Err(Refused::terminating()),
            None => Ok(()),
        }
    }

    fn collection(&self) -> Collection {
        Collection {
            resource: self.served.stored.clone(),
            namespace: self.place.namespace.clone(),
        }
    }

    fn target(&self, name: &str) -> Target {
        Target {
            resource: self.served.stored.clone(),
            key: ObjectKey::new(self.place.namespace.as_deref(), name),
        }
    }
}
