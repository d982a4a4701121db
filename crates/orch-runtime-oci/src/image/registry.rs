//! A registry: how to reach it, as whom, and what its errors mean.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use orch_core::runtime::{Credentials, RuntimeError};
use serde::Deserialize;

use super::fault::Fault;
use super::reference::Name;

/// How long a registry may be silent.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECTING: Duration = Duration::from_secs(20);

/// Why a pull failed.
#[derive(Debug)]
pub(crate) struct PullFault {
    pub(crate) reason: String,
    /// Whether the same may succeed later.
    pub(crate) retryable: bool,
    /// What was got is not what was asked for.
    pub(crate) is_wrong: bool,
}

impl PullFault {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retryable: false,
            is_wrong: false,
        }
    }

    pub(crate) fn wrong(reason: impl Into<String>) -> Self {
        Self {
            is_wrong: true,
            ..Self::refused(reason)
        }
    }

    pub(crate) fn told(self, image: &str) -> RuntimeError {
        RuntimeError::PullFailed {
            image: image.to_owned(),
            reason: self.reason,
            retryable: self.retryable,
        }
    }
}

impl From<Fault> for PullFault {
    fn from(fault: Fault) -> Self {
        Self {
            reason: fault.to_string(),
            // A full disk may have room later.
            retryable: !matches!(fault, Fault::Refused(_)),
            is_wrong: false,
        }
    }
}

impl From<OciDistributionError> for PullFault {
    fn from(error: OciDistributionError) -> Self {
        let retryable = match &error {
            OciDistributionError::RequestError(error) => !error.is_builder(),
            OciDistributionError::IoError(_) => true,
            OciDistributionError::ServerError { code, .. } => *code >= 500 || matches!(code, 408 | 429),
            OciDistributionError::RegistryError { envelope, .. } => envelope
                .errors
                .iter()
                .any(|error| error.code == OciErrorCode::Toomanyrequests),
            // Its status is not told.
            OciDistributionError::AuthenticationFailure(answer) => answer.contains("TOOMANYREQUESTS"),
            _ => false,
        };
        Self {
            reason: whole(&error),
            retryable,
            is_wrong: false,
        }
    }
}

/// What ends a stream of a blob.
impl From<std::io::Error> for PullFault {
    fn from(error: std::io::Error) -> Self {
        let is_digest = error
            .get_ref()
            .is_some_and(|inner| inner.downcast_ref::<DigestError>().is_some());
        Self {
            reason: whole(&error),
            retryable: !is_digest,
            is_wrong: is_digest,
        }
    }
}

/// An error with all that lies below it, which often is what matters.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = inner.source();
    }
    text
}

/// One pull's way to a registry. Clients keep what they logged in with, so each pull has its own.
pub(crate) struct Registry {
    pub(crate) client: Client,
    pub(crate) reference: Reference,
    pub(crate) auth: RegistryAuth,
}

impl Registry {
    /// `host` is the registry's own or a mirror's.
    pub(crate) async fn connect(
        name: &Name,
        host: &str,
        auth: RegistryAuth,
        plain: &[String],
    ) -> Result<Self, PullFault> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // If another thread was faster, there is one all the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let (registry, path) = (name.registry.clone(), name.path.clone());
        let mut reference = match (&name.digest, &name.tag) {
            (Some(digest), _) => Reference::with_digest(registry, path, digest.to_string()),
            (None, tag) => Reference::with_tag(registry, path, tag.as_deref().unwrap_or("latest").into()),
        };
        if host != name.registry {
            reference.set_mirror_registry(host.to_owned());
        }
        let mut without_tls = plain.to_vec();
        if is_loopback(host) {
            without_tls.push(host.to_owned());
        }
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(without_tls),
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECTING),
            user_agent: concat!("orch/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config)?;
        let pull = oci_client::RegistryOperation::Pull;
        client.auth(&reference, &auth, pull).await?;
        Ok(Self {
            client,
            reference,
            auth,
        })
    }
}

