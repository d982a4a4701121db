//! Every `kubectl create` there is, and the verbs that ask for kinds and subresources of their own.

use super::{Served, programs};

/// What `kubectl create` is told, and what it says.
const MADE: [(&str, &str); 19] = [
    ("namespace team", "namespace/team created"),
    ("configmap web --from-literal=key=value", "configmap/web created"),
    (
        "secret generic s --from-literal=password=hunter2",
        "secret/s created",
    ),
    (
        "secret docker-registry r --docker-server=registry.example.com --docker-username=u --docker-password=p",
        "secret/r created",
    ),
    ("serviceaccount bot", "serviceaccount/bot created"),
    (
        "role reader --verb=get,list --resource=pods",
        "role.rbac.authorization.k8s.io/reader created",
    ),
    (
        "rolebinding reading --role=reader --user=u",
        "rolebinding.rbac.authorization.k8s.io/reading created",
    ),
    (
        "clusterrole all-readers --verb=get --resource=nodes,pods/log",
        "clusterrole.rbac.authorization.k8s.io/all-readers created",
    ),
    (
        "clusterrolebinding all-reading --clusterrole=all-readers --group=g",
        "clusterrolebinding.rbac.authorization.k8s.io/all-reading created",
    ),
    (
        "deployment web --image=nginx --replicas=0 --port=80",
        "deployment.apps/web created",
    ),
    ("job once --image=busybox -- true", "job.batch/once created"),
    (
        "cronjob nightly --image=busybox --schedule=@daily -- true",
        "cronjob.batch/nightly created",
    ),
    (
        "ingress front --rule=example.com/*=svc:80",
        "ingress.networking.k8s.io/front created",
    ),
    (
        "poddisruptionbudget web --selector=app=web --min-available=50%",
        "poddisruptionbudget.policy/web created",
    ),
    (
        "priorityclass high --value=1000",
        "priorityclass.scheduling.k8s.io/high created",
    ),
    ("quota few --hard=pods=10", "resourcequota/few created"),
    ("service clusterip svc --tcp=80:8080", "service/svc created"),
    (
        "service externalname out --external-name=example.com",
        "service/out created",
    ),
    ("service nodeport door --tcp=80:8080", "service/door created"),
];

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_everything_that_it_can_make() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, dir, .. } = &served;
        for (words, made) in MADE {
            let said = kubectl.run(&format!("create {words}")).await;
            assert!(said.contains(&format!("{made}\n")), "{words}: {said}");
        }
        let said = kubectl
            .run("create service loadbalancer wide --tcp=80:8080")
            .await;
        assert!(said.contains("service/wide created\n"), "{said}");
        let pair = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let cert = file("cert.pem", pair.cert.pem());
        let key = file("key.pem", pair.signing_key.serialize_pem());
        let said = kubectl
            .run(&format!("create secret tls pair --cert={cert} --key={key}"))
            .await;
        assert!(said.contains("secret/pair created\n"), "{said}");
        let (is_done, said) = kubectl.try_run(&["create", "token", "bot"]).await;
        assert!(
            !is_done && said.contains("tokens of service accounts are not issued"),
            "{said}"
        );
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scales_exposes_taints_and_rolls() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        kubectl
            .run("create deployment web --image=nginx --replicas=1 --port=80")
            .await;
        let said = kubectl
            .run("autoscale deployment web --min=1 --max=5 --cpu-percent=50")
            .await;
        assert!(
            said.contains("horizontalpodautoscaler.autoscaling/web autoscaled\n"),
            "{said}"
        );
        let target = "{.spec.metrics[0].resource.target.averageUtilization}";
        let share = kubectl.run(&format!("get hpa web -o jsonpath={target}")).await;
        assert_eq!(share, "50");
        for (words, said) in [
            ("expose deployment web --port=80", "service/web exposed"),
            ("run one --image=busybox", "pod/one created"),
            ("taint nodes node-1 a=b:PreferNoSchedule", "node/node-1 tainted"),
            ("taint nodes node-1 a-", "node/node-1 untainted"),
            ("cordon node-1", "node/node-1 cordoned"),
            ("uncordon node-1", "node/node-1 uncordoned"),
            (
                "rollout status deployment/web --timeout=60s",
                "successfully rolled out",
            ),
            ("set env deployment/web A=b", "deployment.apps/web env updated"),
            (
                "set resources deployment/web --limits=cpu=200m",
                "deployment.apps/web resource requirements updated",
            ),
            (
                "set image deployment/web nginx=nginx:2",
                "deployment.apps/web image updated",
            ),
            ("rollout history deployment/web", "REVISION"),
            ("rollout undo deployment/web", "deployment.apps/web rolled back"),
            ("rollout pause deployment/web", "deployment.apps/web paused"),
            ("rollout resume deployment/web", "deployment.apps/web resumed"),
            ("rollout restart deployment/web", "deployment.apps/web restarted"),
            (
                "rollout status deployment/web --timeout=60s",
                "successfully rolled out",
            ),
            ("events", "ScalingReplicaSet"),
            ("api-versions", "authorization.k8s.io/v1\n"),
            ("api-resources", "selfsubjectaccessreviews"),
            ("cluster-info", "is running at"),
            (
                "explain hpa.spec --api-version=autoscaling/v1",
                "targetCPUUtilizationPercentage",
            ),
            ("explain hpa.spec", "behavior"),
        ] {
            let found = kubectl.run(words).await;
            assert!(found.contains(said), "{words}: {found}");
        }
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_tells_what_pods_and_nodes_use() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        let none = kubectl.run("top pods").await;
        assert_eq!(none, "No resources found in default namespace.\n");
        let (is_done, said) = kubectl.try_run(&["top", "pod", "none"]).await;
        let words = "Error from server (NotFound): podmetrics.metrics.k8s.io \"default/none\" not found\n";
        assert_eq!((is_done, said.as_str()), (false, words));
        kubectl.run("run web --image=nginx").await;
        kubectl
            .run("wait --for=condition=Ready pod/web --timeout=60s")
            .await;
        for (words, row) in [
            ("top pods --no-headers", ["web", "0m", "0Mi"]),
            ("top pod web --no-headers", ["web", "0m", "0Mi"]),
            ("top nodes --no-headers", ["node-1", "0m", "0%"]),
        ] {
            let said = kubectl.run(words).await;
            let found: Vec<_> = said.split_whitespace().take(3).collect();
            assert_eq!(found, row, "{words}: {said}");
        }
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_asks_what_it_may_and_who_it_is() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        assert_eq!(kubectl.run("auth can-i create pods").await, "yes\n");
        assert_eq!(kubectl.run("auth can-i get /version").await, "yes\n");
        let rules = kubectl.run("auth can-i --list").await;
        assert!(rules.contains("*.*") && rules.contains("[*]"), "{rules}");
        let who = kubectl.run("auth whoami").await;
        assert!(
            who.contains("orch:admin") && who.contains("system:masters"),
            "{who}"
        );
        served.stop().await;
    }
}
