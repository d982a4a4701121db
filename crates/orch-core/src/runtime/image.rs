//! Images.

use std::fmt;

/// An image on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id: the digest of its configuration (`sha256:…`), or the runtime's own word for what it runs.
    pub id: String,
    /// The references it is known under.
    pub tags: Vec<String>,
    /// The references by digest it is known under (`name@sha256:…`).
    pub digests: Vec<String>,
    /// How much disk it takes, in bytes; shared layers count in each.
    pub size_bytes: u64,
    /// The user it runs as unless told otherwise, as written in the image; empty: root.
    pub user: String,
}

/// Which image to fetch, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// The image reference, as a manifest writes it.
    pub image: String,
    /// Who asks; none: anonymously.
    pub credentials: Option<Credentials>,
}

/// How to log in to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By name and password.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// By an identity token.
    IdentityToken(String),
}

// Never the secret itself: what is printed ends in logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => f
                .debug_struct("Basic")
                .field("username", username)
                .finish_non_exhaustive(),
            Self::IdentityToken(_) => f.write_str("IdentityToken(..)"),
        }
    }
}
