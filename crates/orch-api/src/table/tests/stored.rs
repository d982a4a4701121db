//! Kinds that are stored, whether something acts on them or not.

use serde_json::json;

use super::kinds::check;

#[test]
fn services_say_where_they_are_reached() {
    let columns = [
        "Name",
        "Type",
        "Cluster-IP",
        "External-IP",
        "Port(s)",
        "Age",
        "Selector",
    ];
    check(
        "v1",
        "Service",
        &columns,
        &[
            (
                json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
                    "externalIPs": ["192.0.2.1", "192.0.2.2"], "selector": {"b": "c", "a": ""},
                    "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
                &[
                    "a",
                    "NodePort",
                    "10.0.0.1",
                    "192.0.2.1,192.0.2.2",
                    "80:30080/TCP,53/UDP",
                    "5m",
                    "a=,b=c",
                ],
            ),
            (
                json!({"spec": {"type": "ClusterIP", "clusterIP": "None"}}),
                &["a", "ClusterIP", "None", "<none>", "<none>", "5m", "<none>"],
            ),
            (
                json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
                &[
                    "a",
                    "ExternalName",
                    "<none>",
                    "example.com",
                    "<none>",
                    "5m",
                    "<none>",
                ],
            ),
            (
                json!({"spec": {"type": "LoadBalancer"}}),
                &[
                    "a",
                    "LoadBalancer",
                    "<none>",
                    "<pending>",
                    "<none>",
                    "5m",
                    "<none>",
                ],
            ),
            (
                json!({"spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"]},
                    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"hostname": "lb.example"}]}}}),
                &[
                    "a",
                    "LoadBalancer",
                    "<none>",
                    "192.0.2.9,lb.example,192.0.2.1",
                    "<none>",
                    "5m",
                    "<none>",
                ],
            ),
        ],
    );
    let subsets = |count: usize| {
        let addresses: Vec<_> = (1..=count)
            .map(|n| json!({"ip": format!("10.0.0.{n}")}))
            .collect();
        json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}, {"addresses": [{"ip": "fd00::1"}]}]})
    };
    check(
        "v1",
        "Endpoints",
        &["Name", "Endpoints", "Age"],
        &[
            (json!({}), &["a", "<none>", "5m"]),
            (subsets(1), &["a", "10.0.0.1:80,fd00::1", "5m"]),
            (
                subsets(4),
                &["a", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "5m"],
            ),
            (
                json!({"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]}),
                &["a", "[fd00::1]:80", "5m"],
            ),
        ],
    );
}

#[test]
fn claims_say_which_volume_they_have() {
    let columns = [
        "Name",
        "Status",
        "Volume",
        "Capacity",
        "Access Modes",
        "StorageClass",
        "VolumeAttributesClass",
        "Age",
        "VolumeMode",
    ];
    let status = json!({"phase": "Bound", "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"]});
    check(
        "v1",
        "PersistentVolumeClaim",
        &columns,
        &[
            (
                json!({"spec": {"volumeName": "v", "storageClassName": "fast", "volumeMode": "Block"}, "status": status}),
                &[
                    "a", "Bound", "v", "10Gi", "RWO,ROX", "fast", "<unset>", "5m", "Block",
                ],
            ),
            (
                json!({"spec": {}, "status": {"phase": "Pending", "capacity": {"storage": "1Gi"}}}),
                &["a", "Pending", "", "", "", "", "<unset>", "5m", "<unset>"],
            ),
            (
                json!({"metadata": {"deletionTimestamp": "2030-01-01T23:59:00Z"}, "status": {"phase": "Bound"}}),
                &["a", "Terminating", "", "", "", "", "<unset>", "5m", "<unset>"],
            ),
        ],
    );
}

