//! What is stored: documents and the typed views of them.

pub mod field;
pub mod quantity;
