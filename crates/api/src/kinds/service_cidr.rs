//! `ServiceCIDR` of `networking.k8s.io/v1`: blocks that services get their addresses from (KEP-1880).

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{get, list, texts};
use super::common::{check, status_write};
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource, Unowned};
use crate::meta::names;

/// Where objects are kept, below `/registry/`.
pub const STORE_PREFIX: &str = "servicecidrs";

/// The kind's rules.
pub struct ServiceCIDR;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "ServiceCIDR",
    plural: "servicecidrs",
    singular: "servicecidr",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "ServiceCIDR",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: STORE_PREFIX,
};

static COLUMNS: &[Column] =
    &[cells::NAME, column("CIDRs", "string", "The blocks, at most one of each family."), cells::AGE];

/// At most one block of each family.
const CIDRS_MAX: usize = 2;

impl Kind for ServiceCIDR {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    /// Upstream keeps a status whoever writes it, and by whichever path.
    fn brings_status(&self) -> bool {
        true
    }

    fn main_writes_status(&self) -> bool {
        true
    }

    fn unowned(&self, _part: Part) -> Unowned {
        Unowned::Listed(&[])
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            status_write::keep_metadata(new, old);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let cidrs: Vec<&str> = texts(&object["spec"], "cidrs").collect();
        vec![cells::name(object), cidrs.join(",").into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            return;
        }
        let path = Path::new("spec.cidrs");
        let (now, was) = (list(&new["spec"], "cidrs"), list(&old["spec"], "cidrs"));
        // A cluster of one family can become one of two.
        let grows = was.len() == 1 && now.len() == CIDRS_MAX;
        if now.len() != was.len() && !grows {
            let shown = get(&new["spec"], "cidrs").map_or_else(|| "null".to_owned(), Value::to_string);
            return errors.invalid_shown(&path, shown, "field is immutable");
        }
        for (at, (now, _)) in now.iter().zip(was).enumerate().filter(|(_, (now, was))| now != was) {
            errors.invalid(&path.index(at), now, "field is immutable");
        }
        if grows {
            validate(new, errors);
        }
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let path = Path::new("spec.cidrs");
    let cidrs: Vec<&str> = texts(&object["spec"], "cidrs").collect();
    if cidrs.is_empty() {
        return errors.required(&path, "at least one CIDR required");
    }
    if cidrs.len() > CIDRS_MAX {
        let shown = internal::json("ServiceCIDRSpec", &object["spec"]);
        return errors.invalid_shown(&path, shown, "may only hold up to 2 values");
    }
    for (at, cidr) in cidrs.iter().enumerate() {
        check::messages(errors, &path.index(at), cidr, names::canonical_cidr(cidr));
    }
    if let [Some((first, _)), Some((second, _))] =
        cidrs.iter().map(|cidr| names::parse_cidr(cidr)).collect::<Vec<_>>()[..]
        && first.is_ipv4() == second.is_ipv4()
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&path, &object["spec"]["cidrs"], detail);
    }
}

/// The blocks of an object.
pub fn blocks(object: &Value) -> Vec<Block> {
    texts(&object["spec"], "cidrs").filter_map(Block::parse).collect()
}

/// Whether addresses may be given out of the object's blocks. Where nobody says, they may: there may be no controller
/// that would say.
pub fn gives_addresses(object: &Value) -> bool {
    let ready = list(&object["status"], "conditions").iter().find(|condition| condition["type"] == "Ready");
    ready.is_none_or(|ready| ready["status"] == "True") && object["metadata"]["deletionTimestamp"].is_null()
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    network: IpAddr,
    bits: u8,
}

impl Block {
    /// Reads `10.43.0.0/16`; none where it is no block.
    pub fn parse(text: &str) -> Option<Block> {
        let (ip, bits) = names::parse_cidr(text)?;
        Some(Block { network: names::network(ip, bits), bits })
    }

