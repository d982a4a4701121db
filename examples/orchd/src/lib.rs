//! A whole cluster in one program, for kubectl: its state in a directory, its API on loopback.

mod home;
mod options;
mod runtime;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use orch_api::ServeApi;
use orch_api::listen::{Access, ApiListener};
use orch_api::webhooks::HttpsCaller;
use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_core::store::Store;
use orch_examples::{Error, data};
use orch_store::RedbStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use options::{Command, Options, USAGE};

/// What shells and most programs end with whose command line is wrong.
const MISUSED: u8 = 2;

/// The program.
pub fn main() -> ExitCode {
    let began = Instant::now();
    let options = match options::parse() {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => {
            let _ = writeln!(io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}\nsee --help");
            return ExitCode::from(MISUSED);
        }
    };
    let ended = tokio::runtime::Runtime::new()
        .map_err(Error::from)
        .and_then(|tokio| tokio.block_on(run(&options, began)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, began: Instant) -> Result<(), Error> {
    let mut ends = Ends::new()?;
    let home = data::open(&options.data)?;
    // Before all else, for it says which program has the directory already.
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.join("state.redb"))?);
    let _held = data::hold(&home).await?;
    let socket = listen(options.listen, &home).await?;
    let access = Access::kept(&home.join("access.json"))?;
    let node = home::node(&home)?;
    let chosen = tokio::select! {
        chosen = runtime::choose(options.runtime, &home) => chosen?,
        () = ends.asked() => return Ok(()),
    };
    tell(format_args!(
        "runtime: {} ({})",
        chosen.runtime.name(),
        chosen.why
    ));
    for line in chosen.told() {
        tell(line);
    }

    let config = AgentConfig::new(&node).volumes_dir(home.join("volumes"));
    let cluster = Cluster::builder(store)
        .node_with(config, chosen.runtime.clone())
        .webhooks(HttpsCaller)
        .start()
        .await?;
    let api = ApiListener::start(socket, cluster.api(), access)?;
    home::note_listen(&home, api.address())?;
    let kubeconfig = home.join("kubeconfig");
    data::write_private(&kubeconfig, &api.kubeconfig())?;
    tell(format_args!(
        "node {node}, API on https://{}, ready in {:.1} ms\n\nexport KUBECONFIG={}\n",
        api.address(),
        began.elapsed().as_secs_f64() * 1000.0,
        home::quoted(&kubeconfig)
    ));

    ends.asked().await;
    // What the node runs goes on, and is taken over by the next that starts here.
    let stopping = async {
        api.stop().await;
        cluster.stop().await;
        chosen.leave(&home).await
    };
    tokio::select! {
        left = stopping => left,
        // Asked twice, it waits for nothing.
        () = ends.asked() => Ok(()),
    }
}

/// The socket that was asked for; else the one of the last time, and if somebody has that, any that is free.
async fn listen(asked: Option<SocketAddr>, home: &Path) -> Result<TcpListener, Error> {
    if let Some(address) = asked {
        let at = |error: io::Error| match error.kind() {
            ErrorKind::AddrInUse => format!("--listen {address}: another program listens there"),
            _ => format!("--listen {address}: {error}"),
        };
        return Ok(TcpListener::bind(address).await.map_err(at)?);
    }
    if let Some(last) = home::last_listen(home)?
        && let Ok(socket) = TcpListener::bind(last).await
    {
        return Ok(socket);
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(TcpListener::bind(any).await?)
}

/// Says a line, if anybody reads it.
fn tell(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// What asks the program to end: Ctrl-C, or what a service manager says in its place.
struct Ends(Signal, Signal);

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
