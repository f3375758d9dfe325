//! Rules of `metadata` that every kind shares.
//! Source: `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`, and
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>.

mod check;
pub mod names;
mod prepare;
mod validate;

pub use check::{check_create, check_update};
pub use prepare::{drop_repeated_owners, prepare_create, prepare_update};
pub use validate::{
    ANNOTATIONS_BYTES_MAX, FIELD_MANAGER_BYTES_MAX, validate_annotations, validate_create,
    validate_field_manager, validate_labels, validate_metadata, validate_update,
};

use crate::kind::NameRule;

/// What is wrong with the name of an object; a `prefix` is checked as `generateName`.
pub fn name_messages(rule: NameRule, name: &str, prefix: bool) -> names::Messages {
    let masked;
    let name = if prefix && !matches!(rule, NameRule::PathSegment | NameRule::Address) {
        masked = names::mask_trailing_dash(name);
        &masked
    } else {
        name
    };
    match rule {
        NameRule::Subdomain => names::dns1123_subdomain(name),
        NameRule::Label => names::dns1123_label(name),
        NameRule::Label1035 => names::dns1035_label(name),
        NameRule::PathSegment if prefix => {
            names::path_segment(name).into_iter().filter(|text| text.contains("contain")).collect()
        }
        NameRule::PathSegment => names::path_segment(name),
        NameRule::Address => names::canonical_ip(name),
    }
}
