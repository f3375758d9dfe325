//! Cluster IPs and node ports.
//! Source: <https://kubernetes.io/docs/concepts/services-networking/service/>

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use cox_api::{FieldErrors, Path, Status};
use serde_json::{Value, json};

use super::Reservation;
use super::addresses::Addresses;
use super::pool::Pool;
use crate::config::Config;
use crate::core::call::Call;
use crate::db::Db;

/// The port whose number was asked for: index and number; none where any number would have done.
type Asked = Option<(usize, i64)>;

/// Addresses and ports of services.
pub(super) struct ServiceAllocator {
    addresses: Addresses,
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
pub(crate) fn addresses(service: &Value) -> Vec<Ipv4Addr> {
    service["spec"]["clusterIPs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|ip| text(ip).parse().ok())
        .collect()
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
        let ports = config.node_ports.clone();
        let port_count = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
        let low_ports = (port_count / 32).clamp(16, 128);
        let allocator = ServiceAllocator {
            addresses: Addresses::new(db.clone(), chance.clone()),
            ports,
            port_pool: Pool::new(port_count, low_ports, chance),
        };
        for service in db.list("services/specs", None) {
            for port in node_ports(&service.value()) {
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
        call.refuse_invalid(&name, service, &errors)?;
        if let Err(errors) = super::families::settle(service, old) {
            call.refuse_invalid(&name, service, &errors)?;
        }
        let mut errors = FieldErrors::new();
        self.take_address(service, old, call.options.dry_run, &mut reservation, &mut errors)
            .map_err(Status::internal)?;
        call.refuse_invalid(&name, service, &errors)?;
        if let Err((asked, why)) = self.take_node_ports(service, old, &mut reservation) {
            let Some((at, number)) = asked else { return Err(Status::internal(why)) };
            let path = Path::new("spec.ports");
            errors.invalid(&path.index(at).child("nodePort"), &number.into(), why);
            call.refuse_invalid(&name, service, &errors)?;
        }
        self.take_health_port(service, old, &mut reservation).map_err(Status::internal)?;
        if let Some(old) = old {
            let (now, ports) = (addresses(service), node_ports(service));
            let gone = addresses(old).into_iter().filter(|address| !now.contains(address));
            reservation.addresses_given_up.extend(gone);
            let gone = node_ports(old).into_iter().filter(|port| !ports.contains(port));
            for offset in gone.filter_map(|port| self.port_offset(port)) {
                reservation.ports_given_up.push((self.port_pool.clone(), offset));
            }
        }
        if call.options.dry_run {
            // Nothing is held for a write that doesn't happen: the claims go with the reservation.
            return Ok(Reservation::default());
        }
        Ok(reservation)
    }

    /// # Errors
    /// Where there is none left.
    fn take_address(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
        reservation: &mut Reservation,
        errors: &mut FieldErrors,
    ) -> Result<(), &'static str> {
        let listed = service["spec"]["clusterIPs"].as_array().is_some_and(|list| !list.is_empty());
        let asked = text(&service["spec"]["clusterIP"]).to_owned();
        if !needs_address(service) || (asked.is_empty() && listed) {
            return Ok(());
        }
        let spec = &mut service["spec"];
        if asked.is_empty() {
            const FULL: &str = "failed to allocate a serviceIP: range is full";
            let address = if dry_run {
                self.addresses.any_dry().ok_or(FULL)?.to_string()
            } else {
                let claim = self.addresses.take_any().ok_or(FULL)?;
                let address = claim.address().to_string();
                reservation.addresses.push(claim);
                address
            };
            spec["clusterIP"] = address.as_str().into();
            spec["clusterIPs"] = json!([address]);
            return Ok(());
        }
        // What isn't an address is for validation to refuse.
        let Ok(address) = asked.parse::<Ipv4Addr>() else { return Ok(()) };
        if old.is_some_and(|old| addresses(old).contains(&address)) {
            return Ok(());
        }
        // An update can't change an address: validation says so.
        if old.is_some_and(|old| needs_address(old) && !text(&old["spec"]["clusterIP"]).is_empty()) {
            return Ok(());
        }
        let taken = if dry_run {
            self.addresses.check_dry(address)
        } else {
            self.addresses.take(address).map(|claim| reservation.addresses.push(claim))
        };
        if let Err(why) = taken {
            let detail = format!("failed to allocate IP {address}: {why}");
            errors.invalid(&Path::new("spec.clusterIPs"), &spec["clusterIPs"], detail);
        }
        Ok(())
    }

    /// Node ports of the ports, or what can't be had and why.
    fn take_node_ports(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        reservation: &mut Reservation,
    ) -> Result<(), (Asked, String)> {
        if !may_have_ports(service) {
            return Ok(());
        }
        let needs = needs_ports(service);
        let held = old.map(node_ports).unwrap_or_default();
        let Some(ports) = service["spec"]["ports"].as_array_mut() else { return Ok(()) };
        let asked = |port: &Value| port["nodePort"].as_i64().unwrap_or(0);
        let mut own: Vec<i64> = Vec::new();
        for at in 0..ports.len() {
            let mut number = asked(&ports[at]);
            if number == 0 && !needs {
                continue;
            }
            // A new service has one node port for a port of several protocols; a changed one, what it says.
            let same = |other: &&Value| other["port"] == ports[at]["port"] && asked(other) != 0;
            if number == 0 && old.is_none() {
                number = ports.iter().find(same).map_or(0, asked);
            }
            let shared = match old {
                None => ports[..at].iter().filter(same).any(|other| asked(other) == number),
                Some(_) => own.contains(&number),
            };
            if number == 0 {
                let claim = self.port_pool.take_any();
                let full = || (None, "failed to allocate a nodePort: range is full".to_owned());
                let claim = claim.ok_or_else(full)?;
                number = i64::from(*self.ports.start()) + i64::from(claim.number());
                reservation.ports.push(claim);
            } else if !shared && !u64::try_from(number).is_ok_and(|number| held.contains(&number)) {
                let claim = self.take_port(number).map_err(|why| (Some((at, number)), why))?;
                reservation.ports.push(claim);
            }
            own.push(number);
            ports[at]["nodePort"] = number.into();
        }
        Ok(())
    }

    /// The port for questions of health, where the service has none yet.
    fn take_health_port(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        reservation: &mut Reservation,
    ) -> Result<(), String> {
        if !needs_health_port(service) || old.is_some_and(needs_health_port) {
            return Ok(());
        }
        let asked = service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0);
        if asked == 0 {
            let claim = self.port_pool.take_any();
            let claim = claim.ok_or("failed to allocate a HealthCheck NodePort 0: range is full")?;
            service["spec"]["healthCheckNodePort"] =
                (u64::from(*self.ports.start()) + u64::from(claim.number())).into();
            reservation.ports.push(claim);
            return Ok(());
        }
        let claim = self.take_port(asked);
        let claim = claim
            .map_err(|why| format!("failed to allocate requested HealthCheck NodePort {asked}: {why}"))?;
        reservation.ports.push(claim);
        Ok(())
    }

    fn take_port(&self, asked: i64) -> Result<super::pool::Claim, String> {
        let Some(offset) = u64::try_from(asked).ok().and_then(|asked| self.port_offset(asked)) else {
            let (from, to) = (self.ports.start(), self.ports.end());
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {from}-{to}"
            ));
        };
        self.port_pool.take(offset).ok_or_else(|| "provided port is already allocated".to_owned())
    }

    /// A service is gone: its ports can be given again. Its addresses went with their objects.
    pub(super) fn released(&self, service: &Value) {
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
