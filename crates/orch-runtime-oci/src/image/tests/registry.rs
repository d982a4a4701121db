//! A real registry on the loopback interface, and a way to it that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use parking_lot::Mutex;

use super::{Digest, Made};

const PATIENCE: Duration = Duration::from_secs(60);

/// Debian's `docker-registry`.
pub(crate) struct Registry {
    service: Child,
    pub(crate) host: String,
    auth: RegistryAuth,
    directory: tempfile::TempDir,
}

impl Registry {
    pub(crate) const USER: &str = "orch";
    pub(crate) const PASSWORD: &str = "secret??>>~~";

    /// None, with a word on why, where there is no `docker-registry`.
    pub(crate) fn start(with_password: bool) -> Option<Self> {
        let known = Command::new("docker-registry").arg("--version").output();
        if !known.is_ok_and(|output| output.status.success()) {
            let why = "there is no docker-registry on this machine (Debian's docker-registry)";
            assert!(
                std::env::var_os("ORCH_REQUIRE_ENGINE").is_none(),
                "ORCH_REQUIRE_ENGINE is set, and {why}"
            );
            // Not by a macro, whose output the test harness keeps to itself.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().display();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n"
        );
        let mut auth = RegistryAuth::Anonymous;
        if with_password {
            // bcrypt of the password above.
            let line = "orch:$2y$05$OUTr1vF7IlaPCkIFLfxBf.pxvQ1E8izG8I8X5Y2Iq.pbVQNiHuZ9a\n";
            std::fs::write(directory.path().join("users"), line).expect("writing");
            config += &format!("auth: {{htpasswd: {{realm: test, path: {root}/users}}}}\n");
            auth = RegistryAuth::Basic(Self::USER.into(), Self::PASSWORD.into());
        }
        let path = directory.path().join("config.yml");
        std::fs::write(&path, config).expect("writing");
        // The shell waits for the end of its input, which comes when nobody holds the other side any more: also of a
        // registry that a static holds, which nothing drops, and of a test that was killed.
        let script = "docker-registry serve \"$1/config.yml\" & child=$!; read -r _; kill -KILL $child; wait $child; \
                      rm -rf \"$1\"";
        let service = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting");
        let registry = Self {
            service,
            host: format!("127.0.0.1:{port}"),
            auth,
            directory,
        };
        let begun = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the registry did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// Changes a byte of a blob on its disk.
    pub(crate) fn damage(&self, digest: &Digest) {
        let hex = digest.hex();
        let blobs = "data/docker/registry/v2/blobs/sha256";
        let path = self
            .directory
            .path()
            .join(blobs)
            .join(&hex[..2])
            .join(&hex)
            .join("data");
        let mut bytes = std::fs::read(&path).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).expect("writing");
    }

    fn client(&self) -> Client {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(vec![self.host.clone()]),
            ..ClientConfig::default()
        };
        Client::try_from(config).expect("a client")
    }

    /// The image's name there; `path` has a tag.
    pub(crate) async fn push(&self, path: &str, image: &Made) -> String {
        let name = format!("{}/{path}", self.host);
        let reference: Reference = name.parse().expect("a name");
        let client = self.client();
        client.store_auth_if_needed(&self.host, &self.auth).await;
        for blob in image.layers.iter().chain([&image.config]) {
            let digest = Digest::of(blob).to_string();
            client
                .push_blob(&reference, blob.clone(), &digest)
                .await
                .expect("pushing a blob");
        }
        let kind = "application/vnd.oci.image.manifest.v1+json"
            .parse()
            .expect("a type");
        client
            .push_manifest_raw(&reference, image.manifest(), kind)
            .await
            .expect("pushing a manifest");
        name
    }

    pub(crate) async fn push_index(&self, path: &str, index: serde_json::Value) -> String {
        let name = format!("{}/{path}", self.host);
        let reference: Reference = name.parse().expect("a name");
        let client = self.client();
        client.store_auth_if_needed(&self.host, &self.auth).await;
        let kind = "application/vnd.oci.image.index.v1+json".parse().expect("a type");
        client
            .push_manifest_raw(&reference, index.to_string().into_bytes(), kind)
            .await
            .expect("pushing an index");
        name
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.service.stdin.take());
        let _ = self.service.wait();
    }
}

/// A way to a registry that knows what was asked, and breaks off.
pub(crate) struct Way {
    pub(crate) host: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// After so many bytes of an answer a connection ends; 0: never.
    cut_after: AtomicU64,
    /// How many are still to be cut.
    cuts: AtomicU64,
    asked: Mutex<Vec<String>>,
}

impl Way {
    pub(crate) fn to(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(State::default());
        let (shared, target) = (state.clone(), registry.host.clone());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let Ok(onward) = TcpStream::connect(&target) else {
                    return;
                };
                let state = shared.clone();
                let (mut from, mut to) = (
                    connection.try_clone().expect("a socket"),
                    onward.try_clone().expect("a socket"),
                );
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        // A request's head comes in one piece from this client.
                        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                        state.asked.lock().push(text);
                        if to.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Both);
                });
                let state = shared.clone();
                std::thread::spawn(move || answer(&state, onward, connection));
            }
        });
        Self { host, state }
    }

    /// The next `cuts` connections that would bring more than `after` bytes end there.
    pub(crate) fn cut(&self, cuts: u64, after: u64) {
        self.state.cut_after.store(after, Ordering::SeqCst);
        self.state.cuts.store(cuts, Ordering::SeqCst);
    }

    /// Requests for blobs of this digest, and from which byte each.
    pub(crate) fn asked(&self, digest: &str) -> Vec<u64> {
        let asked = self.state.asked.lock();
        let blobs = asked
            .iter()
            .filter(|text| text.starts_with("GET ") && text.contains(digest));
        blobs
            .map(|text| {
                let head = text.to_lowercase();
                let from = head.split("range: bytes=").nth(1);
                from.and_then(|from| from.split('-').next()?.parse().ok())
                    .unwrap_or(0)
            })
            .collect()
    }
}

fn answer(state: &State, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 16_384];
    let mut total = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        total += count as u64;
        let after = state.cut_after.load(Ordering::SeqCst);
        let left = |left: u64| left.checked_sub(1);
        if after > 0
            && total > after
            && state
                .cuts
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
                .is_ok()
        {
            break;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
