//! What a token of a service account says.

use std::sync::Arc;

use jiff::Timestamp;
use orch_core::client::{ApiError, Client, Target};
use orch_core::object::{ApiResource, ObjectKey, Scope};
use serde::{Deserialize, Serialize};

use crate::user::User;

/// Whom tokens are for that say nothing else, and who makes them: this API, as kube-apiserver is called where nobody calls it otherwise.
pub(crate) const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// The claims, in kube-apiserver's form.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Private,
    nbf: i64,
    sub: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Private {
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    serviceaccount: Reference,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Reference {
    name: String,
    uid: String,
}

/// An object that must be there for a token to be good: the account, and what else it is bound to.
#[derive(Debug)]
pub(crate) struct Bound {
    kind: &'static str,
    namespace: String,
    name: String,
    pub(crate) uid: String,
}

impl Bound {
    /// A `ServiceAccount`, `Pod` or `Secret`.
    pub(crate) fn new(kind: &'static str, namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        }
    }

    /// Where it is.
    pub(crate) fn target(&self) -> Target {
        let plural = format!("{}s", self.kind.to_lowercase());
        let resource = ApiResource {
            plural: plural.into(),
            ..ApiResource::new("", "v1", self.kind, "", Scope::Namespaced)
        };
        Target {
            resource: Arc::new(resource),
            key: ObjectKey::new(Some(&self.namespace), &self.name),
        }
    }

    /// The uid of the object that has its name now.
    pub(super) async fn uid(&self, client: &Client) -> Result<String, ApiError> {
        let found = client.backend().get(&self.target()).await?;
        Ok(found.meta().uid.clone())
    }
}

impl Claims {
    /// Those of a token for `audiences` of an account, which is good for some seconds.
    pub(crate) fn new(
        account: Bound,
        bound: Option<Bound>,
        audiences: Vec<String>,
        now: Timestamp,
        seconds: i64,
        id: String,
    ) -> Self {
        let reference = |bound: &Bound| Reference {
            name: bound.name.clone(),
            uid: bound.uid.clone(),
        };
        let of_kind = |kind: &str| bound.as_ref().filter(|bound| bound.kind == kind).map(reference);
        let now = now.as_second();
        Self {
            aud: audiences,
            exp: now.saturating_add(seconds),
            iat: now,
            iss: AUDIENCE.to_owned(),
            jti: id,
            kubernetes: Private {
                pod: of_kind("Pod"),
                secret: of_kind("Secret"),
                serviceaccount: reference(&account),
                namespace: account.namespace.clone(),
            },
            nbf: now,
            sub: format!("system:serviceaccount:{}:{}", account.namespace, account.name),
        }
    }

    /// When it is over.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.exp).ok()
    }

    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        self.iss == AUDIENCE
            && self.aud.iter().any(|whom| whom == AUDIENCE)
            && self.nbf <= now
            && now < self.exp
    }

    /// What must be there.
    pub(super) fn bound(&self) -> Vec<Bound> {
        let own = &self.kubernetes;
        let of =
            |kind, reference: &Reference| Bound::new(kind, &own.namespace, &reference.name, &reference.uid);
        let pod = own.pod.as_ref().map(|pod| of("Pod", pod));
        let secret = own.secret.as_ref().map(|secret| of("Secret", secret));
        let account = of("ServiceAccount", &own.serviceaccount);
        [Some(account), pod, secret].into_iter().flatten().collect()
    }

    pub(super) fn user(&self) -> User {
        let own = &self.kubernetes;
        User::service_account(&own.namespace, &own.serviceaccount.name, &own.serviceaccount.uid)
    }
}
