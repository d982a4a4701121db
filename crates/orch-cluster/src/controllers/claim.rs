//! Which objects a controller owns: adoption of matching orphans, release of those that match no more.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use orch_core::object::Selector;

use super::Labels;

/// What a claim needs to know of an object.
pub(crate) trait Claimable {
    fn labels(&self) -> &Labels;
    /// The uid of the owner that is its controller.
    fn controller_uid(&self) -> Option<&str>;
    fn is_deleting(&self) -> bool;
}

/// What a controller does about an object of the kind it manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Owned, and rightly so.
    Keep,
    /// Nobody's, and it matches: to become ours.
    Adopt,
    /// Ours, but its labels match no more: to be let go.
    Release,
    /// None of our business.
    Ignore,
}

/// Kubernetes' rule (`BaseControllerRefManager.ClaimObject`): another controller's object is never touched,
/// and an owner that is being deleted neither adopts nor releases.
pub(crate) fn claim(
    owner_uid: &str,
    owner_is_deleting: bool,
    selector: &Selector,
    object: &impl Claimable,
) -> Claim {
    match object.controller_uid() {
        Some(uid) if uid != owner_uid => Claim::Ignore,
        Some(_) if selector.matches(object.labels()) || owner_is_deleting => Claim::Keep,
        Some(_) => Claim::Release,
        None if owner_is_deleting || object.is_deleting() => Claim::Ignore,
        None if !selector.is_everything() && selector.matches(object.labels()) => Claim::Adopt,
        None => Claim::Ignore,
    }
}

/// The uid of the controller among `owners`.
pub(crate) fn controller_uid(owners: Option<&[OwnerReference]>) -> Option<&str> {
    owners?
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(Labels, Option<&'static str>, bool);

    impl Claimable for Thing {
        fn labels(&self) -> &Labels {
            &self.0
        }
        fn controller_uid(&self) -> Option<&str> {
            self.1
        }
        fn is_deleting(&self) -> bool {
            self.2
        }
    }

    #[test]
    fn only_orphans_are_adopted_and_only_ones_own_released() {
        let selector = "app=web".parse().unwrap();
        // (label app, controller, object deleting, owner deleting) -> claim
        let table = [
            ("web", Some("me"), false, false, Claim::Keep),
            ("web", Some("me"), true, false, Claim::Keep),
            ("db", Some("me"), false, false, Claim::Release),
            ("db", Some("me"), false, true, Claim::Keep),
            ("web", Some("other"), false, false, Claim::Ignore),
            ("web", None, false, false, Claim::Adopt),
            ("web", None, true, false, Claim::Ignore),
            ("web", None, false, true, Claim::Ignore),
            ("db", None, false, false, Claim::Ignore),
        ];
        for (app, controller, deleting, owner_deleting, expected) in table {
            let thing = Thing([("app".to_owned(), app.to_owned())].into(), controller, deleting);
            let got = claim("me", owner_deleting, &selector, &thing);
            assert_eq!(
                got, expected,
                "app={app} controller={controller:?} {deleting} {owner_deleting}"
            );
        }
        let orphan = Thing(Labels::new(), None, false);
        let all = Selector::everything();
        assert_eq!(
            claim("me", false, &all, &orphan),
            Claim::Ignore,
            "an empty selector adopts nothing"
        );
    }
}
