//! Components in OCI registries, the servers that also have images for containers: `oci://REGISTRY/NAME:TAG`.
//!
//! A component is an artifact as the CNCF's "Wasm OCI artifact" describes it: one layer of the type `application/wasm`, and a
//! configuration of the type `application/vnd.wasm.config.v0+json`. Other tools read and write the same (`wkg`).
//!
//! - `reference`: the notation; `layout`: manifests and configurations as JSON (both pure)
//! - `login`: what `docker login` has kept; `access`: shows it to the registry; `token`: gets a token for it
//! - `http`: the HTTP clients; `client`: pulls and publishes; `error`: what can go wrong

mod access;
mod client;
mod error;
mod http;
mod layout;
mod login;
mod reference;
mod token;

pub use client::{Pulled, Registry};
pub use error::RegistryError;
pub use layout::About;
pub use reference::{Reference, is_reference};
