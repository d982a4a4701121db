//! The web server of the default manifest where there are no images, and the probe of it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use orch_examples::data;

use super::Error;

/// How long a server may take to be there, less than a probe may; and how often it is looked for.
const SETTLING: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(5);

/// Where a pod's server tells its probe the port it has got.
fn port_file() -> Result<PathBuf, Error> {
    let pod = std::env::var("POD_NAME").map_err(|_| "POD_NAME: must be set, to the pod's name")?;
    let ports = std::env::var_os("PORTS_IN").ok_or("PORTS_IN: must be set, to a directory")?;
    Ok(PathBuf::from(ports).join(pod))
}

/// The pod's address: that of the machine's loopback, unless it has a network of its own.
fn address() -> IpAddr {
    let given = std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok());
    given.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

pub(crate) async fn serve() -> Result<(), Error> {
    let file = port_file()?;
    let listener = TcpListener::bind((address(), 0)).await?;
    let address = listener.local_addr()?;
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    data::write(&file, &address.port().to_string())?;
    let word = |name| std::env::var(name).unwrap_or_default();
    let page = format!(
        "{}, {}, {}\n",
        word("GREETING"),
        word("VERSION"),
        word("POD_NAME")
    );
    say!("serving {:?} on http://{address}", page.trim_end())?;
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = ended.recv() => {
                say!("told to end")?;
                tokio::fs::remove_file(&file).await?;
                return Ok(());
            }
        };
        tokio::spawn(answer(stream, page.clone()));
    }
}

async fn answer(mut stream: TcpStream, page: String) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

pub(crate) async fn check() -> Result<(), Error> {
    let file = port_file()?;
    // A server that was just started is not there yet, and the next probe would be a second later.
    let connected = tokio::time::timeout(SETTLING, async {
        loop {
            match connect(&file).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    });
    let mut stream = match connected.await {
        Ok(stream) => stream,
        Err(_) => connect(&file).await?,
    };
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    say!("{}", reply.lines().last().unwrap_or_default())?;
    if reply.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err("no page".into())
    }
}

async fn connect(file: &Path) -> Result<TcpStream, Error> {
    let port: u16 = tokio::fs::read_to_string(file).await?.trim().parse()?;
    Ok(TcpStream::connect((address(), port)).await?)
}
