//! Tables on the wire: `meta.k8s.io/v1`'s `Table` and `PartialObjectMetadata`.

use jiff::Timestamp;
use orch_core::object::Document;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Layout, Row};
use crate::resources::Served;

/// What of an object goes with its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    /// Its metadata: what is asked for where nothing is said.
    #[default]
    Metadata,
    Object,
}

/// How tables of a kind are written.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) served: Served,
    pub(crate) layout: Layout,
    pub(crate) include: Include,
}

impl Table {
    /// A table of a list, whose metadata are `meta`.
    pub(crate) fn of_list(&self, meta: &Value, items: &[Document], now: Timestamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048 + items.len() * 512);
        self.write(meta, items, true, now, &mut out);
        out
    }

    /// A table of one object. In a watch only the first says what the columns are.
    pub(crate) fn write_one(
        &self,
        document: &Document,
        has_columns: bool,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) {
        let meta = match document.meta().resource_version {
            Some(revision) => json!({"resourceVersion": revision.to_string()}),
            None => json!({}),
        };
        self.write(&meta, std::slice::from_ref(document), has_columns, now, out);
    }

    fn write(&self, meta: &Value, items: &[Document], has_columns: bool, now: Timestamp, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
        put(out, meta);
        out.extend_from_slice(b",\"columnDefinitions\":");
        put(out, &has_columns.then(|| self.layout.columns()));
        out.extend_from_slice(b",\"rows\":[");
        for (at, document) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.write_row(document, now, out);
        }
        out.extend_from_slice(b"]}");
    }

    fn write_row(&self, document: &Document, now: Timestamp, out: &mut Vec<u8>) {
        let shown = self.served.shown(document);
        let Row { cells, ended } = match &self.layout {
            // They read objects as they are stored.
            Layout::Known(printer) => printer.row(document, now),
            Layout::Custom(columns) => columns.row(&shown, now),
        };
        out.extend_from_slice(b"{\"cells\":");
        put(out, &cells);
        if let Some(phase) = ended {
            let message = match phase {
                "Succeeded" => "All of its containers have ended well.",
                _ => "It has failed.",
            };
            let completed =
                json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]);
            out.extend_from_slice(b",\"conditions\":");
            put(out, &completed);
        }
        out.extend_from_slice(b",\"object\":");
        match self.include {
            Include::None => out.extend_from_slice(b"null"),
            Include::Metadata => write_metadata(&shown, out),
            Include::Object => shown.write_json(out),
        }
        out.push(b'}');
    }
}

/// An object's metadata alone.
pub(crate) fn write_metadata(document: &Document, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":",
    );
    document.write_metadata(out);
    out.push(b'}');
}

fn put(out: &mut Vec<u8>, value: &impl Serialize) {
    // It is of maps with names as keys, which serde can always write, to memory.
    let _ = serde_json::to_writer(out, value);
}
