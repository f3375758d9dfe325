//! The container runtime of a node: images, sandboxes, containers, exec, logs and their cgroups.
//!
//! [`Runtime`] is the interface the kubelet works against; its shape follows the Container Runtime Interface
//! (`runtime.v1`), so that another runtime can stand behind it.

mod error;
mod image;
mod native;
mod reference;
mod seccomp;
mod shim_binary;
mod traits;
mod types;

pub use error::{Result, RuntimeError};
pub use image::{ImageStore, StoredImage};
pub use native::{NativeRuntime, images_in_use};
pub use reference::Reference;
pub use traits::Runtime;
pub use types::*;
