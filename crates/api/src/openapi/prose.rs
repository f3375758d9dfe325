//! Descriptions of types and fields. They are packed in the binary, and unpacked only while a document is built.

use std::collections::BTreeMap;
use std::io::Read;

/// One JSON object, deflated: type -> field -> text, the type's own under an empty name.
static PACKED: &[u8] = include_bytes!("descriptions.bin");

/// The descriptions, unpacked.
pub struct Prose(BTreeMap<String, BTreeMap<String, String>>);

impl Prose {
    /// Unpacks the descriptions.
    pub fn unpack() -> Prose {
        let mut text = Vec::new();
        // What is built in is whole, which a test makes sure of; without descriptions documents still hold.
        let read = flate2::read::DeflateDecoder::new(PACKED).read_to_end(&mut text);
        Prose(read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }

    /// The description of a type, or of its field; empty where there is none.
    pub fn of(&self, ty: &str, field: &str) -> &str {
        self.0.get(ty).and_then(|fields| fields.get(field)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::Prose;

    #[test]
    fn descriptions_are_there() {
        let prose = Prose::unpack();
        assert!(prose.of("io.k8s.api.core.v1.Pod", "").contains("collection of containers"));
        assert!(prose.of("io.k8s.api.core.v1.PodSpec", "nodeName").contains("node"));
        assert!(prose.of("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "").contains("time.Time"));
        assert_eq!(prose.of("io.k8s.api.core.v1.Pod", "nothing"), "");
    }
}
