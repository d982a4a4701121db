//! Images, in memory.

use super::{Digest, Item, Platform, tar};

/// An image to be put into archives.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) config: Vec<u8>,
    /// Compressed or not.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Made {
    /// An image of these layers' archives.
    pub(crate) fn new(layers: Vec<Vec<u8>>) -> Self {
        let config = serde_json::json!({
            "Entrypoint": ["/bin/app"], "Cmd": ["--serve"], "Env": ["PATH=/bin", "EMPTY="], "User": "7:8",
            "WorkingDir": "/srv", "StopSignal": "SIGINT",
        });
        Self::saying(&config, layers)
    }

    /// An image that says this of what it runs.
    pub(crate) fn saying(config: &serde_json::Value, layers: Vec<Vec<u8>>) -> Self {
        let diffs: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let config = serde_json::json!({
            "architecture": Platform::host().architecture, "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": diffs },
        });
        Self {
            config: config.to_string().into_bytes(),
            layers,
        }
    }

    pub(crate) fn id(&self) -> String {
        Digest::of(&self.config).to_string()
    }

    pub(crate) fn manifest(&self) -> Vec<u8> {
        let descriptor = |bytes: &[u8], kind: &str| {
            serde_json::json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": Digest::of(bytes).to_string(), "size": bytes.len(),
            })
        };
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| descriptor(layer, "layer.v1.tar"))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(&self.config, "config.v1+json"), "layers": layers,
        });
        manifest.to_string().into_bytes()
    }

    pub(crate) fn oci_archive(&self, name: &str) -> Vec<u8> {
        let manifest = self.manifest();
        let index = serde_json::json!({
            "schemaVersion": 2,
            "manifests": [{
                "digest": Digest::of(&manifest).to_string(), "size": manifest.len(),
                "annotations": { "org.opencontainers.image.ref.name": name },
            }],
        });
        let blob = |bytes: &[u8]| Item::file(&format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes);
        let mut items = vec![
            Item::file("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"),
            Item::file("index.json", index.to_string().as_bytes()),
            blob(&manifest),
            blob(&self.config),
        ];
        let mut layers: Vec<_> = self.layers.iter().collect();
        layers.sort();
        layers.dedup();
        items.extend(layers.into_iter().map(|layer| blob(layer)));
        tar(&items)
    }
}
