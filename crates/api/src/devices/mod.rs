//! What claims for devices ask for, for those who give devices and those who count them.
//! Source: KEP-4381 and <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>

mod quota;
mod selector;

pub use quota::{QUOTA_SUFFIX, most_by_class};
pub use selector::{Attribute, Facts, Selector};
