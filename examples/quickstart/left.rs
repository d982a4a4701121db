//! What is still there when the program has ended: the objects that nothing else made, with what they make.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::Manifest;
use orch_core::object::{ObjectKey, ObjectMeta};

use super::Error;
use super::ours::key_of;
use super::stored::workloads;

/// How many are named.
const NAMED: usize = 5;

/// Pods, and what makes some, each told by the object at its top.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    all: BTreeSet<String>,
    /// Whether some of it is the manifest's.
    ours: bool,
}

impl Left {
    pub(crate) async fn read(cluster: &Cluster, manifest: &Manifest) -> Result<Self, Error> {
        let (mut there, mut unreadable) = (Vec::new(), BTreeSet::new());
        for (kind, list) in workloads(cluster.client()).await? {
            unreadable.extend(list.unreadable.iter().map(|key| named(&kind, key)));
            let metas = list.items.iter().map(|document| document.meta().clone());
            there.extend(metas.map(|meta| (kind.clone(), meta)));
        }
        let mut left = Self::of(&there);
        left.all.append(&mut unreadable);
        let items = manifest.items.iter();
        let mut ours = items.map(|item| named(&item.resource().kind, &key_of(item)));
        left.ours = ours.any(|name| left.all.contains(&name));
        Ok(left)
    }

    /// Of these objects, by kind, those that are not owned by another. One whose owner is gone is not.
    fn of(there: &[(String, ObjectMeta)]) -> Self {
        let uids: HashSet<_> = there.iter().map(|(_, meta)| &meta.uid).collect();
        let is_owned = |meta: &ObjectMeta| {
            meta.owner_references
                .iter()
                .any(|owner| uids.contains(&owner.uid))
        };
        let tops = there.iter().filter(|(_, meta)| !is_owned(meta));
        Self {
            all: tops.map(|(kind, meta)| named(kind, &key(meta))).collect(),
            ours: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What to know of it, and what to do: after cleaning, or where none of it is the manifest's, how it can be removed;
    /// else what becomes of it. `runs` is whether the runtime has something of it, if that is known.
    pub(crate) fn told(&self, clean: bool, runs: Option<bool>, runtime: &str) -> String {
        if clean || !self.ours {
            return format!("still there in this --data: {self}; remove it with --clean and its manifest");
        }
        let (what, then) = match runs {
            Some(true) => ("what runs goes on".to_owned(), "is taken over"),
            Some(false) => ("nothing runs any more".to_owned(), "is begun again"),
            None => (
                format!("what ran may go on, but runtime {runtime} does not answer"),
                "is taken over, or begun again",
            ),
        };
        format!(
            "{what}: started again with this --data it {then}; with --clean, what the manifest made is removed"
        )
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.all.iter().take(NAMED).map(String::as_str).collect();
        f.write_str(&names.join(", "))?;
        match self.all.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn key(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(meta.namespace.as_deref(), &meta.name)
}

fn named(kind: &str, key: &ObjectKey) -> String {
    let name = format!("{}/{}", kind.to_lowercase(), key.name());
    match key.namespace() {
        None | Some("default") => name,
        Some(namespace) => format!("{name} (namespace {namespace})"),
    }
}

#[cfg(test)]
mod tests {
    use orch_core::object::OwnerReference;

    use super::*;

    fn meta(namespace: &str, name: &str, owner: Option<&str>) -> ObjectMeta {
        let owner = owner.map(|uid| OwnerReference {
            uid: uid.to_owned(),
            ..OwnerReference::default()
        });
        ObjectMeta {
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            uid: format!("{name}-uid"),
            owner_references: owner.into_iter().collect(),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_is_still_there_is_told_by_what_its_user_has_made() {
        let there = [
            ("Deployment", meta("default", "web", None)),
            ("ReplicaSet", meta("default", "web-1", Some("web-uid"))),
            ("ReplicaSet", meta("shop", "loose", Some("gone-uid"))),
            ("Pod", meta("default", "web-1-a", Some("web-1-uid"))),
            ("Pod", meta("shop", "one", None)),
        ];
        let left = Left::of(&there.map(|(kind, meta)| (kind.to_owned(), meta)));
        assert_eq!(
            left.to_string(),
            "deployment/web, pod/one (namespace shop), replicaset/loose (namespace shop)"
        );
        let many: Vec<_> = (0..7)
            .map(|n| ("Pod".to_owned(), meta("default", &format!("p{n}"), None)))
            .collect();
        assert_eq!(
            Left::of(&many).to_string(),
            "pod/p0, pod/p1, pod/p2, pod/p3, pod/p4 and 2 more"
        );
        assert!(Left::of(&[]).is_empty());
    }

    #[test]
    fn what_is_left_is_told_with_what_can_be_done_about_it() {
        let still_there = "still there in this --data: pod/one; remove it with --clean and its manifest";
        for (ours, clean, runs, told) in [
            (true, true, Some(true), still_there),
            (false, false, Some(true), still_there),
            (
                true,
                false,
                Some(true),
                "what runs goes on: started again with this --data it is taken over;",
            ),
            (
                true,
                false,
                Some(false),
                "nothing runs any more: started again with this --data it is begun again;",
            ),
            (
                true,
                false,
                None,
                "what ran may go on, but runtime docker does not answer: ",
            ),
        ] {
            let all = ["pod/one".to_owned()].into();
            let said = Left { all, ours }.told(clean, runs, "docker");
            assert!(said.starts_with(told), "{said}");
        }
    }
}
