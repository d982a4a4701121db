//! Containers of a Docker engine, asked without anything in between.

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures::StreamExt;

use crate::{Contender, Network};

/// What `scripts/engine` makes.
const IMAGE: &str = "orch-test/busybox:latest";

pub(crate) struct Engine {
    docker: Docker,
    network: Network,
}

impl Engine {
    /// None where there is none.
    pub(crate) async fn find(network: Network) -> Option<Self> {
        let docker = Docker::connect_with_defaults().expect("settings");
        let version = match docker.negotiate_version().await {
            Ok(docker) => docker.version().await.map(|version| (docker, version.version)),
            Err(error) => Err(error),
        };
        match version {
            Ok((docker, version)) => {
                println!("Docker {}", version.unwrap_or_default());
                Some(Self { docker, network })
            }
            Err(error) => {
                println!("no Docker engine: {error}");
                None
            }
        }
    }
}

#[async_trait]
impl Contender for Engine {
    fn name(&self) -> &'static str {
        "docker"
    }

    /// It is that much slower.
    fn counts(&self) -> (usize, usize) {
        (40, 80)
    }

    async fn run(&self, _: String) {
        let mode = match self.network {
            Network::Host => "host",
            Network::Own => "none",
        };
        let body = ContainerCreateBody {
            image: Some(IMAGE.into()),
            cmd: Some(vec!["/bin/true".into()]),
            host_config: Some(HostConfig {
                network_mode: Some(mode.into()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let made = self
            .docker
            .create_container(None::<CreateContainerOptions>, body)
            .await;
        let id = made.expect("a container").id;
        let started = self
            .docker
            .start_container(&id, None::<StartContainerOptions>)
            .await;
        started.expect("it starts");
        let mut waiting = self.docker.wait_container(&id, None::<WaitContainerOptions>);
        let ended = waiting.next().await.expect("an answer").expect("it ends well");
        assert_eq!(ended.status_code, 0);
        let removed = self
            .docker
            .remove_container(&id, None::<RemoveContainerOptions>)
            .await;
        removed.expect("it is removed");
    }
}
