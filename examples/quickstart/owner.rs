//! Whose a sandbox or container of the runtime is, by what the store says.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::Namespace;
use orch_cluster::agent::CLUSTER_ANNOTATION;
use orch_core::client::Client;

use super::Error;
use super::stored;

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A pod's that there is, or may be.
    Pod,
    /// A pod's of this very cluster that is gone: its agent removes it.
    Gone,
    /// A pod's of a cluster whose state is lost: nobody looks after it.
    Lost,
}

/// The pods that the store knows.
pub(crate) struct Owners {
    uids: HashSet<String>,
    /// Whether it has some that cannot be read: then one whose uid is not known may be there all the same.
    unreadable: bool,
    cluster: Option<String>,
}

impl Owners {
    pub(crate) async fn read(client: &Client) -> Result<Self, Error> {
        let pods = stored::pods(client).await?;
        let cluster = client.all::<Namespace>().get_opt("kube-system").await?;
        Ok(Self {
            uids: pods.items.iter().map(|pod| pod.meta().uid.clone()).collect(),
            unreadable: !pods.unreadable.is_empty(),
            cluster: cluster.and_then(|namespace| namespace.metadata.uid),
        })
    }

    /// Whose it is that was made for the pod of this uid, with these annotations.
    pub(crate) fn of(&self, uid: &str, annotations: &BTreeMap<String, String>) -> Owner {
        let made_for = annotations.get(CLUSTER_ANNOTATION);
        match made_for {
            _ if self.uids.contains(uid) => Owner::Pod,
            Some(cluster) if Some(cluster) == self.cluster.as_ref() => {
                if self.unreadable {
                    Owner::Pod
                } else {
                    Owner::Gone
                }
            }
            _ => Owner::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_lost_only_if_another_cluster_made_it() {
        let owners = |cluster: Option<&str>, unreadable| Owners {
            uids: ["1".to_owned()].into(),
            unreadable,
            cluster: cluster.map(str::to_owned),
        };
        let (ours, new) = (owners(Some("a"), false), owners(None, false));
        let cut = owners(Some("a"), true);
        for (owners, uid, made_for, owner) in [
            (&ours, "1", Some("a"), Owner::Pod),
            (&ours, "1", None, Owner::Pod),
            (&ours, "2", Some("a"), Owner::Gone),
            (&ours, "2", Some("b"), Owner::Lost),
            (&ours, "2", None, Owner::Lost),
            (&cut, "2", Some("a"), Owner::Pod),
            (&cut, "2", Some("b"), Owner::Lost),
            (&new, "2", Some("a"), Owner::Lost),
            (&new, "2", None, Owner::Lost),
        ] {
            let made_for = made_for.map(|cluster| (CLUSTER_ANNOTATION.to_owned(), cluster.to_owned()));
            let annotations = made_for.into_iter().collect();
            assert_eq!(owners.of(uid, &annotations), owner, "{uid} {annotations:?}");
        }
    }
}
