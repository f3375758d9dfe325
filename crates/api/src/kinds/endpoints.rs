//! `Endpoints` of `v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{default_text, int, list, list_mut, text};
use crate::kind::{Column, Kind, KindInfo, Scope};

/// The kind's rules.
pub struct Endpoints;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "services/endpoints",
};

static COLUMNS: &[Column] = &[cells::NAME, column("Endpoints", "string", "Addresses and ports."), cells::AGE];

impl Kind for Endpoints {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        for subset in list_mut(object, "subsets") {
            for port in list_mut(subset, "ports") {
                default_text(port, "protocol", "TCP");
            }
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), shown(object).into(), cells::age(object, now)]
    }
}

/// So many addresses are shown in a table.
const SHOWN_MAX: usize = 3;

fn shown(object: &Value) -> String {
    let subsets = list(object, "subsets");
    if subsets.is_empty() {
        return cells::NONE.to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = || list(subset, "addresses").iter().map(|address| text(address, "ip"));
        if list(subset, "ports").is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in list(subset, "ports") {
            let number = int(port, "port");
            all.extend(addresses().map(|ip| {
                if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }
            }));
        }
    }
    if all.len() > SHOWN_MAX {
        return format!("{} + {} more...", all[..SHOWN_MAX].join(","), all.len() - SHOWN_MAX);
    }
    all.join(",")
}
