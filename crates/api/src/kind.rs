//! What the generic machinery knows of a kind: one `Kind` a kind, one file each in [`crate::kinds`].

use serde_json::Value;

use crate::custom::ScaleFields;
use crate::field::FieldErrors;
use crate::form::Form;
use crate::schema::TypeId;

/// Whether objects live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// The fixed facts of a kind in one version, as discovery shows them.
#[derive(Debug, PartialEq)]
pub struct KindInfo {
    /// Empty for the core group.
    pub group: &'static str,
    /// As in `v1`.
    pub version: &'static str,
    /// As in `Pod`.
    pub kind: &'static str,
    /// As in `pods`.
    pub plural: &'static str,
    /// As in `pod`.
    pub singular: &'static str,
    /// As in `po`.
    pub short_names: &'static [&'static str],
    /// As in `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// In upstream's discovery order (alphabetical).
    pub verbs: &'static [&'static str],
    /// What hangs below an object.
    pub subresources: &'static [Subresource],
    /// Keys in the store start with `/registry/<this>/`: mostly the plural, see upstream's storage prefixes
    /// (`services/specs`, `services/endpoints`, `minions`, `leases`, ...).
    pub store_prefix: &'static str,
}

impl KindInfo {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether the kind has a `status` subresource.
    pub fn has_status(&self) -> bool {
        self.subresources.iter().any(|sub| sub.name == "status")
    }

    /// The type in the schema table.
    ///
    /// # Panics
    /// Where the table doesn't know the kind, which a test over all kinds rules out.
    pub fn type_id(&self) -> TypeId {
        crate::schema::type_of(self.group, self.version, self.kind).unwrap_or_else(|| {
            panic!("the schema table has no {}/{} {}", self.group, self.version, self.kind)
        })
    }
}

/// A subresource, as discovery shows it.
#[derive(Debug, PartialEq)]
pub struct Subresource {
    /// As in `status`.
    pub name: &'static str,
    /// The kind of its objects, as in `Scale`, with its group and version where they differ from the parent's.
    pub kind: &'static str,
    /// As in `autoscaling`; empty where it is the parent's.
    pub group: &'static str,
    /// As in `v1`; empty where it is the parent's.
    pub version: &'static str,
    /// In upstream's discovery order.
    pub verbs: &'static [&'static str],
}

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object itself; its status stays as it was.
    Main,
    /// The `status` subresource: everything else stays as it was.
    Status,
    /// Another subresource that writes the object: `ephemeralcontainers`, `resize`, `approval`, `finalize`.
    Sub(&'static str),
}

/// What the rules of a kind may know besides the object.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Now, as `metav1.Time`.
    pub now: &'a str,
    /// Who asks, for objects that record it.
    pub user: &'a str,
    /// The groups of who asks.
    pub groups: &'a [String],
    /// The uid of who asks; empty where there is none.
    pub uid: &'a str,
    /// What is known besides of who asks.
    pub extra: Option<&'a std::collections::BTreeMap<String, Vec<String>>>,
}

/// A column of a table (`metav1.TableColumnDefinition`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// As in `Name`.
    pub name: &'static str,
    /// `string`, `integer`, `date`, ...
    pub kind: &'static str,
    /// `name` for the name column, else empty.
    pub format: &'static str,
    /// For people.
    pub description: &'static str,
    /// 0 for the normal view, 1 for `-o wide`.
    pub priority: i32,
}

/// How names of a kind are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain, up to 253 characters. Most kinds.
    Subdomain,
    /// RFC 1123 label, up to 63 characters.
    Label,
    /// RFC 1035 label (Service).
    Label1035,
    /// A path segment (RBAC kinds): not `.`, not `..`, no `/`, no `%`.
    PathSegment,
    /// An IP address in its usual form (IPAddress). Nothing is put behind a prefix.
    Address,
}

