//! Leases as the runtime takes them, on threads that may block.

use std::collections::BTreeMap;

use orch_core::runtime::RuntimeError;

use super::Images;
use super::names::{Keep, Rootfs};
use super::reference::Asked;

impl Images {
    /// As [`lease`](Self::lease); blocks.
    pub(crate) fn hold(&self, reference: &str, holder: &str) -> Result<Rootfs, RuntimeError> {
        let held = self.store.lease(&Asked::parse(reference)?, holder, Keep::ForNow);
        held.map_err(|fault| fault.told("leasing", reference))
    }

    /// As [`release`](Self::release); blocks. An image that nothing needs any more is removed in the background.
    pub(crate) fn let_go(&self, holder: &str) -> Result<(), RuntimeError> {
        let released = self.store.release(holder);
        let is_left = released
            .map_err(|fault| RuntimeError::failed(format!("releasing the image of {holder}"), fault))?;
        if is_left {
            let store = self.store.clone();
            tokio::task::spawn_blocking(move || store.tidy());
        }
        Ok(())
    }

    /// Ends all leases but those of these holders, has each of them hold its image (by id), and removes what nothing
    /// needs; blocks.
    pub(crate) fn hold_only(&self, holders: &BTreeMap<String, String>) -> Result<(), RuntimeError> {
        for (holder, image) in holders {
            if let Err(error) = self.hold(image, holder) {
                tracing::warn!(container = holder, image, %error, "a container's image is gone");
            }
        }
        let retained = self.store.retain(holders);
        retained.map_err(|fault| {
            RuntimeError::failed("releasing the images of containers that are gone", fault)
        })?;
        self.store.tidy();
        Ok(())
    }
}
