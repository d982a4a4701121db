//! Tokens of service accounts: made when they are asked for (`TokenRequest`), and known again when they come.
//!
//! JSON Web Tokens (RFC 7519) with the claims of kube-apiserver (`pkg/serviceaccount/claims.go`), signed by HMAC (`HS256`) with a key that
//! only this listener has: nobody else need be able to read them.

mod claims;

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use orch_core::client::{ApiError, Client};
use ring::{hkdf, hmac};

pub(crate) use claims::{AUDIENCE, Bound, Claims};

use crate::user::User;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;
/// What says how it is signed: `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Makes tokens and knows them again; cheap to clone.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<hmac::Key>);

impl Issuer {
    /// By a key that is made of a secret, the same each time.
    pub(crate) fn of(secret: &[u8]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"orch service account tokens");
        let drawn = salt.extract(secret);
        let mut key = [0; 32];
        // The length is that of the hash, which is always allowed.
        let filled = drawn
            .expand(&[b"HS256"], hkdf::HKDF_SHA256)
            .and_then(|made| made.fill(&mut key));
        debug_assert!(filled.is_ok());
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// A token that says this.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, serde_json::Error> {
        let body = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let signed = format!("{HEADER}.{body}");
        let tag = hmac::sign(&self.0, signed.as_bytes());
        let tag = BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref());
        Ok(format!("{signed}.{tag}"))
    }

    /// What a token says, if it is one that was made here, for this API, and is not over.
    fn read(&self, token: &str, now: Timestamp) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, tag) = token.rsplit_once('.')?;
        let (header, body) = signed.split_once('.')?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, signed.as_bytes(), &tag).ok()?;
        if header != HEADER {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        claims.is_good(now).then_some(claims)
    }

    /// Whose token it is: an account that is there still, as is what the token is bound to.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn user_of(&self, token: &str, client: &Client) -> Result<Option<User>, ApiError> {
        let Some(claims) = self.read(token, orch_core::time::now()) else {
            return Ok(None);
        };
        for bound in claims.bound() {
            match bound.uid(client).await {
                Ok(uid) if uid == bound.uid => {}
                Ok(_) | Err(ApiError::NotFound(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(claims.user()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(now: Timestamp) -> Claims {
        let account = Bound::new("ServiceAccount", "default", "bot", "u1");
        Claims::new(
            account,
            None,
            vec![AUDIENCE.to_owned()],
            now,
            600,
            "j1".to_owned(),
        )
    }

    #[test]
    fn a_token_is_known_again_as_long_as_it_is_good() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let issuer = Issuer::of(b"secret");
        let token = issuer.sign(&claims(now)).unwrap();
        let later = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
        assert!(issuer.read(&token, now).is_some());
        assert!(Issuer::of(b"secret").read(&token, later(599)).is_some());
        assert!(issuer.read(&token, later(600)).is_none(), "it is over");
        assert!(issuer.read(&token, later(-60)).is_none(), "it has not begun");
        assert!(Issuer::of(b"other").read(&token, now).is_none());
    }

    #[test]
    fn what_was_changed_is_no_token() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let issuer = Issuer::of(b"secret");
        let token = issuer.sign(&claims(now)).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let other = issuer.sign(&Claims::new(
            Bound::new("ServiceAccount", "default", "other", "u2"),
            None,
            vec![AUDIENCE.to_owned()],
            now,
            600,
            "j2".to_owned(),
        ));
        let other = other.unwrap();
        let theirs: Vec<_> = other.split('.').collect();
        // {"alg":"none"}
        for wrong in [
            format!("{}.{}.{}", parts[0], theirs[1], parts[2]),
            format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
            format!("eyJhbGciOiJub25lIn0.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            token[..token.len() - 1].to_owned(),
            format!("{token}="),
            "..".to_owned(),
            String::new(),
        ] {
            assert!(issuer.read(&wrong, now).is_none(), "{wrong}");
        }
        let elsewhere = Claims::new(
            Bound::new("ServiceAccount", "default", "bot", "u1"),
            None,
            vec!["vault".to_owned()],
            now,
            600,
            "j3".to_owned(),
        );
        assert!(
            issuer.read(&issuer.sign(&elsewhere).unwrap(), now).is_none(),
            "it is for somebody else"
        );
    }
}
