//! What all pods of a node share: the gateway device, forwarding, routes to the other nodes. And the end of it
//! all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use cox_sys::netlink::{
    self, Batch, LinkChange, LinkRef, Nft, ROUTE_PROTOCOL, Route, Rtnl, Transaction, netns,
};

use crate::cidr::v4;
use crate::rules::Prefix;
use crate::{Cidr, Error, Netns, NodeNetConfig, Result};

/// Makes (or completes) the gateway device: a bridge without ports, which serves as the dummy device that not
/// every kernel has. It carries the node's address in the pod CIDR, and the routes to what no pod has: the
/// service CIDR, so that a connection to a cluster IP finds a way before it is translated.
pub(crate) fn bring_up(config: &NodeNetConfig, rtnl: &mut Rtnl) -> Result<()> {
    let name = config.id.gateway_link();
    let mut batch = Batch::new();
    batch.add_bridge(&name, config.mtu);
    rtnl.execute_unless(batch, netlink::Error::is_exists).map_err(Error::netlink("make gateway device"))?;
    let link = rtnl.link(&name).map_err(Error::netlink("find gateway device"))?;
    let index = link.map(|l| l.index).ok_or_else(|| Error::Invalid {
        field: "interface",
        reason: format!("{name} vanished while it was set up"),
    })?;
    let gateway = v4(config.gateway_address(), "podCIDR")?;
    let (service, length) = config.service_cidr.v4("serviceCIDR")?;
    let mut batch = Batch::new();
    let ipv6 = Path::new("/proc/sys/net/ipv6").exists();
    batch.set_link(
        LinkRef::Index(index),
        &LinkChange { up: Some(true), no_ipv6_address: ipv6, ..LinkChange::default() },
    );
    batch.add_address(index, gateway, config.pod_cidr.length());
    batch.replace_route(&Route { source: Some(gateway), ..Route::direct(service, length, index) });
    rtnl.execute(batch).map_err(Error::netlink("set up gateway device"))?;
    netns::write_setting("ipv4/ip_forward", "1").map_err(Error::netlink("turn on ip_forward"))
}

/// Brings the routes to other nodes' pods to `desired`.
pub(crate) fn peer_routes(
    config: &NodeNetConfig,
    rtnl: &mut Rtnl,
    desired: &BTreeMap<Cidr, IpAddr>,
) -> Result<()> {
    let mut wanted: BTreeMap<(Ipv4Addr, u8), Ipv4Addr> = BTreeMap::new();
    for (prefix, via) in desired {
        if *prefix != config.pod_cidr {
            wanted.insert(prefix.v4("peer podCIDR")?, v4(*via, "peer address")?);
        }
    }
    let mut batch = Batch::new();
    for route in rtnl.routes().map_err(Error::netlink("list routes"))? {
        if !is_peer_route(config, &route) {
            continue;
        }
        match wanted.get(&(route.to, route.length)) {
            Some(via) if route.via == Some(*via) => {
                wanted.remove(&(route.to, route.length));
            }
            // Replaced below.
            Some(_) => {}
            None => batch.del_route(&route),
        }
    }
    for ((to, length), via) in wanted {
        batch.replace_route(&Route::via(to, length, via));
    }
    rtnl.execute(batch).map_err(Error::netlink("set routes to peers"))
}

fn is_peer_route(config: &NodeNetConfig, route: &Route) -> bool {
    route.protocol == ROUTE_PROTOCOL
        && route.via.is_some()
        && config.cluster_cidr.contains(route.to.into())
        && route.length >= config.cluster_cidr.length()
}

/// What can't be had, and why.
type Refused = Vec<(Cidr, String)>;

