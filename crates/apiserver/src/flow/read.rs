//! What the objects say, in order: levels and schemas as they count, and which schemas have no level.

use std::collections::{BTreeMap, BTreeSet};

use cox_api::flow_control::{self, BuiltIn};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;

use super::queues::Shape;
use super::rules::{RuleForm, Rules};
use super::seats::Shares;

/// A PriorityLevelConfiguration.
#[derive(Debug)]
pub(super) struct LevelConfig {
    pub(super) name: String,
    pub(super) uid: HeaderValue,
    /// Not limited: everybody has a seat.
    pub(super) exempt: bool,
    pub(super) shares: Shares,
    pub(super) shape: Shape,
}

/// A FlowSchema.
#[derive(Debug)]
pub(super) struct SchemaConfig {
    pub(super) name: String,
    pub(super) uid: HeaderValue,
    pub(super) precedence: i64,
    pub(super) level: String,
    pub(super) distinguisher: Distinguisher,
    pub(super) rules: Rules,
}

/// What flows of one schema are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distinguisher {
    /// It is one flow.
    Nothing,
    /// `ByUser`
    User,
    /// `ByNamespace`
    Namespace,
}

/// Everything together.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) levels: BTreeMap<String, LevelConfig>,
    /// In the order in which they are tried; each has its level.
    pub(super) schemas: Vec<SchemaConfig>,
    /// What is to be written of each schema: whether its level is missing.
    pub(super) conditions: Vec<Condition>,
}

/// `Dangling` of a schema, where it isn't so in its status yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) schema: String,
    pub(super) dangling: bool,
    pub(super) message: String,
}

impl Condition {
    pub(super) fn reason(&self) -> &'static str {
        if self.dangling { "NotFound" } else { "Found" }
    }

    pub(super) fn status(&self) -> &'static str {
        if self.dangling { "True" } else { "False" }
    }
}

#[derive(Deserialize)]
struct LevelForm {
    metadata: MetadataForm,
    spec: LevelSpec,
}

#[derive(Deserialize)]
struct MetadataForm {
    name: String,
    #[serde(default)]
    uid: String,
}

