//! Server-side apply, by tables and properties.

mod fieldsets;
