//! Where the engine is and how it is used.

use std::path::PathBuf;
use std::time::Duration;

use orch_core::runtime::RuntimeError;

/// Settings of a [`DockerRuntime`](crate::DockerRuntime). The defaults suit an engine on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    pub(crate) host: Option<String>,
    pub(crate) scope: String,
    pub(crate) network: String,
    pub(crate) sandbox_image: Option<String>,
    pub(crate) request_timeout: Duration,
    pub(crate) pull_idle_timeout: Duration,
    pub(crate) parallelism: usize,
    pub(crate) log_max_bytes: u64,
    pub(crate) log_files: u32,
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self {
            host: None,
            scope: "default".into(),
            network: "bridge".into(),
            sandbox_image: None,
            request_timeout: Duration::from_secs(120),
            pull_idle_timeout: Duration::from_secs(120),
            parallelism: 8,
            log_max_bytes: 10 << 20,
            log_files: 5,
        }
    }
}

impl DockerOptions {
    /// The engine's address: `unix:///var/run/docker.sock` or `tcp://127.0.0.1:2375` (without TLS). Unless
    /// given: `DOCKER_HOST`, else `unix:///var/run/docker.sock`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Whose containers these are (`default`). A runtime sees and touches only containers made under its own
    /// scope, so several orchestrators can share an engine. Small letters, digits and `-`, at most 63.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// The engine's network that sandboxes join (`bridge`).
    #[must_use]
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.network = network.into();
        self
    }

    /// The image of the container that holds a sandbox. It must be present and wait for ever. Unless given:
    /// a built-in one, for which no registry is needed.
    #[must_use]
    pub fn sandbox_image(mut self, image: impl Into<String>) -> Self {
        self.sandbox_image = Some(image.into());
        self
    }

    /// How long one call to the engine may take (120 s), beyond what the call itself waits for. It may wait
    /// as long again for its turn.
    #[must_use]
    pub fn request_timeout(mut self, bound: Duration) -> Self {
        self.request_timeout = bound;
        self
    }

    /// How long a pull may go without any progress (120 s).
    #[must_use]
    pub fn pull_idle_timeout(mut self, bound: Duration) -> Self {
        self.pull_idle_timeout = bound;
        self
    }

    /// How many containers are created, started or removed at once (8; at least 1). Reading has a bound of
    /// its own, four times that, and so has stopping, 32 times that.
    #[must_use]
    pub fn parallelism(mut self, calls: usize) -> Self {
        self.parallelism = calls.max(1);
        self
    }

    /// How much log the engine keeps of one container: `files` files of `bytes` each (5 of 10 MiB, the
    /// kubelet's `containerLogMaxSize` and `containerLogMaxFiles`).
    #[must_use]
    pub fn log_limit(mut self, bytes: u64, files: u32) -> Self {
        self.log_max_bytes = bytes.max(4096);
        self.log_files = files.max(1);
        self
    }

    pub(crate) fn validate(&self) -> Result<(), RuntimeError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.scope.is_empty() || self.scope.len() > 63 || !self.scope.chars().all(fits) {
            return Err(RuntimeError::InvalidConfig {
                field: "scope".into(),
                reason: format!(
                    "must be 1 to 63 small letters, digits and '-', got {:?}",
                    self.scope
                ),
            });
        }
        Ok(())
    }
}

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Address {
    pub(crate) fn parse(host: &str) -> Result<Self, RuntimeError> {
        let refuse = |reason: String| RuntimeError::InvalidConfig {
            field: "host".into(),
            reason,
        };
        if let Some(path) = host.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(refuse(format!(
                    "{host:?} must hold an absolute path: unix:///path"
                )));
            }
            return Ok(Self::Unix(path.into()));
        }
        if let Some(rest) = host
            .strip_prefix("tcp://")
            .or_else(|| host.strip_prefix("http://"))
        {
            let authority = rest.trim_end_matches('/');
            if authority.is_empty() || authority.contains('/') {
                return Err(refuse(format!("{host:?} must be tcp://HOST:PORT")));
            }
            let with_port = if authority
                .rsplit_once(':')
                .is_some_and(|(_, p)| p.parse::<u16>().is_ok())
            {
                authority.to_owned()
            } else {
                format!("{authority}:2375")
            };
            return Ok(Self::Tcp(with_port));
        }
        Err(refuse(format!(
            "{host:?} is not understood; use unix:///path or tcp://host:port (without TLS: reach an engine \
             elsewhere through an ssh tunnel)"
        )))
    }

    /// From the options, else the environment, else the engine's default.
    pub(crate) fn find(options: &DockerOptions) -> Result<Self, RuntimeError> {
        let host = options
            .host
            .clone()
            .or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()))
            .unwrap_or_else(|| "unix:///var/run/docker.sock".into());
        Self::parse(&host)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_host_is() {
        for (host, address) in [
            ("unix:///run/x.sock", Some("unix:///run/x.sock")),
            ("tcp://127.0.0.1:2375", Some("tcp://127.0.0.1:2375")),
            ("tcp://engine", Some("tcp://engine:2375")),
            ("http://engine:1234/", Some("tcp://engine:1234")),
            ("unix://run/x.sock", None),
            ("ssh://root@engine", None),
            ("", None),
        ] {
            assert_eq!(
                Address::parse(host).ok().map(|a| a.to_string()).as_deref(),
                address,
                "{host}"
            );
        }
    }

    #[test]
    fn a_scope_is_a_plain_word() {
        assert!(DockerOptions::default().validate().is_ok());
        for scope in ["", "Upper", "a b", &"x".repeat(64)] {
            assert!(
                DockerOptions::default().scope(scope).validate().is_err(),
                "{scope:?}"
            );
        }
    }
}
