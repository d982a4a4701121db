//! Objects in the form that was asked for: whole, as metadata, or in a table.

use bytes::Bytes;
use orch_core::client::DocumentList;
use orch_core::object::Document;
use serde_json::{Value, json};

use super::Asked;
use crate::accept::{Answered, Form};
use crate::resources::Served;
use crate::status::Refused;
use crate::table::{self, Table};

/// How objects are shown to one caller: in the version and the form that were asked for.
#[derive(Debug)]
pub(super) struct Shown {
    served: Served,
    form: As,
}

#[derive(Debug)]
enum As {
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
        let form = match asked.accept.form(what)? {
            Form::Whole => As::Whole,
            Form::Metadata => As::Metadata,
            Form::Table => As::Table {
                table: Table {
                    served: asked.served.clone(),
                    layout: asked.served.layout(),
                    include: asked.query.include()?,
                },
                has_columns: true,
            },
        };
        Ok(Self {
            served: asked.served.clone(),
            form,
        })
    }

    /// One object.
    pub(super) fn one(mut self, document: &Document) -> Bytes {
        if let As::Whole = self.form {
            return self.served.shown(document).to_json();
        }
        let mut out = Vec::new();
        self.write(document, &mut out);
        out.into()
    }

    /// The next object of a watch.
    pub(super) fn write(&mut self, document: &Document, out: &mut Vec<u8>) {
        match &mut self.form {
            As::Whole => self.served.shown(document).write_json(out),
            As::Metadata => table::write_metadata(document, out),
            As::Table { table, has_columns } => {
                let has_columns = std::mem::take(has_columns);
                table.write_one(document, has_columns, orch_core::time::now(), out);
            }
        }
    }

    pub(super) fn list(&self, list: &DocumentList) -> Bytes {
        match &self.form {
            As::Whole => whole(&self.served, list),
            As::Metadata => written(
                "PartialObjectMetadataList",
                "meta.k8s.io/v1",
                list,
                table::write_metadata,
            ),
            As::Table { table, .. } => table
                .of_list(&metadata(list), &list.items, orch_core::time::now())
                .into(),
        }
    }
}

/// A list as JSON: objects that are stored as they are shown are copied, not parsed.
pub(super) fn whole(served: &Served, list: &DocumentList) -> Bytes {
    let api_version = served.resource.api_version();
    written(&served.list_kind(), &api_version, list, |document, out| {
        served.shown(document).write_json(out);
    })
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
