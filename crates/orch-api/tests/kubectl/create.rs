//! Every `kubectl create` there is, and what of it is stored.

use serde_json::{Value, json};

use super::common::MAPS;
use super::{Served, programs};

/// What `kubectl create` is told, where that is stored, and a few of its fields.
fn made() -> [(&'static str, &'static str, Value); 24] {
    [
        (
            "namespace team",
            "/api/v1/namespaces/team",
            json!({"status": {"phase": "Active"}}),
        ),
        (
            "configmap web --from-literal=key=value",
            "/api/v1/namespaces/default/configmaps/web",
            json!({"data": {"key": "value"}}),
        ),
        (
            "secret generic s --from-literal=password=hunter2",
            "/api/v1/namespaces/default/secrets/s",
            json!({"type": "Opaque", "data": {"password": "aHVudGVyMg=="}}),
        ),
        (
            "secret docker-registry r --docker-server=a.example --docker-username=u --docker-password=p",
            "/api/v1/namespaces/default/secrets/r",
            json!({
                "type": "kubernetes.io/dockerconfigjson",
                // {"auths":{"a.example":{"username":"u","password":"p","auth":"dTpw"}}}
                "data": {".dockerconfigjson": "eyJhdXRocyI6eyJhLmV4YW1wbGUiOnsidXNlcm5hbWUiOiJ1IiwicGFzc3dvcmQiOiJwIiwiYXV0aCI6ImRUcHcifX19"},
            }),
        ),
        (
            "serviceaccount bot",
            "/api/v1/namespaces/default/serviceaccounts/bot",
            json!({"metadata": {"namespace": "default"}}),
        ),
        (
            "role reader --verb=get,list --resource=deployments.apps --resource-name=web",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/reader",
            json!({"rules": [{
                "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"], "resourceNames": ["web"],
            }]}),
        ),
        (
            "rolebinding reading --role=reader --serviceaccount=default:bot",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/reading",
            json!({
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "default"}],
            }),
        ),
        (
            "clusterrole all-readers --verb=get --resource=nodes,pods/log",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/all-readers",
            json!({"rules": [{"apiGroups": [""], "resources": ["nodes", "pods/log"], "verbs": ["get"]}]}),
        ),
        (
            "clusterrole paths --verb=get --non-resource-url=/logs/*",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/paths",
            json!({"rules": [{"nonResourceURLs": ["/logs/*"], "verbs": ["get"]}]}),
        ),
        (
            "clusterrole sum --aggregation-rule=example.com/sum=true",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/sum",
            json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"example.com/sum": "true"}}]}}),
        ),
        (
            "clusterrolebinding all-reading --clusterrole=all-readers --user=u --group=g",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/all-reading",
            json!({"subjects": [{"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"}]}),
        ),
        (
            "deployment web --image=nginx --replicas=0 --port=80",
            "/apis/apps/v1/namespaces/default/deployments/web",
            json!({"spec": {
                "replicas": 0,
                "strategy": {"type": "RollingUpdate"},
                "template": {"spec": {"containers": [{"name": "nginx", "ports": [{"containerPort": 80}]}]}},
            }}),
        ),
        (
            "cronjob nightly --image=busybox --schedule=@daily -- date +%s",
            "/apis/batch/v1/namespaces/default/cronjobs/nightly",
            json!({"spec": {"schedule": "@daily", "concurrencyPolicy": "Allow"}}),
        ),
        (
            "job once --image=busybox -- true",
            "/apis/batch/v1/namespaces/default/jobs/once",
            json!({"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"image": "busybox", "command": ["true"]}],
            }}}}),
        ),
        (
            "job tonight --from=cronjob/nightly",
            "/apis/batch/v1/namespaces/default/jobs/tonight",
            json!({
                "metadata": {
                    "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
                    "ownerReferences": [{"kind": "CronJob", "name": "nightly"}],
                },
                "spec": {"template": {"spec": {"containers": [{"command": ["date", "+%s"]}]}}},
            }),
        ),
        (
            "ingress front --class=own --rule=example.com/a*=svc:80,tls=pair --default-backend=svc:81",
            "/apis/networking.k8s.io/v1/namespaces/default/ingresses/front",
            json!({"spec": {
                "ingressClassName": "own",
                "defaultBackend": {"service": {"name": "svc", "port": {"number": 81}}},
                "tls": [{"hosts": ["example.com"], "secretName": "pair"}],
                "rules": [{"host": "example.com", "http": {"paths": [{"path": "/a", "pathType": "Prefix"}]}}],
            }}),
        ),
        (
            "poddisruptionbudget web --selector=app=web --min-available=50%",
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web",
            json!({"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}}),
        ),
        (
            "priorityclass high --value=1000 --preemption-policy=Never",
            "/apis/scheduling.k8s.io/v1/priorityclasses/high",
            json!({"value": 1000, "preemptionPolicy": "Never"}),
        ),
        (
            "quota few --hard=pods=10,requests.cpu=2 --scopes=NotTerminating",
            "/api/v1/namespaces/default/resourcequotas/few",
            json!({"spec": {"hard": {"pods": "10", "requests.cpu": "2"}, "scopes": ["NotTerminating"]}}),
        ),
        (
            "service clusterip svc --tcp=80:8080",
            "/api/v1/namespaces/default/services/svc",
            json!({"spec": {"type": "ClusterIP", "ports": [{"name": "80-8080", "targetPort": 8080}]}}),
        ),
        (
            "service clusterip headless --clusterip=None --tcp=80",
            "/api/v1/namespaces/default/services/headless",
            json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
        ),
        (
            "service externalname out --external-name=example.com",
            "/api/v1/namespaces/default/services/out",
            json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
        ),
        (
            "service nodeport door --tcp=80:8080 --node-port=30080",
            "/api/v1/namespaces/default/services/door",
            json!({"spec": {"type": "NodePort", "ports": [{"nodePort": 30080, "protocol": "TCP"}]}}),
        ),
        (
            "service loadbalancer wide --tcp=80:8080",
            "/api/v1/namespaces/default/services/wide",
            json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": true}}),
        ),
    ]
}

