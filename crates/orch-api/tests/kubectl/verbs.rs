//! The verbs that ask for kinds and subresources of their own.

use super::{Served, programs};

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
