//! Pods: their defaults, what Kubernetes refuses of them, and what controllers and the node agent ask of them.

mod accepted;
pub(crate) mod affinity;
mod app_armor;
mod container;
mod default;
mod dns;
mod env;
mod image;
mod mount;
pub(crate) mod placement;
mod probe;
pub(crate) mod resize;
pub(crate) mod resource;
pub mod resources;
mod security;
pub mod status;
mod status_update;
mod strategy;
mod together;
mod update;
mod validate;
pub(crate) mod volume;
mod volume_default;
mod warnings;
mod whole;

#[cfg(test)]
mod accepted_tests;
#[cfg(test)]
mod app_armor_tests;
#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod default_tests;
#[cfg(test)]
mod resize_tests;
#[cfg(test)]
mod resources_tests;
#[cfg(test)]
mod status_tests;
#[cfg(test)]
mod update_tests;
#[cfg(test)]
mod validate_tests;

pub use accepted::validate_new;
pub(crate) use app_armor::app_armor_of;
pub(crate) use container::is_policy_of_sidecars;
pub use container::is_sidecar;
pub use default::{
    DEFAULT_TOLERATION_SECONDS, TAINT_NOT_READY, TAINT_UNREACHABLE, default, default_template,
};
pub use image::default_pull_policy;
pub use resize::resize;
pub use status_update::validate_status;
pub use strategy::{bind, deletion_grace, prepare_create};
pub(crate) use together::{Sum, together};
pub use update::validate_update;
pub use validate::validate;
pub(crate) use validate::{validate_any_template, validate_template};
pub(crate) use volume_default::default_volume_source;
pub(crate) use warnings::{create_warnings, template_warnings, warnings};
