//! Connecting to ports of pods.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::RuntimeError;

/// How long a port of one's own machine may take to answer. One that does not has too many who wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to a port of loopback in the network that the calling thread is in, and waits for that: for runtimes'
/// [`port_forward`](super::Runtime::port_forward). `sandbox` is who has the port, for errors: `pod default/web`.
///
/// The stream does not block.
///
/// # Errors
///
/// [`RuntimeError::InvalidConfig`] for port 0, [`RuntimeError::NotListening`] if nothing listens on 127.0.0.1 nor on ::1,
/// [`RuntimeError::Timeout`] if what listens does not take the connection in time.
pub fn connect_loopback(sandbox: &str, port: u16) -> Result<TcpStream, RuntimeError> {
    if port == 0 {
        return Err(RuntimeError::InvalidConfig {
            field: "port".into(),
            reason: "0: must be from 1 to 65535".into(),
        });
    }
    let connected = connect(Ipv4Addr::LOCALHOST.into(), port).or_else(|error| match error.kind() {
        // If there is no IPv6 the first answer stands.
        io::ErrorKind::ConnectionRefused => {
            connect(Ipv6Addr::LOCALHOST.into(), port).map_err(|second| match second.kind() {
                io::ErrorKind::TimedOut => second,
                _ => error,
            })
        }
        _ => Err(error),
    });
    let what = || format!("connecting to port {port} of {sandbox}");
    match connected {
        Ok(stream) => Ok(stream),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(RuntimeError::NotListening {
            sandbox: sandbox.to_owned(),
            port,
        }),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(RuntimeError::Timeout {
            what: what(),
            after: PATIENCE,
        }),
        Err(error) => Err(RuntimeError::failed(what(), error)),
    }
}

fn connect(address: IpAddr, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE)?;
    stream.set_nonblocking(true)?;
    // Small pieces of a conversation are not to wait for each other.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn either_loopback_is_found_and_where_nothing_listens_that_is_said() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            // Without IPv6 there is but one to find.
            let Ok(listener) = TcpListener::bind(host) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let stream = connect_loopback("pod default/web", port).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
            drop((stream, listener));
            match connect_loopback("pod default/web", port) {
                Err(error @ RuntimeError::NotListening { .. }) => {
                    let words = format!("nothing listens on port {port} of pod default/web");
                    assert_eq!(error.to_string(), words);
                }
                other => panic!("{other:?}"),
            }
        }
        let zero = connect_loopback("pod default/web", 0);
        assert!(
            matches!(zero, Err(RuntimeError::InvalidConfig { .. })),
            "{zero:?}"
        );
    }
}
