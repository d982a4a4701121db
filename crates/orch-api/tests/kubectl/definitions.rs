//! Kinds of a user's own.

use super::{Served, programs};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_defines_a_kind_and_uses_it() {
    const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: crontabs.stable.example.com
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            description: What it is to do.
            type: object
            properties:
              cronSpec: {type: string, description: When it is to run.}
              replicas: {type: integer, default: 1, maximum: 5}
          status:
            type: object
            properties:
              replicas: {type: integer}
"#;
    const TAB: &str = r#"
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: nightly}
spec: {cronSpec: "0 0 * * *"}
"#;
    for program in programs() {
        let served = Served::to(program).await;
        let kubectl = &served.kubectl;
        let definition = served.file("definition.yaml", DEFINITION);
        let tab = served.file("tab.yaml", TAB);
        kubectl.run(&format!("apply -f {definition}")).await;
        kubectl
            .run("wait --for=condition=Established crd/crontabs.stable.example.com --timeout=5s")
            .await;
        assert!(kubectl.run("get crd").await.contains("CREATED AT"));
        let said = kubectl.run(&format!("apply -f {tab}")).await;
        assert_eq!(said, "crontab.stable.example.com/nightly created\n");
        let said = kubectl.run(&format!("apply -f {tab}")).await;
        assert_eq!(said, "crontab.stable.example.com/nightly unchanged\n");
        let table = kubectl.run("get ct").await;
        assert!(
            table.starts_with("NAME      SPEC\nnightly   0 0 * * *"),
            "{table}"
        );
        let said = kubectl.run("explain crontabs.spec").await;
        for words in ["What it is to do.", "cronSpec", "When it is to run."] {
            assert!(said.contains(words), "{said}");
        }
        kubectl.run("scale ct nightly --replicas=3").await;
        assert_eq!(
            kubectl.run("get ct nightly -o jsonpath={.spec.replicas}").await,
            "3"
        );
        let (is_done, said) = kubectl.try_run(&["scale", "ct", "nightly", "--replicas=6"]).await;
        assert!(
            !is_done && said.contains("should be less than or equal to 5"),
            "{said}"
        );
        let wrong = served.file("wrong.yaml", &TAB.replace("cronSpec", "cronspec"));
        let (is_done, said) = kubectl.try_run(&["apply", "-f", &wrong]).await;
        assert!(
            !is_done && said.contains("unknown field \"spec.cronspec\""),
            "{said}"
        );
        kubectl.run("label ct nightly team=night").await;
        kubectl
            .run("patch ct nightly --type=merge --subresource=status -p {\"status\":{\"replicas\":3}}")
            .await;
        assert!(kubectl.run("describe ct nightly").await.contains("Replicas:  3"));
        kubectl
            .run("delete crd crontabs.stable.example.com --timeout=20s")
            .await;
        let (is_done, said) = kubectl.try_run(&["get", "ct"]).await;
        // It may remember the kind for a while.
        let is_gone = said.contains("the server doesn't have a resource type") || said.contains("(NotFound)");
        assert!(!is_done && is_gone, "{said}");
        served.stop().await;
    }
}
