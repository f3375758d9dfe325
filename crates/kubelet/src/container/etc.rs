//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a pod.
//! Sources: <https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/>,
//! <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>

use k8s_openapi::api::core::v1::Pod;

use crate::pod::spec;

/// Linux' limit for a host name, bytes.
const HOSTNAME_BYTES_MAX: usize = 63;

/// DNS as pods of this node get it.
#[derive(Clone, Debug, Default)]
pub struct DnsConfig {
    /// Addresses of the cluster's DNS; empty where there is none.
    pub servers: Vec<String>,
    /// As in `cluster.local`.
    pub cluster_domain: String,
}

/// The pod's host name and its domain (empty without `subdomain`).
pub(crate) fn hostname(pod: &Pod, cluster_domain: &str) -> (String, String) {
    let spec = spec::spec(pod);
    if let Some(name) = &spec.hostname_override {
        return (name.clone(), String::new());
    }
    let mut name =
        spec.hostname.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| spec::name(pod).to_owned());
    name.truncate(HOSTNAME_BYTES_MAX);
    let name = name.trim_end_matches(['-', '.']).to_owned();
    let domain = spec
        .subdomain
        .as_deref()
        .filter(|subdomain| !subdomain.is_empty())
        .map(|subdomain| format!("{subdomain}.{}.svc.{cluster_domain}", spec::namespace(pod)))
        .unwrap_or_default();
    if spec.set_hostname_as_fqdn == Some(true) && !domain.is_empty() {
        return (format!("{name}.{domain}"), domain);
    }
    (name, domain)
}

/// The hosts file of a pod with a network of its own.
pub(crate) fn hosts(pod: &Pod, ip: &str, hostname: &str, domain: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    if domain.is_empty() || hostname.contains('.') {
        text.push_str(&format!("{ip}\t{hostname}\n"));
    } else {
        text.push_str(&format!("{ip}\t{hostname}.{domain}\t{hostname}\n"));
    }
    text.push_str(&aliases(pod));
    text
}

/// The hosts file of a pod on the node's network: the node's own, and the pod's aliases.
pub(crate) fn node_hosts(pod: &Pod, node_file: &str) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{node_file}{}", aliases(pod))
}

fn aliases(pod: &Pod) -> String {
    let aliases = spec::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        text.push_str(&format!(
            "{}\t{}\n",
            alias.ip,
            alias.hostnames.as_deref().unwrap_or_default().join("\t")
        ));
    }
    text
}

/// The resolver configuration by `dnsPolicy` and `dnsConfig`; `node_file` is the node's own.
pub(crate) fn resolv_conf(pod: &Pod, dns: &DnsConfig, node_file: &str) -> String {
    let spec = spec::spec(pod);
    let host_network = spec.host_network == Some(true);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = !dns.servers.is_empty()
        && (policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network));
    let (mut servers, mut searches, mut options) = match policy {
        "None" => (Vec::new(), Vec::new(), Vec::new()),
        _ if cluster => {
            let (_, searches, _) = parse(node_file);
            let domain = &dns.cluster_domain;
            let mut all = vec![
                format!("{}.svc.{domain}", spec::namespace(pod)),
                format!("svc.{domain}"),
                domain.clone(),
            ];
            all.extend(searches);
            (dns.servers.clone(), all, vec!["ndots:5".to_owned()])
        }
        _ => parse(node_file),
    };
    if let Some(config) = &spec.dns_config {
        servers.extend(config.nameservers.iter().flatten().cloned());
        searches.extend(config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            options.retain(|known| known.split(':').next() != Some(name));
            options.push(match &option.value {
                Some(value) if !value.is_empty() => format!("{name}:{value}"),
                _ => name.clone(),
            });
        }
    }
    dedupe(&mut servers);
    dedupe(&mut searches);
    let mut text = String::new();
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in &servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn dedupe(list: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

/// Servers, search domains and options of a resolver configuration.
fn parse(file: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    for line in file.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => servers.extend(words.next().map(str::to_owned)),
            Some("search") => searches = words.map(str::to_owned).collect(),
            Some("options") => options = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    (servers, searches, options)
}
