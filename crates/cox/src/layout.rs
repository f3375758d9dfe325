//! Where everything of a cluster is, and what its nodes are called: kept in the data directory so that every
//! command, and the next start, agrees with the first.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cox_network::{Cidr, FabricConfig, NetId, Netns, NodeNetConfig, READY_SLOTS_DEFAULT};
use cox_runtime::RuntimeConfig;
use serde::{Deserialize, Serialize};

/// Bytes of a pod interface's packets.
const MTU: u32 = 1400;
/// Bits of a node's pod prefix.
const NODE_PREFIX_BITS: u8 = 24;
/// The first node's last address byte on the fabric.
const FIRST_NODE: u32 = 11;

/// A cluster of this machine, as a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    #[serde(skip)]
    pub(crate) data_dir: PathBuf,
    /// Names of the nodes, in order; empty without nodes.
    pub(crate) nodes: Vec<String>,
    /// Addresses of pods.
    pub(crate) pod_cidr: String,
    /// Addresses of services.
    pub(crate) service_cidr: String,
    /// Addresses of nodes, where there are several.
    pub(crate) node_cidr: String,
}

impl Layout {
    /// The file that keeps it.
    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("cluster.json")
    }

    /// What an earlier start has written.
    pub(crate) fn read(data_dir: &Path) -> Result<Option<Layout>> {
        let file = Layout::file(data_dir);
        let text = match std::fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("reading {}", file.display()))?,
        };
        let mut layout: Layout =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
        layout.data_dir = data_dir.to_owned();
        Ok(Some(layout))
    }

    /// Keeps it; refuses to change what pods of an earlier start depend on.
    pub(crate) fn keep(&self) -> Result<()> {
        if let Some(before) = Layout::read(&self.data_dir)? {
            let fixed = |layout: &Layout| (layout.pod_cidr.clone(), layout.service_cidr.clone());
            if fixed(&before) != fixed(self)
                || (before.nodes != self.nodes && !before.nodes.is_empty() && !self.nodes.is_empty())
            {
                bail!(
                    "{} holds a cluster with nodes {:?}, pods in {} and services in {}; \
                     start it with the same flags, or remove it first: cox down --purge --data-dir {}",
                    self.data_dir.display(),
                    before.nodes,
                    before.pod_cidr,
                    before.service_cidr,
                    self.data_dir.display()
                );
            }
        }
        let file = Layout::file(&self.data_dir);
        let fresh = file.with_extension("json.new");
        std::fs::write(&fresh, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing {}", fresh.display()))?;
        std::fs::rename(&fresh, &file).with_context(|| format!("writing {}", file.display()))?;
        Ok(())
    }

    /// Whether nodes live in network namespaces of their own.
    pub(crate) fn has_fabric(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The name that everything of this cluster in the kernel is derived from.
    pub(crate) fn fabric_config(&self) -> Result<FabricConfig> {
        Ok(FabricConfig {
            id: NetId::derive(&self.data_dir.to_string_lossy()),
            subnet: parse(&self.node_cidr, "node addresses")?,
            cluster_cidr: parse(&self.pod_cidr, "--pod-cidr")?,
            mtu: MTU,
            state_dir: self.data_dir.join("fabric"),
        })
    }

    /// The nodes.
    pub(crate) fn node_layouts(&self) -> Result<Vec<NodeLayout>> {
        (0..self.nodes.len()).map(|index| self.node(index)).collect()
    }

    fn node(&self, index: usize) -> Result<NodeLayout> {
        let name = self.nodes[index].clone();
        let number = u32::try_from(index)?;
        let cluster = v4(&self.pod_cidr, "--pod-cidr")?;
        let pods = Ipv4Addr::from(u32::from(cluster) + (number << (32 - u32::from(NODE_PREFIX_BITS))));
        let gateway = Ipv4Addr::from(u32::from(pods) + 1);
        let ip = if self.has_fabric() {
            Ipv4Addr::from(u32::from(v4(&self.node_cidr, "node addresses")?) + FIRST_NODE + number)
        } else {
            gateway
        };
        let id = NetId::derive(&format!("{}\0{name}", self.data_dir.display()));
        Ok(NodeLayout {
            dir: self.data_dir.join("nodes").join(&name),
            pod_cidr: parse(&format!("{pods}/{NODE_PREFIX_BITS}"), "--pod-cidr")?,
            cluster_cidr: parse(&self.pod_cidr, "--pod-cidr")?,
            service_cidr: parse(&self.service_cidr, "--service-cidr")?,
            ip: ip.into(),
            name,
            id,
        })
    }

    /// The address under which pods reach the API server; none without nodes.
    pub(crate) fn api_address(&self) -> Result<Option<IpAddr>> {
        if self.has_fabric() {
            let first = Ipv4Addr::from(u32::from(v4(&self.node_cidr, "node addresses")?) + 1);
            return Ok(Some(first.into()));
        }
        Ok(self.node_layouts()?.first().map(|node| node.ip))
    }

    /// The address of the service `kubernetes`: the first of the service addresses.
    pub(crate) fn kubernetes_service_ip(&self) -> Result<IpAddr> {
        Ok(Ipv4Addr::from(u32::from(v4(&self.service_cidr, "--service-cidr")?) + 1).into())
    }
}

fn parse(text: &str, what: &str) -> Result<Cidr> {
    text.parse().with_context(|| format!("{what}: {text:?}"))
}

fn v4(cidr: &str, what: &str) -> Result<Ipv4Addr> {
    let address = cidr.split('/').next().unwrap_or_default();
    address.parse().with_context(|| format!("{what}: {cidr:?} is not an IPv4 prefix such as 10.42.0.0/16"))
}

/// A node of a cluster, as a value.
#[derive(Clone, Debug)]
pub(crate) struct NodeLayout {
    /// Its name.
    pub(crate) name: String,
    /// What its things in the kernel are named after.
    pub(crate) id: NetId,
    /// Everything of it on disk.
    pub(crate) dir: PathBuf,
    /// Its pods' addresses.
    pub(crate) pod_cidr: Cidr,
    cluster_cidr: Cidr,
    service_cidr: Cidr,
    /// Its own address.
    pub(crate) ip: IpAddr,
}

impl NodeLayout {
    /// Its runtime.
    pub(crate) fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            state_dir: self.dir.join("runtime"),
            cgroup_root: format!("cox-{}", self.id),
            node_name: self.name.clone(),
        }
    }

    /// Its network, in a namespace of its own or the process's.
    pub(crate) fn network(&self, netns: Option<&Path>) -> NodeNetConfig {
        NodeNetConfig {
            id: self.id.clone(),
            netns: netns.map_or(Netns::Host, |path| Netns::Path(path.to_owned())),
            pod_cidr: self.pod_cidr,
            cluster_cidr: self.cluster_cidr,
            service_cidr: self.service_cidr,
            node_ip: self.ip,
            mtu: MTU,
            state_dir: self.dir.join("network"),
            ready_slots: READY_SLOTS_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(nodes: &[&str]) -> Layout {
        Layout {
            data_dir: "/x".into(),
            nodes: nodes.iter().map(|name| (*name).to_owned()).collect(),
            pod_cidr: "10.42.0.0/16".into(),
            service_cidr: "10.43.0.0/16".into(),
            node_cidr: "10.41.0.0/24".into(),
        }
    }

    #[test]
    fn addresses_are_laid_out() {
        let one = layout(&["a"]);
        assert_eq!(one.api_address().unwrap().unwrap().to_string(), "10.42.0.1");
        assert_eq!(one.kubernetes_service_ip().unwrap().to_string(), "10.43.0.1");
        let two = layout(&["a", "b"]);
        assert_eq!(two.api_address().unwrap().unwrap().to_string(), "10.41.0.1");
        let nodes = two.node_layouts().unwrap();
        assert_eq!(nodes[1].ip.to_string(), "10.41.0.12");
        assert_eq!(nodes[1].pod_cidr.to_string(), "10.42.1.0/24");
        assert_ne!(nodes[0].id, nodes[1].id);
        assert!(layout(&[]).api_address().unwrap().is_none());
    }

    #[test]
    fn a_cluster_keeps_its_addresses() {
        let temp = tempfile::tempdir().unwrap();
        let first = Layout { data_dir: temp.path().to_owned(), ..layout(&["a"]) };
        first.keep().unwrap();
        first.keep().unwrap();
        assert_eq!(Layout::read(temp.path()).unwrap().unwrap(), first);
        let other = Layout { pod_cidr: "10.44.0.0/16".into(), ..first };
        assert!(other.keep().unwrap_err().to_string().contains("cox down --purge"));
    }
}
