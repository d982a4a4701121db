//! The pods' network where no engine has one: a bridge that is the data directory's own, if the machine can have it.

use std::path::Path;

use crate::Error;
#[cfg(feature = "oci")]
pub use bridge::Network;

/// Without the oci runtime no pod has one.
#[cfg(not(feature = "oci"))]
pub enum Network {}

#[cfg(not(feature = "oci"))]
impl Network {
    pub fn told(&self) -> &str {
        match *self {}
    }

    pub async fn remove(self, _: &Path) -> Result<(), Error> {
        match self {}
    }
}

#[cfg(feature = "oci")]
mod bridge {
    use std::sync::Arc;

    use orch_core::runtime::{PodNetwork, RuntimeError};
    use orch_podnet::{Bridge, BridgeOptions};

    use super::{Error, Path};
    use crate::data;
    use crate::scope::Scope;

    /// In the data directory: which pod has which address.
    const STATE: &str = "network";

    /// What pods are connected by.
    pub struct Network {
        /// None: the machine's own network.
        bridge: Option<Bridge>,
        told: String,
    }

    impl Network {
        /// Fails where pods of an earlier run have a network of their own that cannot be had now.
        pub async fn open(data: &Path) -> Result<Self, Error> {
            let (state, name) = (data.join(STATE), Scope::of(data)?.bridge());
            let is_there = data::read(&state.join("network.json"))?.is_some();
            // Which subnet is free on this machine it finds out itself.
            match Bridge::open(BridgeOptions::new(&state).name(&name)).await {
                Ok(bridge) => Ok(Self {
                    told: format!(
                        "each pod has its own, on the bridge {name} ({})",
                        bridge.subnets().join(", ")
                    ),
                    bridge: Some(bridge),
                }),
                Err(error) if is_there => Err(format!(
                    "pods in {} have a network of their own, the bridge {name}, which cannot be had now: {}",
                    data.display(),
                    why(error)
                )
                .into()),
                Err(error) => {
                    data::remove_directory(&state)?;
                    Ok(Self {
                        told: format!(
                            "the machine's, which pods share, for they cannot have their own: {}",
                            why(error)
                        ),
                        bridge: None,
                    })
                }
            }
        }

        pub fn connects(&self) -> Option<Arc<dyn PodNetwork>> {
            let bridge = self.bridge.clone()?;
            Some(Arc::new(bridge))
        }

        /// Which it is, and why.
        pub fn told(&self) -> &str {
            &self.told
        }

        /// Nothing is left of it, on the machine or in the data directory. Fails while a pod has it.
        pub async fn remove(self, data: &Path) -> Result<(), Error> {
            if let Some(bridge) = self.bridge {
                bridge.remove().await?;
            }
            data::remove_directory(&data.join(STATE))
        }
    }

    /// What a network says of itself, which need not say what it is.
    fn why(error: RuntimeError) -> String {
        match error {
            RuntimeError::Unavailable { reason, .. } => reason,
            other => other.to_string(),
        }
    }
}
