//! What is stored: documents and the typed views of them.
