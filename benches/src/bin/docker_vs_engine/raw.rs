//! The engine's own calls.

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, StartContainerOptions};
use futures::StreamExt;

use crate::{COMMAND, IMAGE, PARALLELISM, REPLICAS};

/// How long it takes to create and start as many pairs of containers as there are replicas.
pub(crate) async fn measure(docker: &Docker) -> Duration {
    let began = Instant::now();
    let pairs = futures::stream::iter(0..REPLICAS).map(|_| async move {
        let sandbox = start(docker, "orch/pause:1", None, "bridge").await;
        let network = format!("container:{sandbox}");
        let container = start(docker, IMAGE, Some(COMMAND), &network).await;
        [container, sandbox]
    });
    let made: Vec<_> = pairs.buffer_unordered(PARALLELISM).collect().await;
    let took = began.elapsed();
    remove(docker, made.into_iter().flatten()).await;
    took
}

/// How long it takes to create and start one container into a sandbox that is there.
pub(crate) async fn one_start(docker: &Docker) -> Duration {
    let sandbox = start(docker, "orch/pause:1", None, "bridge").await;
    let began = Instant::now();
    let container = start(docker, IMAGE, Some(COMMAND), &format!("container:{sandbox}")).await;
    let took = began.elapsed();
    remove(docker, [container, sandbox]).await;
    took
}

async fn start(docker: &Docker, image: &str, command: Option<[&str; 2]>, network: &str) -> String {
    let config = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: command.map(|command| command.map(str::to_owned).to_vec()),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = docker.create_container(None, config).await.expect("created");
    docker
        .start_container(&created.id, None::<StartContainerOptions>)
        .await
        .expect("started");
    created.id
}

async fn remove(docker: &Docker, containers: impl IntoIterator<Item = String>) {
    let removals = futures::stream::iter(containers).map(|id| async move {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        docker
            .remove_container(&id, Some(options))
            .await
            .expect("removed");
    });
    removals.buffer_unordered(PARALLELISM).collect::<Vec<_>>().await;
}