/// Whether all that is expected is in what was found; lists are of one length.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(key, expected)| found.get(key).is_some_and(|found| holds(found, expected))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| holds(found, expected))
        }
        (found, expected) => found == expected,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_everything_that_it_can_make() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        for (words, path, fields) in made() {
            let said = kubectl.run(&format!("create {words}")).await;
            let (_, found) = api.get(path).await;
            assert!(
                said.contains(" created\n") && holds(&found, &fields),
                "{words}: {said}{found:#}"
            );
        }
        let (is_done, said) = kubectl.try_run(&["create", "configmap", "web"]).await;
        let words = "error: failed to create configmap: configmaps \"web\" already exists\n";
        assert_eq!((is_done, said.as_str()), (false, words));
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_objects_of_files() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        let pair = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
        let cert = served.file("cert.pem", &pair.cert.pem());
        let key = served.file("key.pem", &pair.signing_key.serialize_pem());
        let own = served.file("own.conf", "answer = 42");
        let env = served.file("own.env", "A=b\nC=d\n");
        let map = served.file(
            "map.json",
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "m-"}}"#,
        );
        for (words, said) in [
            (
                format!("secret tls pair --cert={cert} --key={key}"),
                "secret/pair created",
            ),
            (
                format!("configmap files --from-file={own}"),
                "configmap/files created",
            ),
            (
                format!("configmap env --from-env-file={env}"),
                "configmap/env created",
            ),
            (format!("-f {map} --save-config"), "configmap/m-"),
            (
                "configmap none --dry-run=server -o name".to_owned(),
                "configmap/none",
            ),
        ] {
            let found = kubectl.run(&format!("create {words}")).await;
            assert!(found.contains(said), "{words}: {found}");
        }
        let (_, pair) = api.get("/api/v1/namespaces/default/secrets/pair").await;
        assert_eq!(pair["type"], "kubernetes.io/tls");
        let data = async |name: &str| api.get(&format!("{MAPS}/{name}")).await.1["data"].take();
        assert_eq!(data("files").await, json!({"own.conf": "answer = 42"}));
        assert_eq!(data("env").await, json!({"A": "b", "C": "d"}));
        assert_eq!(api.get(&format!("{MAPS}/none")).await.0, 404, "it was but tried");
        served.stop().await;
    }
}
