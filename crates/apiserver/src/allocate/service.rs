//! Cluster IPs and node ports.
//! Source: <https://kubernetes.io/docs/concepts/services-networking/service/>

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use cox_api::{FieldErrors, Path, Status};
use serde_json::{Value, json};

use super::Reservation;
use super::pool::Pool;
use crate::config::{Config, ServiceRange};
use crate::core::call::Call;
use crate::db::Db;

/// Addresses and ports of services.
pub(super) struct ServiceAllocator {
    range: ServiceRange,
    addresses: Arc<Pool>,
    ports: RangeInclusive<u16>,
    port_pool: Arc<Pool>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn needs_address(service: &Value) -> bool {
    let spec = &service["spec"];
    text(&spec["type"]) != "ExternalName" && text(&spec["clusterIP"]) != "None"
}

fn needs_ports(service: &Value) -> bool {
    let spec = &service["spec"];
    match text(&spec["type"]) {
        "NodePort" => true,
        "LoadBalancer" => spec["allocateLoadBalancerNodePorts"].as_bool().unwrap_or(true),
        _ => false,
    }
}

/// Whether ports may stay where they are given.
fn may_have_ports(service: &Value) -> bool {
    matches!(text(&service["spec"]["type"]), "NodePort" | "LoadBalancer")
}

fn needs_health_port(service: &Value) -> bool {
    let spec = &service["spec"];
    text(&spec["type"]) == "LoadBalancer" && text(&spec["externalTrafficPolicy"]) == "Local"
}

/// The addresses that a service holds.
fn addresses(service: &Value) -> Vec<Ipv4Addr> {
    service["spec"]["clusterIPs"].as_array().into_iter().flatten().filter_map(|ip| text(ip).parse().ok()).collect()
}

/// The node ports that a service holds, each once.
fn node_ports(service: &Value) -> Vec<u64> {
    let spec = &service["spec"];
    let mut ports: Vec<u64> = spec["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|port| port["nodePort"].as_u64())
        .chain(spec["healthCheckNodePort"].as_u64())
        .filter(|&port| port > 0)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

impl ServiceAllocator {
    pub(super) fn new(db: &Db, config: &Config, chance: cox_env::Chance) -> ServiceAllocator {
        let size = config.service_range.len();
        // Upstream keeps the low part for those who ask: between 16 and 256 addresses, or a sixteenth.
        let low = (size / 16).clamp(16, 256);
        let ports = config.node_ports.clone();
        let port_count = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
        let low_ports = (port_count / 32).clamp(16, 128);
        let allocator = ServiceAllocator {
            range: config.service_range,
            addresses: Pool::new(size, low, chance.clone()),
            ports,
            port_pool: Pool::new(port_count, low_ports, chance),
        };
        // The first address is that of the `kubernetes` service, which is made before all others.
        for service in db.list("services/specs", None) {
            let service = service.value();
            for address in addresses(&service) {
                if let Some(offset) = allocator.range.offset(address) {
                    allocator.addresses.note(offset);
                }
            }
            for port in node_ports(&service) {
                if let Some(offset) = allocator.port_offset(port) {
                    allocator.port_pool.note(offset);
                }
            }
        }
        allocator
    }

    fn port_offset(&self, port: u64) -> Option<u32> {
        let port = u16::try_from(port).ok()?;
        self.ports.contains(&port).then(|| u32::from(port - self.ports.start()))
    }

    /// Fills in what the service gets.
    pub(super) fn begin(
        &self,
        call: &Call<'_>,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation, Status> {
        let mut reservation = Reservation::default();
        if !service["spec"].is_object() {
            return Ok(reservation);
        }
        let name = text(&service["metadata"]["name"]).to_owned();
        list_address(service);
        let mut errors = FieldErrors::new();
        cox_api::kinds::service::families::object(service, &mut errors);
        call.refuse_invalid(&name, &errors)?;
        if let Err(errors) = super::families::settle(service, old) {
            call.refuse_invalid(&name, &errors)?;
        }
        let mut errors = FieldErrors::new();
        self.take_address(service, old, &mut reservation, &mut errors);
        self.take_ports(service, old, &mut reservation, &mut errors);
        call.refuse_invalid(&name, &errors)?;
        if let Some(old) = old {
            let (now, ports) = (addresses(service), node_ports(service));
            let gone = addresses(old).into_iter().filter(|address| !now.contains(address));
            for offset in gone.filter_map(|address| self.range.offset(address)) {
                reservation.given_up.push((self.addresses.clone(), offset));
            }
            let gone = node_ports(old).into_iter().filter(|port| !ports.contains(port));
            for offset in gone.filter_map(|port| self.port_offset(port)) {
                reservation.given_up.push((self.port_pool.clone(), offset));
            }
        }
        if call.options.dry_run {
            // Nothing is held for a write that doesn't happen: the claims go with the reservation.
            return Ok(Reservation::default());
        }
        Ok(reservation)
    }

    fn take_address(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        reservation: &mut Reservation,
        errors: &mut FieldErrors,
    ) {
        let listed = service["spec"]["clusterIPs"].as_array().is_some_and(|list| !list.is_empty());
        let asked = text(&service["spec"]["clusterIP"]).to_owned();
        if !needs_address(service) || (asked.is_empty() && listed) {
            return;
        }
        let spec = &mut service["spec"];
        if asked.is_empty() {
            let Some(claim) = self.addresses.take_any() else {
                let detail = "failed to allocate a serviceIP: range is full";
                errors.invalid(&Path::new("spec.clusterIPs"), &json!([]), detail);
                return;
            };
            let address = self.range.address(claim.number()).to_string();
            spec["clusterIP"] = address.as_str().into();
            spec["clusterIPs"] = json!([address]);
            reservation.taken.push(claim);
            return;
        }
        // What isn't an address is for validation to refuse.
        let Ok(address) = asked.parse::<Ipv4Addr>() else { return };
        if old.is_some_and(|old| addresses(old).contains(&address)) {
            return;
        }
        // An update can't change an address: validation says so.
        if old.is_some_and(|old| needs_address(old) && !text(&old["spec"]["clusterIP"]).is_empty()) {
            return;
        }
        let refused = match self.range.offset(address) {
            None => "the provided network does not match the current range",
            Some(offset) => match self.addresses.take(offset) {
                Some(claim) => {
                    reservation.taken.push(claim);
                    return;
                }
                None => "provided IP is already allocated",
            },
        };
        let detail = format!("failed to allocate IP {address}: {refused}");
        errors.invalid(&Path::new("spec.clusterIPs"), &spec["clusterIPs"], detail);
    }

    fn take_ports(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        reservation: &mut Reservation,
        errors: &mut FieldErrors,
    ) {
        let needs = needs_ports(service);
        let held = old.map(node_ports).unwrap_or_default();
        let mut own: Vec<u64> = Vec::new();
        let wants_health = needs_health_port(service);
        if may_have_ports(service) {
            for (at, port) in service["spec"]["ports"].as_array_mut().into_iter().flatten().enumerate() {
                let asked = port["nodePort"].as_u64().unwrap_or(0);
                if asked == 0 {
                    continue;
                }
                let path = Path::new("spec.ports");
                let path = path.index(at);
                let path = path.child("nodePort");
                self.take_port(asked, &held, &mut own, &path, reservation, errors);
            }
            for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
                if !needs || port["nodePort"].as_u64().unwrap_or(0) != 0 {
                    continue;
                }
                if let Some(number) = self.take_any_port(reservation) {
                    own.push(number);
                    port["nodePort"] = number.into();
                } else {
                    let detail = "failed to allocate a nodePort: range is full";
                    errors.invalid(&Path::new("spec.ports"), &Value::Null, detail);
                }
            }
        }
        if wants_health {
            let asked = service["spec"]["healthCheckNodePort"].as_u64().unwrap_or(0);
            if asked != 0 {
                let path = Path::new("spec.healthCheckNodePort");
                self.take_port(asked, &held, &mut own, &path, reservation, errors);
            } else if let Some(number) = self.take_any_port(reservation) {
                service["spec"]["healthCheckNodePort"] = number.into();
            }
        }
    }

    fn take_any_port(&self, reservation: &mut Reservation) -> Option<u64> {
        let claim = self.port_pool.take_any()?;
        let number = u64::from(*self.ports.start()) + u64::from(claim.number());
        reservation.taken.push(claim);
        Some(number)
    }

    fn take_port(
        &self,
        asked: u64,
        held: &[u64],
        own: &mut Vec<u64>,
        path: &Path<'_>,
        reservation: &mut Reservation,
        errors: &mut FieldErrors,
    ) {
        // TCP and UDP may share a number within a service.
        if held.contains(&asked) || own.contains(&asked) {
            own.push(asked);
            return;
        }
        let Some(offset) = self.port_offset(asked) else {
            let (from, to) = (self.ports.start(), self.ports.end());
            let detail = format!(
                "provided port is not in the valid range. The range of valid ports is {from}-{to}"
            );
            errors.invalid(path, &asked.into(), detail);
            return;
        };
        match self.port_pool.take(offset) {
            Some(claim) => {
                own.push(asked);
                reservation.taken.push(claim);
            }
            None => errors.invalid(path, &asked.into(), "provided port is already allocated"),
        }
    }

    /// A service is gone.
    pub(super) fn released(&self, service: &Value) {
        for offset in addresses(service).into_iter().filter_map(|address| self.range.offset(address)) {
            self.addresses.release(offset);
        }
        for offset in node_ports(service).into_iter().filter_map(|port| self.port_offset(port)) {
            self.port_pool.release(offset);
        }
    }
}

/// An address that stands alone is the first of the list.
fn list_address(service: &mut Value) {
    let spec = &mut service["spec"];
    let listed = spec["clusterIPs"].as_array().is_some_and(|list| !list.is_empty());
    if !text(&spec["clusterIP"]).is_empty() && !listed {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
}
