//! Images on this node: layers unpacked once, shared by all containers.
//!
//! ```text
//! images/layers/<id>         an unpacked layer in overlayfs' form, named by the start of its diff id
//! images/layers/<id>.json    its whole diff id and size
//! images/images/<id>.json    an image: layers, configuration
//! images/names.json          names -> image
//! images/tmp/                what is being made
//! ```
//! Everything is made in `tmp` and renamed when it is whole and on disk.

mod archive;
mod compression;
mod from_dir;
mod layer;
mod store;

pub use store::{ImageStore, StoredImage};
