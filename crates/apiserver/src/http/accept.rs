//! Which form of an answer the client wants.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources>

use cox_api::{Reason, Status};
use serde_json::json;

/// How the bytes of an answer are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

impl Encoding {
    /// The `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// Which part of an object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All of it.
    Whole,
    /// A table; its version in `meta.k8s.io`.
    Table(&'static str),
    /// Metadata alone; the version in `meta.k8s.io`.
    Metadata(&'static str),
    /// A list of metadata alone.
    MetadataList(&'static str),
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How the bytes are made.
    pub encoding: Encoding,
    /// What they show.
    pub shape: Shape,
    /// Whether the JSON is indented.
    pub pretty: bool,
}

impl Form {
    /// Plain JSON.
    pub const JSON: Form = Form { encoding: Encoding::Json, shape: Shape::Whole, pretty: false };
}

/// What a request is for, as far as the choice of a form is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Purpose {
    /// A single object or a Status.
    Object,
    /// A list or a watch, by the same path.
    Collection,
    Watch,
}

const PLAIN: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const WITHOUT_PROTOBUF: &str = "application/json, application/yaml";
const JSON_STREAM: &str = "application/json;stream=watch";
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Chooses the form of an answer to a resource's request. `protobuf`: whether objects have a protobuf form.
///
/// # Errors
/// 406, in upstream's words: one text where no media type is known, another where a known one can't be had.
pub fn choose(accept: Option<&str>, purpose: Purpose, protobuf: bool) -> Result<Form, Status> {
    let accept = accept.unwrap_or_default();
    if accept.trim().is_empty() {
        return Ok(Form::JSON);
    }
    let mut ranges: Vec<Range<'_>> = accept.split(',').map(Range::parse).collect();
    // What is said more exactly is wanted more, of equal quality.
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality).then_with(|| a.vagueness().cmp(&b.vagueness())));
    // The router looks at the bare media types first.
    let known = |range: &Range<'_>| {
        matches!(
            range.media,
            "*/*" | "application/json" | "application/yaml" | "application/vnd.kubernetes.protobuf"
        )
    };
    if !ranges.iter().any(known) {
        let available = match purpose {
            Purpose::Object => PLAIN.to_owned(),
            Purpose::Collection | Purpose::Watch => format!("{PLAIN}, {STREAMS}"),
        };
        return Err(not_acceptable_route(&available));
    }
    for range in &ranges {
        let Some(encoding) = range.encoding() else { continue };
        if purpose == Purpose::Watch && encoding == Encoding::Yaml {
            continue;
        }
        let Some(shape) = range.shape() else { continue };
        // Upstream makes no tables in protobuf.
        let made = protobuf || shape != Shape::Whole;
        if encoding == Encoding::Protobuf && (!made || matches!(shape, Shape::Table(_))) {
            continue;
        }
        return Ok(Form { encoding, shape, pretty: range.pretty });
    }
    Err(not_acceptable(match (purpose, protobuf) {
        (Purpose::Watch, true) => STREAMS,
        (Purpose::Watch, false) => JSON_STREAM,
        (_, true) => PLAIN,
        (_, false) => WITHOUT_PROTOBUF,
    }))
}

/// Whether a document is to be in `protobuf`, one of its names; none where it can be had neither so nor as JSON.
pub fn prefers(accept: &str, protobuf: &[&str]) -> Option<bool> {
    if accept.trim().is_empty() {
        return Some(false);
    }
    let mut ranges: Vec<Range<'_>> = accept.split(',').map(Range::parse).collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges.iter().find_map(|range| match range.media {
        "*/*" | "application/*" | "application/json" => Some(false),
        media => protobuf.contains(&media).then_some(true),
    })
}

/// 406 of the router.
pub fn not_acceptable_route(available: &str) -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    Status::new(406, Reason::NotAcceptable, message).with_details(json!({}))
}

/// 406 of the handler.
fn not_acceptable(available: &str) -> Status {
    Status::new(
        406,
        Reason::NotAcceptable,
        format!("only the following media types are accepted: {available}"),
    )
}

