//! Makes the checks of probes and lifecycle hooks: a command, a page, a connection.

use std::net::IpAddr;
use std::time::Duration;

use orch_core::runtime::{ContainerId, ExecRequest, Runtime, RuntimeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::probe::{Check, Outcome};

/// How much of an answer is read, in bytes (the kubelet's bound).
const ANSWER_MAX: usize = 10 * 1024;

/// Makes one check, in no more than `timeout`. A failure carries what the kubelet would say.
pub(crate) async fn run(
    runtime: &dyn Runtime,
    container: &ContainerId,
    pod_ip: IpAddr,
    check: &Check,
    timeout: Duration,
) -> Outcome {
    match check {
        Check::Exec(command) => exec(runtime, container, command, timeout).await,
        Check::Http {
            host,
            port,
            path,
            headers,
        } => {
            let host = host.clone().unwrap_or_else(|| pod_ip.to_string());
            bounded(timeout, http(&host, *port, path, headers)).await
        }
        Check::Tcp { host, port } => {
            let host = host.clone().unwrap_or_else(|| pod_ip.to_string());
            let connect = async {
                let connected = TcpStream::connect((host.as_str(), *port)).await;
                connected
                    .map(drop)
                    .map_err(|error| format!("dial tcp {host}:{port}: {error}"))
            };
            bounded(timeout, connect).await
        }
        Check::Impossible(why) => Outcome::Unknown(why.clone()),
    }
}

async fn exec(
    runtime: &dyn Runtime,
    container: &ContainerId,
    command: &[String],
    timeout: Duration,
) -> Outcome {
    let request = ExecRequest {
        timeout: Some(timeout),
        ..ExecRequest::new(command)
    };
    match runtime.exec(container, &request).await {
        Ok(output) if output.exit_code == 0 => Outcome::Success,
        Ok(output) => {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            if said.len() > ANSWER_MAX {
                said = said.chars().take(ANSWER_MAX).collect();
            }
            Outcome::Failure(if said.is_empty() {
                format!("exit code {}", output.exit_code)
            } else {
                said
            })
        }
        Err(RuntimeError::Timeout { .. }) => {
            Outcome::Failure(format!("command {command:?} timed out after {timeout:?}"))
        }
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}

async fn bounded(timeout: Duration, check: impl Future<Output = Result<(), String>>) -> Outcome {
    match tokio::time::timeout(timeout, check).await {
        Ok(Ok(())) => Outcome::Success,
        Ok(Err(reason)) => Outcome::Failure(reason),
        Err(_) => Outcome::Failure(format!("no answer within {timeout:?}")),
    }
}

/// Asks for a page over HTTP/1.1 and looks at the status alone.
async fn http(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let url = || format!("http://{host}:{port}{path}");
    let failed = |error: std::io::Error| format!("Get {:?}: {error}", url());
    let mut stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    stream
        .write_all(request(host, port, path, headers).as_bytes())
        .await
        .map_err(failed)?;
    let mut answer = Vec::with_capacity(512);
    let mut chunk = [0; 512];
    loop {
        let read = stream.read(&mut chunk).await.map_err(failed)?;
        answer.extend_from_slice(&chunk[..read]);
        if let Some(status) = status_code(&answer) {
            return match status {
                200..=399 => Ok(()),
                _ => Err(format!("HTTP probe failed with statuscode: {status}")),
            };
        }
        if read == 0 || answer.len() > ANSWER_MAX {
            return Err(format!("Get {:?}: the answer is not HTTP/1", url()));
        }
    }
}

fn request(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> String {
    // A header that holds a line end would be another header; such a value cannot be sent.
    let clean = |text: &str| !text.contains(['\r', '\n']);
    let given = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    let target: String = path
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '+' })
        .collect();
    let bracketed = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut text = format!("GET {target} HTTP/1.1\r\n");
    let defaults = [
        ("Host", format!("{bracketed}:{port}")),
        (
            "User-Agent",
            concat!("kube-probe/orch-", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("Accept", "*/*".to_owned()),
    ];
    for (name, value) in &defaults {
        if given(name).is_none() {
            text.extend([name, ": ", value.as_str(), "\r\n"]);
        }
    }
    for (name, value) in headers.iter().filter(|(name, value)| clean(name) && clean(value)) {
        text.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

/// The status of an answer whose first line is there.
fn status_code(answer: &[u8]) -> Option<u16> {
    let line = &answer[..answer.iter().position(|byte| *byte == b'\n')?];
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?;
    (version.starts_with("HTTP/1.")).then(|| code.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn the_status_is_in_the_first_line() {
        let cases: [(&[u8], Option<u16>); 4] = [
            (b"HTTP/1.1 204 No Content\r\n", Some(204)),
            (b"HTTP/1.0 500 no\n", Some(500)),
            (b"HTTP/1.1 20", None),
            (b"SSH-2.0-x\r\n", None),
        ];
        for (answer, code) in cases {
            assert_eq!(status_code(answer), code);
        }
    }

    #[test]
    fn given_headers_replace_the_defaults_and_cannot_break_out() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = request(
            "::1",
            80,
            "/a b",
            &[header("host", "shop"), header("X", "a\r\nY: b")],
        );
        assert!(text.starts_with("GET /a+b HTTP/1.1\r\nUser-Agent"), "{text}");
        assert!(text.contains("host: shop\r\n") && !text.contains("Y: b"));
        assert!(request("::1", 80, "/", &[]).contains("Host: [::1]:80\r\n"));
    }

    async fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn pages_and_connections_are_told_apart() {
        let cases = [
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.1 302 Found\r\n\r\n", None),
            (
                "HTTP/1.1 503 no\r\n\r\n",
                Some("HTTP probe failed with statuscode: 503"),
            ),
            ("hello\r\n", Some("not HTTP/1")),
        ];
        for (answer, error) in cases {
            let port = answering(answer).await;
            match (http("127.0.0.1", port, "/", &[]).await, error) {
                (Ok(()), None) => {}
                (Err(said), Some(part)) => assert!(said.contains(part), "{said}"),
                other => panic!("{answer:?}: {other:?}"),
            }
        }
        let nobody = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert!(
            http("127.0.0.1", nobody, "/", &[])
                .await
                .unwrap_err()
                .contains("refused")
        );
    }
}
