//! The Rust type that a document was decoded into, held beside its bytes.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::Object;
use crate::store::Revision;

/// Holds the first type that was asked for; all who read an object mostly ask for the same.
#[derive(Default)]
pub(super) struct Typed(OnceLock<Held>);

struct Held {
    object: Arc<dyn Any + Send + Sync>,
    /// Writes the resource version into it.
    stamp: fn(&mut dyn Any, Revision),
}

impl Typed {
    /// What is held, if it is a `K`.
    pub(super) fn held<K: Object>(&self) -> Option<Arc<K>> {
        self.0.get()?.object.clone().downcast().ok()
    }

    /// What is held, else what `make` makes, which is then held unless something is.
    pub(super) fn get_or_try<K: Object, E>(&self, make: impl FnOnce() -> Result<K, E>) -> Result<Arc<K>, E> {
        if let Some(held) = self.held() {
            return Ok(held);
        }
        let made = Arc::new(make()?);
        // Who comes second has made the same.
        let _ = self.0.set(Held {
            object: made.clone(),
            stamp: stamp::<K>,
        });
        Ok(made)
    }

    /// The same object, last written at `revision`; it is let go if somebody else has a share in it.
    pub(super) fn set_revision(&mut self, revision: Revision) {
        let Some(held) = self.0.get_mut() else { return };
        match Arc::get_mut(&mut held.object) {
            Some(object) => (held.stamp)(object, revision),
            None => *self = Self::default(),
        }
    }
}

fn stamp<K: Object>(object: &mut dyn Any, revision: Revision) {
    if let Some(object) = object.downcast_mut::<K>() {
        object.set_resource_version(revision);
    }
}

/// Copies of a document are made to be changed, so they hold nothing.
impl Clone for Typed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::controller::Lease;
    use crate::object::{Document, Object};
    use crate::store::Revision;

    fn lease() -> Document {
        let json =
            r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lead"},"spec":{}}"#;
        Document::parse(json.into()).unwrap()
    }

    #[test]
    fn what_was_decoded_before_a_write_has_the_revision_after_it() {
        let document = lease();
        let decoded = Arc::as_ptr(&document.typed::<Lease>().unwrap());
        let written = document.at(Revision::new(7)).typed::<Lease>().unwrap();
        assert_eq!(written.metadata().resource_version, Some(Revision::new(7)));
        assert_eq!(Arc::as_ptr(&written), decoded, "it was not decoded again");
    }

    #[test]
    fn what_somebody_else_holds_stays_as_it_was() {
        let document = lease();
        let held = document.typed::<Lease>().unwrap();
        let written = document.at(Revision::new(7)).typed::<Lease>().unwrap();
        assert_eq!(written.metadata().resource_version, Some(Revision::new(7)));
        assert_eq!(held.metadata().resource_version, None);
    }
}
