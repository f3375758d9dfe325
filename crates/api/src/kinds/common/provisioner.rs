//! Who makes or changes volumes of a class, and by which parameters.

use serde_json::{Map, Value};

use super::check;
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// All parameters together, keys and values.
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
/// So many parameters a class may have.
const PARAMETERS_MAX: usize = 512;

/// Checks the name of a provisioner.
pub fn name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    match name {
        "" => errors.required(path, ""),
        name => check::messages(errors, path, name, names::qualified_name(&name.to_lowercase())),
    }
}

/// Checks its parameters.
pub fn parameters(errors: &mut FieldErrors, path: &Path<'_>, parameters: &Map<String, Value>) {
    if parameters.len() > PARAMETERS_MAX {
        errors.too_many(path, parameters.len(), PARAMETERS_MAX);
        return;
    }
    if parameters.contains_key("") {
        errors.invalid(path, &"".into(), "field can not be empty.");
    }
    let bytes: usize =
        parameters.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > PARAMETERS_BYTES_MAX {
        errors.too_long(path, PARAMETERS_BYTES_MAX);
    }
}
