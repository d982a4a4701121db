//! As much of a Docker engine as it takes to be asked for images.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

/// How it behaves. It never pulls.
#[derive(Clone, Copy)]
pub(super) struct Answers {
    /// The status with which it answers for every image.
    pub(super) image: u16,
    /// Whether it goes away once it has said its version.
    pub(super) dies: bool,
}

/// It serves as long as the test's process lives.
pub(super) struct Engine {
    address: String,
    _dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    pub(super) fn start(answers: Answers) -> Self {
        // A file, which is the same in every network namespace.
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let address = format!("unix://{}", socket.display());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            if answers.dies {
                let (stream, _) = listener.accept().unwrap();
                // First, so that nobody gets through after the answer.
                drop(listener);
                return answer(stream, answers, &log);
            }
            for stream in listener.incoming() {
                answer(stream.unwrap(), answers, &log);
            }
        });
        Self {
            address,
            _dir: dir,
            asked,
        }
    }

    /// For `DOCKER_HOST`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The paths it was asked for, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers the one request of a connection. One that cannot be read or answered is the asker's loss.
fn answer(mut stream: UnixStream, answers: Answers, asked: &Mutex<Vec<String>>) {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else {
        return;
    };
    asked.lock().unwrap().push(path.to_owned());
    let (status, body) = if path.ends_with("/version") {
        (
            200,
            r#"{"Version": "29.0.0", "ApiVersion": "1.52", "MinAPIVersion": "1.44", "Os": "linux"}"#,
        )
    } else if path.contains("/images/create") {
        (500, r#"{"message": "there is no registry"}"#)
    } else if answers.image == 200 {
        (200, r#"{"Id": "sha256:1"}"#)
    } else {
        (answers.image, r#"{"message": "no such image"}"#)
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}
