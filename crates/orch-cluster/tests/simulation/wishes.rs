//! A Deployment that is asked for in ever other forms, each of which must be reached from every other.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use orch_cluster::testing::{add_cluster, apply, normal_of_states, simulation};
use orch_core::client::{ApiError, DeleteParams, Propagation};
use orch_core::testing::fake_runtime::{Behavior, ImageBehavior, On};
use orch_core::testing::runtime::Program;
use orch_core::testing::simulation::{Setup, Simulation, World};
use serde_json::{Value, json};

use super::without_images;

/// The Deployment `web` with these further fields in its spec, its pods' and its container's.
fn web(spec: Value, pod: Value, container: Value) -> String {
    let mut web = json!({
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{
            "name": "web", "image": "web:1",
            "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}},
            "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5},
        }]}},
    });
    let merge = |into: &mut Value, fields: Value| {
        if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) {
            into.extend(fields);
        }
    };
    merge(&mut web["template"]["spec"]["containers"][0], container);
    merge(&mut web["template"]["spec"], pod);
    merge(&mut web, spec);
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": web})
        .to_string()
}

/// States that can be reached: name, and further fields of the Deployment's spec, the pods' and the container's.
fn good() -> Vec<(&'static str, Value, Value, Value)> {
    let none = || json!({});
    let surge = json!({"replicas": 5, "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 0}}});
    let in_place = json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}}});
    let recreate = json!({"replicas": 2, "strategy": {"type": "Recreate"}});
    let steady = json!({"minReadySeconds": 10, "progressDeadlineSeconds": 20});
    let init = json!({"initContainers": [{"name": "first", "image": "init"}]});
    let stubborn = json!({"terminationGracePeriodSeconds": 60});
    let alive = json!({"livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 3}});
    let big = json!({"resources": {"requests": {"cpu": "4"}}});
    vec![
        ("first", none(), none(), none()),
        ("second", none(), none(), json!({"image": "web:2"})),
        ("scaled-down", json!({"replicas": 0}), none(), none()),
        ("surging", surge, none(), json!({"image": "web:2"})),
        (
            "in-place",
            in_place,
            none(),
            json!({"env": [{"name": "A", "value": "1"}]}),
        ),
        ("recreated", recreate, none(), json!({"image": "web:3"})),
        ("steady", steady, none(), alive),
        ("forgetful", json!({"revisionHistoryLimit": 0}), stubborn, none()),
        ("with-init", none(), init, none()),
        ("big", none(), none(), big),
    ]
}

/// States that go only halfway, or nowhere.
fn bad() -> Vec<(&'static str, Value, Value, Value)> {
    let none = || json!({});
    let sick = json!({"exec": {"command": ["false"]}});
    vec![
        (
            "paused",
            json!({"paused": true}),
            none(),
            json!({"image": "web:4"}),
        ),
        ("no-image", none(), none(), json!({"image": "missing"})),
        ("crashing", none(), none(), json!({"image": "crashing"})),
        (
            "never-ready",
            none(),
            none(),
            json!({"image": "sick", "readinessProbe": sick}),
        ),
        (
            "never-alive",
            none(),
            none(),
            json!({"image": "sick", "livenessProbe": sick}),
        ),
        (
            "too-big",
            none(),
            none(),
            json!({"resources": {"requests": {"cpu": "100"}}}),
        ),
        (
            "stuck-in-init",
            none(),
            json!({"initContainers": [{"name": "first", "image": "crashing"}]}),
            none(),
        ),
    ]
}

/// Deletes the Deployment, and waits until it is gone where it is to go after what it owns.
async fn delete(world: World, propagation: Propagation) -> Result<(), String> {
    let deployments = world.client().api::<Deployment>("default");
    let params = DeleteParams::default().propagation(propagation);
    match deployments.delete("web", &params).await {
        Ok(_) | Err(ApiError::NotFound(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    // What is applied before then goes as well.
    world.until(|state| state.all::<Deployment>().is_empty()).await;
    Ok(())
}

pub(crate) fn states() -> Simulation {
    simulation("states", |run: &mut Setup| {
        let machines = without_images(3);
        let missing = ImageBehavior::absent().pull_fails(u32::MAX, "no such image", false);
        let scripts = machines.scripts();
        scripts.on_image("missing", missing);
        let second = Duration::from_secs(1);
        scripts.on(On::image("crashing"), Behavior::new().run_for(second, 1));
        scripts.on(On::image("init"), Behavior::new().run_for(second, 0));
        let fails = Behavior::new().exec(|_| Program::new().exit(1));
        scripts.on(On::image("sick"), fails);
        add_cluster(run, &machines);
        for (name, spec, pod, container) in good() {
            let manifest = web(spec, pod, container);
            run.state(name, move |world| {
                let manifest = manifest.clone();
                async move { apply(&world, &manifest).await }
            });
        }
        run.state("deleted", |world| delete(world, Propagation::Background));
        run.state("deleted-in-the-foreground", |world| {
            delete(world, Propagation::Foreground)
        });
        for (name, spec, pod, container) in bad() {
            let manifest = web(spec, pod, container);
            run.passing_state(name, move |world| {
                let manifest = manifest.clone();
                async move { apply(&world, &manifest).await }
            });
        }
    })
    .normal(normal_of_states)
    .storm(Duration::from_secs(300))
}

#[test]
#[ignore = "takes minutes; scripts/simulate"]
fn each_is_reached_from_every_other() {
    states()
        .transitions()
        .unwrap_or_else(|failure| panic!("{failure}"));
}
