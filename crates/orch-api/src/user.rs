//! Who asks: the one user who may do everything, or a service account of which it shows a token.

use orch_cluster::webhooks::{GROUPS, USER};
use serde_json::{Value, json};

/// Who asks, as `kubectl auth whoami` is told. What it may do does not depend on it.
#[derive(Clone, Debug)]
pub(crate) struct User {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
}

impl User {
    /// Whoever has the token of the kubeconfig, or is in this process.
    pub(crate) fn admin() -> Self {
        Self {
            name: USER.to_owned(),
            uid: None,
            groups: GROUPS.map(str::to_owned).to_vec(),
        }
    }

    /// A service account (apiserver's `serviceaccount.UserInfo`).
    #[cfg(feature = "listen")]
    pub(crate) fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: Some(uid.to_owned()),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    /// `authentication.k8s.io/v1 UserInfo`.
    pub(crate) fn info(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if let Some(uid) = &self.uid {
            info["uid"] = json!(uid);
        }
        info
    }
}
