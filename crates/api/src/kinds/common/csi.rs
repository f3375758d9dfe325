//! Names of storage drivers.

use super::check;
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// Longest name of a driver, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Checks the name of a driver.
pub fn driver_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > NAME_BYTES_MAX {
        errors.too_long(path, NAME_BYTES_MAX);
    }
    check::messages(errors, path, name, names::dns1123_subdomain(&name.to_lowercase()));
}
