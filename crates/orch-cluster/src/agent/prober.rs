//! Makes the checks of probes and lifecycle hooks: a command, a page, a connection.

use std::net::IpAddr;
use std::time::Duration;

use orch_core::runtime::{ContainerId, ExecRequest, Runtime, RuntimeError};
use tokio::net::TcpStream;

use super::http::{self, ANSWER_MAX};
use super::probe::{Check, Outcome};

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
            bounded(timeout, http::get(&host, *port, path, headers)).await
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
