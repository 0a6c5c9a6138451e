//! Components in OCI registries, the servers that also have images for containers: `oci://REGISTRY/NAME:TAG`.
//!
//! A component is an artifact as the CNCF's "Wasm OCI artifact" describes it: one layer of the type `application/wasm`, and a
//! configuration of the type `application/vnd.wasm.config.v0+json`. Other tools read and write the same (`wkg`).
//!
//! - `reference`: the notation; `layout`: manifests and configurations as JSON (both pure)
//! - `login`: what `docker login` has kept; `client`: pulls and publishes; `error`: what can go wrong

mod client;
mod error;
mod layout;
mod login;
mod reference;

pub use client::{Pulled, Registry};
pub use error::RegistryError;
pub use layout::About;
pub use reference::{Reference, is_reference};