struct Range<'a> {
    media: &'a str,
    quality: f32,
    as_kind: Option<&'a str>,
    group: &'a str,
    version: &'a str,
    pretty: bool,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Range<'a> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let mut range = Range { media, quality: 1.0, as_kind: None, group: "", version: "", pretty: false };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key {
                "q" => range.quality = value.parse().unwrap_or(1.0),
                "as" => range.as_kind = Some(value),
                "g" => range.group = value,
                "v" => range.version = value,
                "pretty" => range.pretty = value == "1",
                _ => {}
            }
        }
        range
    }

    /// 0 for one media type, 1 for any of a sort, 2 for any at all.
    fn vagueness(&self) -> u8 {
        match self.media.split_once('/') {
            Some(("*", _)) => 2,
            Some((_, "*")) => 1,
            _ => 0,
        }
    }

    fn encoding(&self) -> Option<Encoding> {
        match self.media {
            "*/*" | "application/*" | "application/json" => Some(Encoding::Json),
            "application/yaml" => Some(Encoding::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Encoding::Protobuf),
            _ => None,
        }
    }

    fn shape(&self) -> Option<Shape> {
        let Some(kind) = self.as_kind else { return Some(Shape::Whole) };
        if self.group != "meta.k8s.io" {
            return None;
        }
        let version = match self.version {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            _ => return None,
        };
        match kind {
            "Table" => Some(Shape::Table(version)),
            "PartialObjectMetadata" => Some(Shape::Metadata(version)),
            "PartialObjectMetadataList" => Some(Shape::MetadataList(version)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_range_wins() {
        let form = |accept: &str| choose(Some(accept), Purpose::Object, true).unwrap();
        assert_eq!(choose(None, Purpose::Object, true).unwrap(), Form::JSON);
        assert_eq!(form("*/*"), Form::JSON);
        assert_eq!(form("application/json;q=0.5,application/yaml").encoding, Encoding::Yaml);
        assert_eq!(form("*/*,application/yaml").encoding, Encoding::Yaml);
        assert_eq!(form("*/*,application/yaml;q=0.9").encoding, Encoding::Json);
        assert_eq!(
            form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").shape,
            Shape::Table("v1")
        );
        assert_eq!(form("application/json;as=Other;v=v1;g=x,application/json").shape, Shape::Whole);
        let table = ";as=Table;v=v1;g=meta.k8s.io";
        let falls_back = form(&format!("application/vnd.kubernetes.protobuf{table},application/json{table}"));
        assert_eq!((falls_back.encoding, falls_back.shape), (Encoding::Json, Shape::Table("v1")));
        let alone =
            choose(Some(&format!("application/vnd.kubernetes.protobuf{table}")), Purpose::Collection, true);
        assert_eq!(alone.unwrap_err().code(), 406);
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json").encoding, Encoding::Protobuf);
    }

    #[test]
    fn documents_are_json_or_protobuf() {
        let of = |accept: &str| prefers(accept, &["application/pb"]);
        assert_eq!([of(""), of("*/*"), of("application/json, application/pb")], [Some(false); 3]);
        assert_eq!([of("application/pb"), of("text/x, application/pb,application/json")], [Some(true); 2]);
        assert_eq!(of("application/pb;q=0.5, application/json"), Some(false));
        assert_eq!(of("text/html"), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn whatever_is_accepted_there_is_an_answer(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "application/json", "*/*", "application/*", "application/vnd.kubernetes.protobuf", "application/yaml", ";", ",", "q=", "0.5",
            "q=-1", "q=nan", "as=Table", "v=v1", "g=meta.k8s.io", "=", " ", "/", "é", "stream=watch", "text/html",
        ]), 0..16)) {
            for purpose in [Purpose::Object, Purpose::Collection, Purpose::Watch] {
                let _ = choose(Some(&pieces.concat()), purpose, true);
            }
        }
    }

    #[test]
    fn refusals_say_what_there_is() {
        let of =
            |accept: &str, purpose| choose(Some(accept), purpose, true).unwrap_err().message().to_owned();
        assert!(of("text/html", Purpose::Object).starts_with("406: Not Acceptable\n\nAvailable"));
        assert!(
            of("application/json;as=Nothing;v=v1;g=meta.k8s.io", Purpose::Object).starts_with("only the")
        );
        assert!(of("application/yaml", Purpose::Watch).ends_with("protobuf;stream=watch"));
    }
}