    /// The first address.
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// The length of the prefix, in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// Whether a service could get this address from the block: it isn't that of the network, nor that for everyone
    /// in the network, which IPv4 has.
    pub fn gives(self, address: IpAddr) -> bool {
        let within =
            address.is_ipv4() == self.network.is_ipv4() && names::network(address, self.bits) == self.network;
        let last = match (address, self.network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let hosts = u32::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                u32::from(address) == u32::from(network) | hosts
            }
            _ => false,
        };
        within && address != self.network && !last
    }

    /// Whether every address of another block is one of this block.
    pub fn contains(self, other: Block) -> bool {
        self.bits <= other.bits
            && self.network.is_ipv4() == other.network.is_ipv4()
            && names::network(other.network, self.bits) == self.network
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    fn of(cidrs: &[&str]) -> Value {
        json!({"spec": {"cidrs": cidrs}})
    }

    #[test]
    fn blocks_are_one_of_each_family() {
        let path = "spec.cidrs";
        for (cidrs, expected) in [
            (&["10.0.0.0/24", "fd00::/112"][..], vec![]),
            (&[], vec![format!("{path}: Required value: at least one CIDR required")]),
            (
                &["10.0.0.0/24", "10.1.0.0/24"],
                vec![format!(
                    "{path}: Invalid value: [\"10.0.0.0/24\",\"10.1.0.0/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
                )],
            ),
            (
                &["10.0.0.0/24", "fd00::/112", "fd01::/112"],
                vec![format!(
                    "{path}: Invalid value: {{\"CIDRs\":[\"10.0.0.0/24\",\"fd00::/112\",\"fd01::/112\"]}}: may only hold up to 2 values"
                )],
            ),
            (
                &["FD00::/64"],
                vec![format!(
                    "{path}[0]: Invalid value: \"FD00::/64\": must be in canonical form (\"fd00::/64\")"
                )],
            ),
            (
                &["10.0.0.1/24"],
                vec![format!(
                    "{path}[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length"
                )],
            ),
        ] {
            assert_eq!(faults(&ServiceCIDR, of(cidrs)), expected);
        }
    }

    #[test]
    fn blocks_stay_but_a_second_family_may_come() {
        let update = |now: &[&str]| {
            update_faults(&ServiceCIDR, of(&["10.0.0.0/24"]), Part::Main, |new| {
                new["spec"]["cidrs"] = json!(now);
            })
        };
        assert!(update(&["10.0.0.0/24", "fd00::/112"]).is_empty());
        let fixed = |at: usize, value: &str| {
            format!("spec.cidrs[{at}]: Invalid value: \"{value}\": field is immutable")
        };
        assert_eq!(update(&["10.1.0.0/24"]), [fixed(0, "10.1.0.0/24")]);
        assert_eq!(update(&["10.1.0.0/24", "fd00::/112"]), [fixed(0, "10.1.0.0/24")]);
        assert_eq!(update(&[]), ["spec.cidrs: Invalid value: null: field is immutable"]);
    }

    #[test]
    fn addresses_are_given_by_ready_objects_alone() {
        let ready = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(gives_addresses(&json!({})));
        assert!(gives_addresses(&ready("True")));
        assert!(!gives_addresses(&ready("False")));
        assert!(!gives_addresses(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
    }

    #[test]
    fn a_block_gives_what_is_between_its_ends() {
        let gives = |block: &str, address: &str| Block::parse(block).unwrap().gives(address.parse().unwrap());
        for (block, address, expected) in [
            ("10.0.0.0/24", "10.0.0.1", true),
            ("10.0.0.0/24", "10.0.0.254", true),
            ("10.0.0.0/24", "10.0.0.0", false),
            ("10.0.0.0/24", "10.0.0.255", false),
            ("10.0.0.0/24", "10.0.1.1", false),
            ("0.0.0.0/0", "10.0.1.1", true),
            ("10.0.0.1/32", "10.0.0.1", false),
            ("fd00::/64", "fd00::ffff:ffff:ffff:ffff", true),
            ("fd00::/64", "fd00::", false),
            ("::/0", "10.0.0.1", false),
        ] {
            assert_eq!(gives(block, address), expected, "{block} {address}");
        }
    }

    #[test]
    fn blocks_contain_smaller_ones_and_themselves() {
        let contains = |a: &str, b: &str| Block::parse(a).unwrap().contains(Block::parse(b).unwrap());
        assert!(contains("10.0.0.0/16", "10.0.3.0/24"));
        assert!(contains("10.0.0.0/16", "10.0.0.0/16"));
        assert!(!contains("10.0.3.0/24", "10.0.0.0/16"));
        assert!(!contains("10.1.0.0/16", "10.0.3.0/24"));
        assert!(!contains("::/0", "10.0.3.0/24"));
    }
}