#[derive(Deserialize)]
struct LevelSpec {
    r#type: String,
    limited: Option<SeatsForm>,
    #[serde(default)]
    exempt: Option<SeatsForm>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SeatsForm {
    nominal_concurrency_shares: u32,
    lendable_percent: u32,
    borrowing_limit_percent: Option<u32>,
    limit_response: ResponseForm,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseForm {
    queuing: Option<QueuingForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueuingForm {
    queues: usize,
    hand_size: usize,
    queue_length_limit: usize,
}

#[derive(Deserialize)]
struct SchemaForm {
    metadata: MetadataForm,
    spec: SchemaSpec,
    #[serde(default)]
    status: StatusForm,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaSpec {
    matching_precedence: i64,
    priority_level_configuration: NameForm,
    distinguisher_method: Option<MethodForm>,
    #[serde(default)]
    rules: Vec<RuleForm>,
}

#[derive(Deserialize)]
struct NameForm {
    name: String,
}

#[derive(Deserialize)]
struct MethodForm {
    r#type: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusForm {
    conditions: Vec<ConditionForm>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConditionForm {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

fn header(uid: &str) -> HeaderValue {
    HeaderValue::from_str(uid).unwrap_or(HeaderValue::from_static(""))
}

/// None for an object that can't be: it counts as if it weren't there.
fn level(object: &Value) -> Option<LevelConfig> {
    let LevelForm { metadata, spec } = LevelForm::deserialize(object).ok()?;
    let exempt = spec.r#type == "Exempt";
    if exempt != (metadata.name == flow_control::EXEMPT) || exempt == spec.limited.is_some() {
        return None;
    }
    let seats = spec.limited.or(spec.exempt).unwrap_or_default();
    let queuing = seats.limit_response.queuing;
    Some(LevelConfig {
        uid: header(&metadata.uid),
        name: metadata.name,
        exempt,
        shares: Shares {
            nominal: seats.nominal_concurrency_shares,
            lendable_percent: seats.lendable_percent,
            borrowing_percent: seats.borrowing_limit_percent,
        },
        shape: queuing.map_or(Shape { queues: 0, hand: 0, length_max: 0 }, |queuing| Shape {
            queues: queuing.queues,
            hand: queuing.hand_size,
            length_max: queuing.queue_length_limit,
        }),
    })
}

fn schema(form: SchemaForm) -> SchemaConfig {
    let method = form.spec.distinguisher_method.map(|method| method.r#type);
    SchemaConfig {
        uid: header(&form.metadata.uid),
        name: form.metadata.name,
        precedence: form.spec.matching_precedence,
        level: form.spec.priority_level_configuration.name,
        distinguisher: match method.as_deref() {
            Some("ByUser") => Distinguisher::User,
            Some("ByNamespace") => Distinguisher::Namespace,
            _ => Distinguisher::Nothing,
        },
        rules: Rules::of(form.spec.rules),
    }
}

/// What a status should say, where it doesn't.
fn condition(form: &SchemaForm, dangling: bool) -> Option<Condition> {
    let level = &form.spec.priority_level_configuration.name;
    let end = if dangling { "but there is no such object" } else { "and it exists" };
    let message =
        format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} {end}");
    let wanted = Condition { schema: form.metadata.name.clone(), dangling, message };
    let known = form.status.conditions.iter().find(|condition| condition.r#type == "Dangling");
    let is_so = known.is_some_and(|known| {
        (known.status.as_str(), known.reason.as_str()) == (wanted.status(), wanted.reason())
            && known.message == wanted.message
    });
    (!is_so).then_some(wanted)
}

fn mandatory(all: &'static [BuiltIn], known: &BTreeSet<String>) -> Vec<&'static Value> {
    all.iter().filter(|one| one.mandatory && !known.contains(one.name())).map(|one| &one.object).collect()
}

/// Reads all objects. The mandatory ones are there even where they aren't.
pub(super) fn read(levels: &[Value], schemas: &[Value]) -> Config {
    let levels: BTreeMap<String, LevelConfig> =
        levels.iter().filter_map(level).map(|level| (level.name.clone(), level)).collect();
    let mut conditions = Vec::new();
    let mut ordered = Vec::new();
    for form in schemas.iter().filter_map(|object| SchemaForm::deserialize(object).ok()) {
        let dangling = !levels.contains_key(&form.spec.priority_level_configuration.name);
        conditions.extend(condition(&form, dangling));
        if !dangling {
            ordered.push(schema(form));
        }
    }
    let known = ordered.iter().map(|schema| schema.name.clone()).collect();
    let missing = mandatory(flow_control::schemas(), &known);
    ordered.extend(missing.into_iter().filter_map(|object| SchemaForm::deserialize(object).ok()).map(schema));
    ordered.sort_by(|a, b| a.precedence.cmp(&b.precedence).then_with(|| a.name.cmp(&b.name)));
    let known = levels.keys().cloned().collect();
    let missing = mandatory(flow_control::levels(), &known);
    let mut levels = levels;
    levels.extend(missing.into_iter().filter_map(level).map(|level| (level.name.clone(), level)));
    Config { levels, schemas: ordered, conditions }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(config: &Config) -> Vec<&str> {
        config.schemas.iter().map(|schema| schema.name.as_str()).collect()
    }

    #[test]
    fn without_objects_there_are_the_mandatory_ones() {
        let config = read(&[], &[]);
        assert_eq!(names(&config), ["exempt", "catch-all"]);
        assert_eq!(config.levels.keys().collect::<Vec<_>>(), ["catch-all", "exempt"]);
        assert!(config.levels["exempt"].exempt && !config.levels["catch-all"].exempt);
        assert!(config.conditions.is_empty());
    }

    #[test]
    fn schemas_are_tried_by_precedence_and_name() {
        let schema = |name: &str, precedence: i64| {
            json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence,
                "priorityLevelConfiguration": {"name": "l"}}})
        };
        let level = json!({"metadata": {"name": "l"}, "spec": {"type": "Limited", "limited": {}}});
        let schemas = [schema("b", 20), schema("c", 3), schema("a", 20), schema("z", 10_000)];
        let config = read(&[level], &schemas);
        assert_eq!(names(&config), ["exempt", "c", "a", "b", "catch-all", "z"]);
    }

    #[test]
    fn a_schema_without_its_level_is_told_and_not_used() {
        let mut schema = json!({"metadata": {"name": "s", "uid": "u"}, "spec": {"matchingPrecedence": 5,
            "priorityLevelConfiguration": {"name": "l"}, "distinguisherMethod": {"type": "ByNamespace"}}});
        let config = read(&[], std::slice::from_ref(&schema));
        assert_eq!(names(&config), ["exempt", "catch-all"]);
        let condition = config.conditions[0].clone();
        assert_eq!((condition.status(), condition.reason()), ("True", "NotFound"));
        assert_eq!(
            condition.message,
            "This FlowSchema references the PriorityLevelConfiguration object named \"l\" but there is no such object"
        );
        schema["status"] = json!({"conditions": [{"type": "Dangling", "status": "True", "reason": "NotFound",
            "message": condition.message}]});
        assert!(read(&[], std::slice::from_ref(&schema)).conditions.is_empty(), "it says so already");
        let level = json!({"metadata": {"name": "l", "uid": "v"}, "spec": {"type": "Limited", "limited":
            {"nominalConcurrencyShares": 3, "borrowingLimitPercent": 10, "limitResponse":
                {"type": "Queue", "queuing": {"queues": 5, "handSize": 2, "queueLengthLimit": 9}}}}});
        let config = read(std::slice::from_ref(&level), std::slice::from_ref(&schema));
        assert_eq!(names(&config), ["exempt", "s", "catch-all"]);
        assert_eq!(config.schemas[1].distinguisher, Distinguisher::Namespace);
        assert_eq!(config.levels["l"].shape, Shape { queues: 5, hand: 2, length_max: 9 });
        let shares = Shares { nominal: 3, lendable_percent: 0, borrowing_percent: Some(10) };
        assert_eq!(config.levels["l"].shares, shares);
        assert_eq!((config.conditions[0].status(), config.conditions[0].reason()), ("False", "Found"));
    }
}
