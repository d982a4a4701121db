//! The engine's own calls, for containers with the same settings as those of the Deployment's pods.

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures::StreamExt;

use crate::{PARALLELISM, REPLICAS};

/// The settings of a pod's two containers, as the engine tells them.
pub(crate) struct Settings {
    sandbox: ContainerCreateBody,
    container: ContainerCreateBody,
}

impl Settings {
    /// Reads them from the two containers of one pod.
    pub(crate) async fn of_pod(docker: &Docker, uid: &str) -> Self {
        let filters = [("label".to_owned(), vec![format!("orch.pod.uid={uid}")])];
        let options = ListContainersOptionsBuilder::new()
            .filters(&filters.into())
            .build();
        let listed = docker.list_containers(Some(options)).await.expect("containers");
        let (mut sandbox, mut container) = (None, None);
        for id in listed.into_iter().filter_map(|listed| listed.id) {
            let inspected = docker.inspect_container(&id, None).await.expect("a container");
            let host = inspected.host_config.expect("settings");
            let is_sandbox = host.network_mode.as_deref() == Some("bridge");
            let mut body = serde_json::to_value(inspected.config.expect("settings")).expect("JSON");
            body["HostConfig"] = serde_json::to_value(host).expect("JSON");
            // The scope by which the cluster knows its own.
            body["Labels"] = serde_json::json!({});
            let body = serde_json::from_value(body).expect("the same settings");
            *if is_sandbox { &mut sandbox } else { &mut container } = Some(body);
        }
        Self {
            sandbox: sandbox.expect("a sandbox"),
            container: container.expect("a container"),
        }
    }
}

/// How long it takes to create and start as many pairs of containers as there are replicas.
pub(crate) async fn measure(docker: &Docker, settings: &Settings) -> Duration {
    let began = Instant::now();
    let pairs = futures::stream::iter(0..REPLICAS).map(|_| async move {
        let sandbox = start(docker, settings.sandbox.clone()).await;
        let container = start(docker, settings.container_in(&sandbox)).await;
        [container, sandbox]
    });
    let made: Vec<_> = pairs.buffer_unordered(PARALLELISM).collect().await;
    let took = began.elapsed();
    remove(docker, made.into_iter().flatten()).await;
    took
}

/// How long it takes to create and start one container into a sandbox that is there.
pub(crate) async fn one_start(docker: &Docker, settings: &Settings) -> Duration {
    let sandbox = start(docker, settings.sandbox.clone()).await;
    let began = Instant::now();
    let container = start(docker, settings.container_in(&sandbox)).await;
    let took = began.elapsed();
    remove(docker, [container, sandbox]).await;
    took
}

impl Settings {
    /// The container's settings, in another sandbox.
    fn container_in(&self, sandbox: &str) -> ContainerCreateBody {
        let mut body = self.container.clone();
        let inside = Some(format!("container:{sandbox}"));
        let host = body.host_config.get_or_insert_default();
        for mode in [&mut host.network_mode, &mut host.ipc_mode, &mut host.pid_mode] {
            if mode.as_deref().is_some_and(|mode| mode.starts_with("container:")) {
                mode.clone_from(&inside);
            }
        }
        // Those are the sandbox's, and the engine refuses to be told them again.
        (body.hostname, body.domainname, body.exposed_ports) = (None, None, None);
        body
    }
}

async fn start(docker: &Docker, config: ContainerCreateBody) -> String {
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
