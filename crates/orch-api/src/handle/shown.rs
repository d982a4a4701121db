//! Objects in the form that was asked for: whole, as metadata, or in a table.

use bytes::Bytes;
use orch_core::client::DocumentList;
use orch_core::object::{ApiResource, Document};
use serde_json::{Value, json};

use super::Asked;
use crate::accept::{Answered, Form};
use crate::status::Refused;
use crate::table::{self, Printer, Table};

/// How objects are shown to one caller.
#[derive(Debug)]
pub(super) enum Shown {
    Whole,
    Metadata,
    Table {
        table: Table,
        /// Whether the next is to say what the columns are: in a watch the first does.
        has_columns: bool,
    },
}

impl Shown {
    pub(super) fn of(asked: &Asked, what: Answered) -> Result<Self, Refused> {
        Ok(match asked.accept.form(what)? {
            Form::Whole => Self::Whole,
            Form::Metadata => Self::Metadata,
            Form::Table => Self::Table {
                table: Table {
                    printer: Printer::of(&asked.served.resource, asked.served.is_built_in()),
                    include: asked.query.include()?,
                },
                has_columns: true,
            },
        })
    }

    /// One object.
    pub(super) fn one(mut self, document: &Document) -> Bytes {
        if let Self::Whole = self {
            return document.to_json();
        }
        let mut out = Vec::new();
        self.write(document, &mut out);
        out.into()
    }

    /// The next object of a watch.
    pub(super) fn write(&mut self, document: &Document, out: &mut Vec<u8>) {
        match self {
            Self::Whole => document.write_json(out),
            Self::Metadata => table::write_metadata(document, out),
            Self::Table { table, has_columns } => {
                let has_columns = std::mem::take(has_columns);
                table.write_one(document, has_columns, orch_core::time::now(), out);
            }
        }
    }

    pub(super) fn list(&self, resource: &ApiResource, list: &DocumentList) -> Bytes {
        match self {
            Self::Whole => whole(resource, list),
            Self::Metadata => written(
                "PartialObjectMetadataList",
                "meta.k8s.io/v1",
                list,
                table::write_metadata,
            ),
            Self::Table { table, .. } => table
                .of_list(&metadata(list), &list.items, orch_core::time::now())
                .into(),
        }
    }
}

/// A list as JSON: the objects are copied as they are stored, not parsed.
pub(super) fn whole(resource: &ApiResource, list: &DocumentList) -> Bytes {
    let kind = format!("{}List", resource.kind);
    written(&kind, &resource.api_version(), list, Document::write_json)
}

fn written(
    kind: &str,
    api_version: &str,
    list: &DocumentList,
    write: impl Fn(&Document, &mut Vec<u8>),
) -> Bytes {
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        json!(kind),
        json!(api_version),
        metadata(list)
    );
    let items = list
        .items
        .iter()
        .map(|document| document.stored().len() + 48)
        .sum::<usize>();
    let mut out = Vec::with_capacity(head.len() + items + 2);
    out.extend_from_slice(head.as_bytes());
    for (at, document) in list.items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(document, &mut out);
    }
    out.extend_from_slice(b"]}");
    out.into()
}

fn metadata(list: &DocumentList) -> Value {
    let mut meta = json!({"resourceVersion": list.revision.to_string()});
    if let Some(token) = &list.continue_token {
        meta["continue"] = json!(token);
    }
    meta
}