/// Whether a registry is on this machine, where Docker too does without TLS.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || bare
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// In the client's words. An identity token is sent as it is.
pub(crate) fn auth(credentials: &Credentials) -> RegistryAuth {
    match credentials {
        Credentials::Basic { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
        Credentials::IdentityToken(token) => RegistryAuth::Bearer(token.clone()),
    }
}

/// What Docker's `config.json` has for a registry; anonymous if it has nothing, or keeps it in a helper program.
pub(crate) fn docker_auth(config: &Path, host: &str) -> Result<RegistryAuth, PullFault> {
    #[derive(Default, Deserialize)]
    struct File {
        #[serde(default)]
        auths: BTreeMap<String, Login>,
    }
    #[derive(Clone, Default, Deserialize)]
    #[serde(default)]
    struct Login {
        auth: String,
        username: String,
        password: String,
        registrytoken: String,
    }
    let refuse = |why: String| PullFault::refused(format!("{}: {why}", config.display()));
    let text = match std::fs::read(config) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let file: File = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    let found = file.auths.iter().find(|(key, _)| {
        let bare = key.trim_start_matches("https://").trim_start_matches("http://");
        let bare = bare.split('/').next().unwrap_or_default();
        bare == host || (host == "docker.io" && matches!(bare, "index.docker.io" | "registry-1.docker.io"))
    });
    let Some((_, login)) = found else {
        return Ok(RegistryAuth::Anonymous);
    };
    if !login.registrytoken.is_empty() {
        return Ok(RegistryAuth::Bearer(login.registrytoken.clone()));
    }
    if !login.auth.is_empty() {
        let plain = STANDARD.decode(&login.auth).ok();
        let plain = plain.and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = plain
            .as_deref()
            .and_then(|text| text.split_once(':'))
            // Never what it says: it is a secret.
            .ok_or_else(|| refuse(format!("what it has for {host} cannot be read")))?;
        return Ok(RegistryAuth::Basic(user.to_owned(), password.to_owned()));
    }
    if login.username.is_empty() {
        return Ok(RegistryAuth::Anonymous);
    }
    Ok(RegistryAuth::Basic(
        login.username.clone(),
        login.password.clone(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_this_machine_are_known() {
        for (host, local) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.9.1", true),
            ("[::1]:5000", true),
            ("docker.io", false),
            ("127.0.0.1.evil.com", false),
            ("localhost.evil.com:5000", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(host), local, "{host}");
        }
    }

    #[test]
    fn docker_logins_are_found() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.json");
        assert_eq!(docker_auth(&path, "a.b").unwrap(), RegistryAuth::Anonymous);
        let text = "{\"auths\":{\"a.b:5000\":{\"auth\":\"dTpwOnc=\"},\"https://index.docker.io/v1/\":{\"username\":\"n\",\
                    \"password\":\"s\"},\"t.b\":{\"registrytoken\":\"t\"},\"bad.b\":{\"auth\":\"secret!\"},\"helped.b\":{}}}";
        std::fs::write(&path, text).unwrap();
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.into(), password.into());
        for (host, expected) in [
            ("a.b:5000", basic("u", "p:w")),
            ("a.b", RegistryAuth::Anonymous),
            ("docker.io", basic("n", "s")),
            ("t.b", RegistryAuth::Bearer("t".into())),
            ("helped.b", RegistryAuth::Anonymous),
        ] {
            assert_eq!(docker_auth(&path, host).unwrap(), expected, "{host}");
        }
        let bad = docker_auth(&path, "bad.b").unwrap_err();
        assert!(!bad.reason.contains("secret") && !bad.retryable, "{bad:?}");
    }

    #[test]
    fn errors_say_whether_to_try_again() {
        let server = |code| OciDistributionError::ServerError {
            code,
            url: String::new(),
            message: String::new(),
        };
        let registry = |code: &str| OciDistributionError::RegistryError {
            envelope: serde_json::from_value(serde_json::json!({ "errors": [{ "code": code }] })).unwrap(),
            url: String::new(),
        };
        for (error, retryable) in [
            (server(500), true),
            (server(503), true),
            (server(429), true),
            (server(404), false),
            (registry("TOOMANYREQUESTS"), true),
            (registry("DENIED"), false),
            (registry("MANIFEST_UNKNOWN"), false),
            (
                OciDistributionError::UnauthorizedError { url: String::new() },
                false,
            ),
            (
                std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
                true,
            ),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(PullFault::from(error).retryable, retryable, "{shown}");
        }
        assert!(PullFault::from(Fault::GivenUp).retryable);
        assert!(!PullFault::from(Fault::refused("")).retryable);
    }
}