/// Brings the routes to what cluster IPs come out of besides the configured prefix to `desired`: as for that one, so
/// that a connection finds a way before it is translated. Answers with those that are in force, in order, and with
/// those that can't be and why: what the machine reaches otherwise stays reachable.
pub(crate) fn service_routes(
    config: &NodeNetConfig,
    rtnl: &mut Rtnl,
    desired: &BTreeSet<Cidr>,
) -> Result<(Vec<Prefix>, Refused)> {
    let name = config.id.gateway_link();
    let link = rtnl.link(&name).map_err(Error::netlink("find gateway device"))?;
    let index = link
        .map(|link| link.index)
        .ok_or_else(|| Error::Invalid { field: "interface", reason: format!("{name} is gone") })?;
    let gateway = v4(config.gateway_address(), "podCIDR")?;
    let routes = rtnl.routes().map_err(Error::netlink("list routes"))?;
    let is_ours = |route: &Route| {
        route.protocol == ROUTE_PROTOCOL && route.via.is_none() && route.interface == Some(index)
    };
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for cidr in desired.iter().filter(|cidr| !config.service_cidr.covers(cidr)) {
        let foreign = routes
            .iter()
            .filter(|route| !is_ours(route) && route.length > 0)
            .filter_map(|route| Cidr::new(route.to.into(), route.length))
            .find(|route| route.overlaps(cidr));
        match cidr.v4("serviceCIDR") {
            Err(error) => refused.push((*cidr, error.to_string())),
            Ok(_) if cidr.overlaps(&config.cluster_cidr) => {
                refused.push((*cidr, format!("pods have their addresses in {}", config.cluster_cidr)));
            }
            Ok(_) if cidr.contains(config.node_ip) => {
                refused.push((*cidr, format!("the node's own address {} is in it", config.node_ip)));
            }
            Ok(prefix) => match foreign {
                Some(route) => refused.push((*cidr, format!("the machine has a route to {route}"))),
                None => accepted.push(prefix),
            },
        }
    }
    let own = config.service_cidr.v4("serviceCIDR")?;
    let mut batch = Batch::new();
    for route in routes.iter().filter(|route| is_ours(route)) {
        let place = (route.to, route.length);
        if place != own && !accepted.contains(&place) {
            batch.del_route(route);
        }
    }
    for &(to, length) in &accepted {
        batch.replace_route(&Route { source: Some(gateway), ..Route::direct(to, length, index) });
    }
    if !batch.is_empty() {
        rtnl.execute(batch).map_err(Error::netlink("set routes to services"))?;
    }
    Ok((accepted, refused))
}

/// Removes everything of `config`. To be called on a thread of its own.
pub(crate) fn purge(config: &NodeNetConfig) -> Result<()> {
    match &config.netns {
        Netns::Host => purge_kernel(config)?,
        Netns::Path(path) => {
            if netns::is_pinned(path).map_err(Error::netlink("find node's network namespace"))? {
                let file = netns::open(path).map_err(Error::netlink("open node's network namespace"))?;
                netlink::in_netns(std::os::fd::AsFd::as_fd(&file), || purge_kernel(config))
                    .map_err(Error::netlink("enter node's network namespace"))??;
            }
        }
    }
    let pins = config.state_dir.join("netns");
    for entry in entries(&pins)? {
        netns::unpin(&entry).map_err(Error::netlink("unpin network namespace"))?;
    }
    let pods = config.state_dir.join("pods");
    for entry in entries(&pods)? {
        remove(fs::remove_file(&entry), &entry)?;
    }
    for dir in [&pins, &pods] {
        remove(fs::remove_dir(dir), dir)?;
    }
    // Others may keep things there.
    let _ = fs::remove_dir(&config.state_dir);
    Ok(())
}

fn purge_kernel(config: &NodeNetConfig) -> Result<()> {
    let mut rtnl = Rtnl::open().map_err(Error::netlink("open rtnetlink"))?;
    let mut batch = Batch::new();
    let dead = LinkChange { group: Some(config.id.group_dead()), ..LinkChange::default() };
    for link in rtnl.links().map_err(Error::netlink("list interfaces"))? {
        if link.name == config.id.gateway_link() || config.id.pod_link_offset(&link.name).is_some() {
            batch.set_link(LinkRef::Index(link.index), &dead);
        }
    }
    if !batch.is_empty() {
        batch.del_link_group(config.id.group_dead());
    }
    for route in rtnl.routes().map_err(Error::netlink("list routes"))? {
        if is_peer_route(config, &route) {
            batch.del_route(&route);
        }
    }
    rtnl.execute_unless(batch, netlink::Error::is_not_found)
        .map_err(Error::netlink("delete interfaces and routes"))?;
    delete_table(&config.id.policy_table())?;
    delete_table(&config.id.table())
}

/// Deletes an nftables table, if it exists.
pub(crate) fn delete_table(name: &str) -> Result<()> {
    let mut nft = Nft::open().map_err(Error::netlink("open nf_tables"))?;
    let mut transaction = Transaction::new(name);
    transaction.del_table();
    match nft.commit(transaction) {
        Err(error) if !error.is_not_found() => {
            Err(Error::Netlink { action: "delete nftables table", source: error })
        }
        _ => Ok(()),
    }
}

/// The files in a directory, sorted; none when there is no directory.
pub(crate) fn entries(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let listing = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::file("read", dir))?,
    };
    let mut found = Vec::new();
    for entry in listing {
        found.push(entry.map_err(Error::file("read", dir))?.path());
    }
    found.sort();
    Ok(found)
}

fn remove(result: io::Result<()>, path: &Path) -> Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}
