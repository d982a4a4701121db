//! How callers know the listener, and it them: a certificate that it signed itself, and a token.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tokens::Issuer;

/// The least that a token has, of letters that a header may hold: what can be guessed is none.
const TOKEN: usize = 32;

/// How callers know the listener, and it them: a certificate that it signed itself, and a token.
///
/// ```
/// use orch_api::listen::Access;
///
/// let access = Access::generate().unwrap();
/// assert!(access.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
/// assert!(!format!("{access:?}").contains(access.token()), "it is not shown by mistake");
/// ```
#[derive(Clone)]
pub struct Access {
    token: String,
    certificate: String,
    pub(super) tls: TlsAcceptor,
    /// Makes tokens of service accounts, which are good for as long as the key of the certificate is kept.
    pub(super) issuer: Issuer,
}

/// What is kept of it.
#[derive(Deserialize, Serialize)]
struct Kept {
    /// Both as PEM.
    certificate: String,
    key: String,
    token: String,
}

impl Access {
    /// Both made anew, for `localhost`, 127.0.0.1 and ::1.
    ///
    /// # Errors
    ///
    /// A machine that gives no random numbers.
    pub fn generate() -> io::Result<Self> {
        Self::of(&Kept::generate()?)
    }

    /// Both as they were the last time: read from `file`, or made anew and written there, so that a kubeconfig holds beyond a
    /// restart. The file is its owner's alone (mode 0600): whoever reads it may do everything.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or written, or that holds something else ([`ErrorKind::InvalidData`]).
    pub fn kept(file: &Path) -> io::Result<Self> {
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        match fs::read(file) {
            Ok(text) => {
                let kept = serde_json::from_slice(&text).map_err(io::Error::from);
                kept.and_then(|kept| Self::of(&kept)).map_err(|error| {
                    let file = file.display();
                    let reason = format!(
                        "{file}: holds no certificate, key and token ({error}); without the file, others are made"
                    );
                    io::Error::new(ErrorKind::InvalidData, reason)
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let kept = Kept::generate()?;
                kept.write(file).map_err(at)?;
                Self::of(&kept)
            }
            Err(error) => Err(at(error)),
        }
    }

    fn of(kept: &Kept) -> io::Result<Self> {
        let is_token = kept.token.len() >= TOKEN && kept.token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            let reason = format!("token: must be {TOKEN} letters or more, without spaces");
            return Err(io::Error::new(ErrorKind::InvalidData, reason));
        }
        let certificate =
            CertificateDer::from_pem_slice(kept.certificate.as_bytes()).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(kept.key.as_bytes()).map_err(io::Error::other)?;
        let issuer = Issuer::of(key.secret_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(io::Error::other)?;
        Ok(Self {
            token: kept.token.clone(),
            certificate: kept.certificate.clone(),
            tls: TlsAcceptor::from(Arc::new(config)),
            issuer,
        })
    }

    /// What callers must name: `Authorization: Bearer TOKEN`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What callers are to trust, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Takes as long for every token of this length, so that nothing can be learned from it.
    pub(super) fn is_token(&self, named: &[u8]) -> bool {
        let differ = |(one, other): (&u8, &u8)| one ^ other;
        let differences = named
            .iter()
            .zip(self.token.as_bytes())
            .map(differ)
            .fold(0, |all, one| all | one);
        named.len() == self.token.len() && differences == 0
    }
}

/// The token that a request names.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let named = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)?;
    let (scheme, named) = named.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(named)
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Kept {
    fn generate() -> io::Result<Self> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let mut random = [0; 32];
        let filled = ring::default_provider().secure_random.fill(&mut random);
        filled.map_err(|_| io::Error::other("the machine gives no random numbers"))?;
        Ok(Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            token: random.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Writes it whole or not at all: first beside the file.
    fn write(&self, file: &Path) -> io::Result<()> {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let mut written = private(Path::new(&beside))?;
        serde_json::to_writer(&mut written, self)?;
        written.flush()?;
        written.sync_all()?;
        fs::rename(&beside, file)
    }
}

/// A new file that only its owner reads.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // Somebody began, and was cut off.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_the_same_the_next_time_and_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("access.json");
        // What was cut off is begun anew.
        fs::write(dir.path().join("access.json.new"), "{").unwrap();
        let first = Access::kept(&file).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Access::kept(&file).unwrap();
        assert_eq!(
            (first.token(), first.certificate()),
            (second.token(), second.certificate())
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_ne!(Access::generate().unwrap().token(), first.token());
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("access.json");
        let short = Kept {
            token: "guess".into(),
            ..Kept::generate().unwrap()
        };
        let no_key = Kept {
            key: String::new(),
            ..Kept::generate().unwrap()
        };
        let text = |kept: &Kept| serde_json::to_string(kept).unwrap();
        for (text, wanted) in [
            (String::new(), "EOF"),
            ("{}".to_owned(), "missing field `certificate`"),
            (text(&short), "token: must be 32 letters or more"),
            (text(&no_key), "no items found"),
        ] {
            fs::write(&file, &text).unwrap();
            let refused = Access::kept(&file).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidData);
            let said = refused.to_string();
            assert!(said.contains("access.json: ") && said.contains(wanted), "{said}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text, "it is not written over");
        }
    }
}