/// Fields that a write does not own, as paths of field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unowned {
    /// These and what is below them.
    Listed(&'static [&'static [&'static str]]),
    /// All but these and what is below them; `*` stands for any element of a list.
    AllBut(&'static [&'static [&'static str]]),
}

/// Where the `scale` subresource looks.
#[derive(Clone, Debug)]
pub enum ScalePaths {
    /// `spec.replicas`, `status.replicas`, and a selector in the spec.
    Workload {
        /// JSON pointer of the label selector in the object (`/spec/selector`).
        selector: &'static str,
        /// Whether the selector is a `LabelSelector` or a plain map (ReplicationController).
        selector_is_map: bool,
    },
    /// Where a definition says.
    Fields(ScaleFields),
}

/// How an object is deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// At once (when no finalizers hold it).
    Now,
    /// The object stays for so many seconds with a deletion timestamp, until its keeper removes it (pods).
    Graceful {
        /// `metadata.deletionGracePeriodSeconds`.
        seconds: i64,
    },
    /// The object stays until its own finalization is over (namespaces).
    Finalize,
    /// The object gets this finalizer, which its keeper takes away when it has cleaned up (definitions).
    Finalizer(&'static str),
}

/// The rules of a kind in one version. Objects come in upstream's normal form ([`crate::schema::normalize`]),
/// defaults applied. Sources of rules: the kind's documentation page and what upstream answers.
pub trait Kind: Send + Sync + 'static {
    /// The fixed facts.
    fn info(&self) -> &'static KindInfo;

    /// What objects look like.
    fn form(&self) -> Form {
        Form::Table(self.info().type_id())
    }

    /// The kind of lists.
    fn list_kind(&self) -> String {
        format!("{}List", self.info().kind)
    }

    /// The kind whose form is stored, where it isn't this one (`events.k8s.io/v1` is stored as core `v1`).
    fn stored_as(&self) -> Option<&'static dyn Kind> {
        None
    }

    /// What upstream's defaults add to a new object when it is read from its storage for the first time: nobody
    /// validates that.
    fn default_when_read(&self, _object: &mut Value) {}

    /// From this form to the stored one.
    fn to_stored(&self, object: Value) -> Value {
        object
    }

    /// From the stored form to this one.
    fn from_stored(&self, object: Value) -> Value {
        object
    }

    /// The field of the stored form behind a selectable field, where they differ in name.
    fn stored_field(&self, field: &str) -> String {
        field.to_owned()
    }

    /// Whether a new object keeps the status that it brings along (nodes do).
    fn brings_status(&self) -> bool {
        false
    }

    /// Whether a write of the object itself is one of its status too (of ServiceCIDRs it is).
    fn main_writes_status(&self) -> bool {
        false
    }

    /// Whether a new object without a name and without a prefix is named after a uid (limit ranges are).
    fn names_itself(&self) -> bool {
        false
    }

    /// How names are checked.
    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    /// Fills in what the client left out. Called for requests and for stored objects alike, so it must
    /// be idempotent.
    fn set_defaults(&self, _object: &mut Value) {}

    /// What a new object may not bring with it. The generic part has dropped `status` (where there is such a
    /// subresource) and set `generation` to 1 (where [`Kind::counts_generations`]).
    fn prepare_create(&self, _object: &mut Value, _rules: &Rules<'_>) {}

    /// What an update may not touch, and what it causes. The generic part has kept `status` (or everything
    /// else, for [`Part::Status`]) and counts `generation` when anything outside metadata and status changed.
    fn prepare_update(&self, _new: &mut Value, _old: &Value, _part: Part, _rules: &Rules<'_>) {}

    /// Whether `metadata.generation` is kept for this kind.
    fn counts_generations(&self) -> bool {
        false
    }

    /// Whether [`Kind::validate_create`] checks the metadata too, by an order of its own.
    fn checks_metadata(&self) -> bool {
        false
    }

    /// Whether an update's metadata is checked twice, as upstream does for most kinds: by the machinery, and again
    /// by the kind. It shows in the causes of an error alone.
    fn repeats_metadata_checks(&self) -> bool {
        true
    }

    /// Checks a new object. Metadata is checked by the generic part, before.
    fn validate_create(&self, _object: &Value, _errors: &mut FieldErrors) {}

    /// Checks an update. Metadata is checked by the generic part, before. Does not call
    /// [`Kind::validate_create`] by itself: an implementation that wants that does it.
    fn validate_update(&self, _new: &Value, _old: &Value, _part: Part, _errors: &mut FieldErrors) {}

    /// Warnings for the client (HTTP header `Warning`), on create (`old` is none) and update.
    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Why no objects can be made any more, where that is so (the kind itself is being deleted).
    fn closed(&self) -> Option<&'static str> {
        None
    }

    /// A warning that every request for the kind is answered with.
    fn deprecation(&self) -> Option<&'static str> {
        None
    }

    /// Whether a PUT may make an object that isn't there.
    fn allows_create_on_update(&self) -> bool {
        false
    }

    /// Whether a PUT without resourceVersion overwrites whatever is there.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// How this object is deleted, given the grace that the client asked for.
    fn deletion(&self, _object: &Value, _grace_seconds: Option<i64>) -> Deletion {
        Deletion::Now
    }

    /// What happens to dependents when the client doesn't say: `Background`, or `Orphan`.
    fn default_propagation(&self) -> &'static str {
        "Background"
    }

    /// The scale subresource, where there is one.
    fn scale(&self) -> Option<ScalePaths> {
        None
    }

    /// Columns of a table after upstream's printers.
    fn columns(&self) -> &'static [Column] {
        DEFAULT_COLUMNS
    }

    /// The cells of an object's row; `now` is for ages.
    fn row(&self, object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
        vec![object["metadata"]["name"].clone(), object["metadata"]["creationTimestamp"].clone()]
    }

    /// Which of two objects comes first in a table; lists of objects keep their order.
    fn compare_rows(&self, _a: &Value, _b: &Value) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }

    /// What is so of an object's row, as `metav1.TableRowCondition` has it; null where there is nothing to say.
    fn row_conditions(&self, _object: &Value) -> Value {
        Value::Null
    }

    /// Selectable fields besides `metadata.name` and `metadata.namespace`, in a fixed order, present for every object.
    fn selectable(&self, _object: &Value) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What upstream says of a field that can't be selected by.
    fn unknown_field_text(&self, field: &str) -> String {
        if self.selectable(&Value::Null).is_empty() {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        } else {
            format!("field label not supported: {field}")
        }
    }

    /// Which fields a write of this part does not own, whoever makes it, because the write can't change them
    /// (upstream's reset fields). A path owns what is below it.
    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Main if self.info().has_status() => Unowned::Listed(&[&["status"]]),
            Part::Status => Unowned::Listed(&[&["spec"]]),
            _ => Unowned::Listed(&[]),
        }
    }
}

/// `Name` and `Created At`, where a kind has no columns of its own.
pub const DEFAULT_COLUMNS: &[Column] = &[
    Column { name: "Name", kind: "string", format: "name", description: "Name of the object.", priority: 0 },
    Column {
        name: "Created At",
        kind: "date",
        format: "",
        description: "When the object was made.",
        priority: 0,
    },
];

/// The age of something as a table shows it: `5s`, `3m12s`, `2d4h`, or `<unknown>`.
pub fn age(created: &Value, now: jiff::Timestamp) -> Value {
    let Some(created) = created.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return "<unknown>".into();
    };
    human_duration(now.as_second() - created.as_second()).into()
}

/// A span as upstream's `duration.HumanDuration` shows it.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit}{small}{small_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(days, "d", hours % 24, "h"),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::human_duration;

    #[test]
    fn durations_are_upstreams() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (3 * 3600, "3h"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (86_400 * 30, "30d"),
        ] {
            assert_eq!(human_duration(seconds), text);
        }
    }
}
