//! Who has which pod network: files, so that a restart finds it. The kernel's side is the other half of the
//! truth: after a reboot the files are there and the networks are not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::base::entries;
use crate::{Error, HostPort, PodNetwork, Protocol, Result};

const OWNER_LENGTH_MAX: usize = 128;
/// Files that are being written start with what no owner starts with.
const UNFINISHED: &str = ".new-";

/// The pods of one node.
pub(crate) struct Pods {
    dir: PathBuf,
    by_owner: BTreeMap<String, PodNetwork>,
}

// === impl Pods ===

impl Pods {
    /// Reads what an earlier process left. A file that can't be read as what it should be is removed: it was
    /// cut short by the machine's end, which also ended the network it names.
    pub fn load(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
        let mut by_owner = BTreeMap::new();
        for path in entries(&dir)? {
            let text = fs::read(&path).map_err(Error::file("read", &path))?;
            let unfinished =
                path.file_name().is_none_or(|name| name.to_string_lossy().starts_with(UNFINISHED));
            match serde_json::from_slice::<PodNetwork>(&text) {
                Ok(pod) if !unfinished => {
                    by_owner.insert(pod.owner.clone(), pod);
                }
                _ => fs::remove_file(&path).map_err(Error::file("remove", &path))?,
            }
        }
        Ok(Pods { dir, by_owner })
    }

    pub fn get(&self, owner: &str) -> Option<&PodNetwork> {
        self.by_owner.get(owner)
    }

    pub fn all(&self) -> impl Iterator<Item = &PodNetwork> {
        self.by_owner.values()
    }

    /// Writes a pod down, as a whole or not at all. It is not synced to disk: it says nothing that outlives
    /// the kernel's memory.
    pub fn put(&mut self, pod: PodNetwork) -> Result<()> {
        let new = self.dir.join(format!("{UNFINISHED}{}", pod.owner));
        let path = self.dir.join(&pod.owner);
        let text =
            serde_json::to_vec(&pod).map_err(|e| Error::file("encode", &path)(std::io::Error::other(e)))?;
        fs::write(&new, text).map_err(Error::file("write", &new))?;
        fs::rename(&new, &path).map_err(Error::file("rename", &new))?;
        self.by_owner.insert(pod.owner.clone(), pod);
        Ok(())
    }

    pub fn remove(&mut self, owner: &str) -> Result<()> {
        let path = self.dir.join(owner);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", path)(error))
            }
            _ => {
                self.by_owner.remove(owner);
                Ok(())
            }
        }
    }

    /// Refuses host ports that another pod has, or that are asked for twice.
    pub fn check_host_ports(&self, owner: &str, wanted: &[HostPort]) -> Result<()> {
        let mut seen: BTreeSet<(Protocol, u16, Option<std::net::IpAddr>)> = BTreeSet::new();
        for port in wanted {
            if !seen.insert((port.protocol, port.host_port, port.host_ip)) {
                let reason = format!("{}/{} is asked for twice", port.host_port, port.protocol);
                return Err(Error::Invalid { field: "hostPort", reason });
            }
            if port.host_port == 0 || port.pod_port == 0 {
                let reason = "must be between 1 and 65535, inclusive".to_owned();
                return Err(Error::Invalid { field: "hostPort", reason });
            }
            for other in self.by_owner.values().filter(|other| other.owner != owner) {
                if other.host_ports.iter().any(|taken| collide(taken, port)) {
                    return Err(Error::HostPortTaken {
                        port: port.host_port,
                        protocol: port.protocol,
                        owner: other.owner.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn collide(a: &HostPort, b: &HostPort) -> bool {
    let same_address = a.host_ip.is_none() || b.host_ip.is_none() || a.host_ip == b.host_ip;
    a.protocol == b.protocol && a.host_port == b.host_port && same_address
}

/// An owner becomes a file name.
pub(crate) fn check_owner(owner: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if owner.is_empty()
        || owner.len() > OWNER_LENGTH_MAX
        || owner.starts_with('.')
        || !owner.bytes().all(allowed)
    {
        let reason = format!(
            "{owner:?} must be 1 to {OWNER_LENGTH_MAX} letters, digits, '-', '_' or '.', not starting with '.'"
        );
        return Err(Error::Invalid { field: "owner", reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(owner: &str, ports: &[(Option<&str>, u16)]) -> PodNetwork {
        let host_ports = ports
            .iter()
            .map(|(ip, port)| HostPort {
                host_ip: ip.map(|ip| ip.parse().unwrap()),
                host_port: *port,
                pod_port: 80,
                protocol: Protocol::Tcp,
            })
            .collect();
        PodNetwork {
            owner: owner.into(),
            netns_path: "/x".into(),
            ip: "10.42.0.2".parse().unwrap(),
            node_interface: "v".into(),
            host_ports,
        }
    }

    #[test]
    fn survives_a_restart_and_torn_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut pods = Pods::load(dir.path().join("pods")).unwrap();
        pods.put(pod("a", &[])).unwrap();
        pods.put(pod("b", &[])).unwrap();
        pods.remove("b").unwrap();
        pods.remove("b").unwrap();
        fs::write(dir.path().join("pods/c"), b"{\"owner\":").unwrap();
        fs::write(dir.path().join("pods/.new-d"), b"").unwrap();
        let again = Pods::load(dir.path().join("pods")).unwrap();
        assert_eq!(again.all().map(|p| p.owner.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(fs::read_dir(dir.path().join("pods")).unwrap().count(), 1);
    }

    #[test]
    fn host_ports_collide_by_address() {
        let dir = tempfile::tempdir().unwrap();
        let mut pods = Pods::load(dir.path().join("pods")).unwrap();
        pods.put(pod("a", &[(Some("127.0.0.1"), 80), (None, 81)])).unwrap();
        let check = |ports| pods.check_host_ports("b", &pod("b", ports).host_ports);
        assert!(check(&[(Some("10.41.0.1"), 80)]).is_ok());
        assert!(check(&[(Some("127.0.0.1"), 80)]).is_err());
        assert!(check(&[(None, 80)]).is_err());
        assert!(check(&[(Some("127.0.0.1"), 81)]).is_err());
        assert!(check(&[(None, 82), (None, 82)]).is_err());
        assert!(pods.check_host_ports("a", &pod("a", &[(None, 81)]).host_ports).is_ok());
    }

    #[test]
    fn owners_are_file_names() {
        for bad in ["", ".", "..", ".new-a", "a/b", "a b"] {
            assert!(check_owner(bad).is_err(), "{bad}");
        }
        assert!(check_owner("0d9bcd0e-5d0f-4f5e-9f2a-1c2d3e4f5a6b").is_ok());
    }
}