#[test]
fn other_workloads_count_their_pods() {
    let template =
        json!({"spec": {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {"disk": "fast"}}});
    check(
        "apps/v1",
        "StatefulSet",
        &["Name", "Ready", "Age", "Containers", "Images"],
        &[
            (json!({}), &["a", "0/1", "5m", "", ""]),
            (
                json!({"spec": {"replicas": 3, "template": template}, "status": {"readyReplicas": 2}}),
                &["a", "2/3", "5m", "c", "i"],
            ),
        ],
    );
    let columns = [
        "Name",
        "Desired",
        "Current",
        "Ready",
        "Up-to-date",
        "Available",
        "Node Selector",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    let status = json!({"desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3,
        "updatedNumberScheduled": 2, "numberAvailable": 1});
    check(
        "apps/v1",
        "DaemonSet",
        &columns,
        &[
            (
                json!({"spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template}, "status": status}),
                &["a", "5", "4", "3", "2", "1", "disk=fast", "5m", "c", "i", "app=d"],
            ),
            (
                json!({}),
                &["a", "0", "0", "0", "0", "0", "<none>", "5m", "", "", "<none>"],
            ),
        ],
    );
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": true}]);
    check(
        "apps/v1",
        "ControllerRevision",
        &["Name", "Controller", "Revision", "Age"],
        &[
            (
                json!({"metadata": {"ownerReferences": owner}, "revision": 3}),
                &["a", "statefulset.apps/db", "3", "5m"],
            ),
            (json!({}), &["a", "<none>", "0", "5m"]),
        ],
    );
}

#[test]
fn what_is_allowed_is_told_in_short() {
    check(
        "policy/v1",
        "PodDisruptionBudget",
        &[
            "Name",
            "Min Available",
            "Max Unavailable",
            "Allowed Disruptions",
            "Age",
        ],
        &[
            (
                json!({"spec": {"minAvailable": 2}, "status": {"disruptionsAllowed": 1}}),
                &["a", "2", "N/A", "1", "5m"],
            ),
            (
                json!({"spec": {"maxUnavailable": "25%"}}),
                &["a", "N/A", "25%", "0", "5m"],
            ),
        ],
    );
    check(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        &["Name", "Created At"],
        &[(json!({}), &["a", "2030-01-01T23:55:00Z"])],
    );
    let subjects = json!([{"kind": "User", "name": "jane"}, {"kind": "User", "name": "joe"}, {"kind": "Group", "name": "g"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}]);
    check(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        &["Name", "Role", "Age", "Users", "Groups", "ServiceAccounts"],
        &[(
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects}),
            &["a", "Role/r", "5m", "jane, joe", "g", "default/robot"],
        )],
    );
    check(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        &["Name", "Value", "Global-Default", "Age", "PreemptionPolicy"],
        &[(
            json!({"value": 1000, "globalDefault": true, "preemptionPolicy": "Never"}),
            &["a", "1000", "true", "5m", "Never"],
        )],
    );
    check(
        "v1",
        "ServiceAccount",
        &["Name", "Secrets", "Age"],
        &[(json!({"secrets": [{"name": "x"}]}), &["a", "1", "5m"])],
    );
}

#[test]
fn configurations_say_how_many_webhooks_they_have() {
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        check(
            "admissionregistration.k8s.io/v1",
            kind,
            &["Name", "Webhooks", "Age"],
            &[
                (json!({"webhooks": [{}, {}]}), &["a", "2", "5m"]),
                (json!({}), &["a", "0", "5m"]),
            ],
        );
    }
}

#[test]
fn policies_say_how_much_they_judge_and_by_which_parameters() {
    let version = "admissionregistration.k8s.io/v1";
    check(
        version,
        "ValidatingAdmissionPolicy",
        &["Name", "Validations", "ParamKind", "Age"],
        &[
            (
                json!({"spec": {"validations": [{}, {}], "paramKind": {"apiVersion": "b.c/v1", "kind": "D"}}}),
                &["a", "2", "b.c/v1/D", "5m"],
            ),
            (json!({}), &["a", "0", "<unset>", "5m"]),
        ],
    );
    check(
        version,
        "ValidatingAdmissionPolicyBinding",
        &["Name", "PolicyName", "ParamRef", "Age"],
        &[
            (
                json!({"spec": {"policyName": "b", "paramRef": {"name": "c", "namespace": "d"}}}),
                &["a", "b", "d/c", "5m"],
            ),
            (
                json!({"spec": {"policyName": "b", "paramRef": {"name": "c"}}}),
                &["a", "b", "c", "5m"],
            ),
            (
                json!({"spec": {"policyName": "b", "paramRef": {"selector": {"matchLabels": {"c": "d"}}}}}),
                &["a", "b", "c=d", "5m"],
            ),
            (json!({"spec": {"policyName": "b"}}), &["a", "b", "<unset>", "5m"]),
        ],
    );
}
