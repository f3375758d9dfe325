//! `PriorityLevelConfiguration` of `flowcontrol.apiserver.k8s.io/v1`.
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/flow-control/>, KEP-1040.

mod validate;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, default, default_int, ensure, get, get_mut, int, text};
use super::common::{flow_control, status_write};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Unowned};

/// The kind's rules.
pub struct PriorityLevelConfiguration;

static INFO: KindInfo = KindInfo {
    group: "flowcontrol.apiserver.k8s.io",
    version: "v1",
    kind: "PriorityLevelConfiguration",
    plural: "prioritylevelconfigurations",
    singular: "prioritylevelconfiguration",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[flow_control::status("PriorityLevelConfiguration")],
    store_prefix: "prioritylevelconfigurations",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Type", "string", "Whether requests are limited."),
    column("NominalConcurrencyShares", "string", "Its share of the server's seats."),
    column("Queues", "string", "How many queues it has."),
    column("HandSize", "string", "How many queues one flow may use."),
    column("QueueLengthLimit", "string", "How many requests wait in one queue."),
    cells::AGE,
];

const SHARES: i64 = 30;
const QUEUES: i64 = 64;
const HAND_SIZE: i64 = 8;
const QUEUE_LENGTH: i64 = 50;

impl Kind for PriorityLevelConfiguration {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        if let Some(exempt) = get_mut(spec, "exempt") {
            default(exempt, "nominalConcurrencyShares", 0);
            default(exempt, "lendablePercent", 0);
        }
        let Some(limited) = get_mut(spec, "limited") else { return };
        // Zero is a share too.
        default(limited, "nominalConcurrencyShares", SHARES);
        default(limited, "lendablePercent", 0);
        if let Some(queuing) = get_mut(ensure(limited, "limitResponse"), "queuing") {
            default_int(queuing, "handSize", HAND_SIZE);
            default_int(queuing, "queues", QUEUES);
            default_int(queuing, "queueLengthLimit", QUEUE_LENGTH);
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            status_write::keep_metadata(new, old);
        }
    }

    fn unowned(&self, part: Part) -> Unowned {
        flow_control::unowned(part)
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(errors, object);
        flow_control::conditions(errors, &object["status"]);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Main {
            validate::spec(errors, new);
        }
        flow_control::conditions(errors, &new["status"]);
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let limited = get(spec, "limited");
        let queuing = limited.and_then(|limited| at(limited, &["limitResponse", "queuing"]));
        let number = |of: Option<&Value>, key: &str| -> Value {
            of.map_or_else(|| cells::NONE.into(), |of| int(of, key).into())
        };
        vec![
            cells::name(object),
            text(spec, "type").into(),
            number(limited, "nominalConcurrencyShares"),
            number(queuing, "queues"),
            number(queuing, "handSize"),
            number(queuing, "queueLengthLimit"),
            cells::age(object, now),
        ]
    }
}
