//! A world for one test: network and mount namespaces that vanish with the test's threads, so that nothing
//! touches the machine's own. Needs root.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use cox_network::{
    AttachRequest, Endpoint, HostPort, NetId, Netns, NodeNetConfig, NodeNetwork, PodNetwork, Protocol,
    ServicePort, ServicePortKey, TrafficPolicy,
};
use cox_sys::netlink::{Batch, LinkChange, LinkRef, Rtnl, VethEnd, in_netns, netns};

/// Long enough for a loaded machine; nothing waits that long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// For connections that must not come about.
pub const SILENCE: Duration = Duration::from_millis(300);

/// Runs `test` in a world of its own.
pub fn world<F: Future>(test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            netns::enter_new_with_mounts().expect("these tests make network namespaces: run them as root");
            let mut batch = Batch::new();
            batch.set_link(LinkRef::Index(1), &LinkChange { up: Some(true), ..LinkChange::default() });
            Rtnl::open().unwrap().execute(batch).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

pub fn config(dir: &Path) -> NodeNetConfig {
    NodeNetConfig {
        id: "t1".parse::<NetId>().unwrap(),
        netns: Netns::Host,
        pod_cidr: "10.42.0.0/24".parse().unwrap(),
        cluster_cidr: "10.42.0.0/16".parse().unwrap(),
        service_cidr: "10.43.0.0/16".parse().unwrap(),
        node_ip: "10.42.0.1".parse().unwrap(),
        mtu: 1400,
        state_dir: dir.join("net"),
        ready_slots: 2,
    }
}

pub async fn attach(network: &NodeNetwork, owner: &str) -> PodNetwork {
    network.attach(AttachRequest { owner: owner.into(), host_ports: vec![] }).await.unwrap()
}

pub async fn attach_with(network: &NodeNetwork, owner: &str, host_ports: Vec<HostPort>) -> PodNetwork {
    network.attach(AttachRequest { owner: owner.into(), host_ports }).await.unwrap()
}

/// Runs `work` in a pinned network namespace.
pub fn inside<T: Send>(netns_path: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = netns::open(netns_path).unwrap();
    in_netns(file.as_fd(), work).unwrap()
}

/// Serves TCP at `port` of the namespace: every client is told `name` and its own address. The socket lives
/// until the process ends.
pub fn serve(netns_path: &Path, port: u16, name: &str) {
    let listener = inside(netns_path, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    serve_on(listener, name);
}

pub fn serve_on(listener: TcpListener, name: &str) {
    let name = name.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip();
            let _ = stream.write_all(format!("{name} {peer}").as_bytes());
        }
    });
}

/// As [`serve`], for UDP: any datagram is answered.
pub fn serve_udp(netns_path: &Path, port: u16, name: &str) {
    let socket = inside(netns_path, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let name = name.to_owned();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer);
        }
    });
}

/// What a server answers: its name, and the address it saw.
pub fn ask_here(to: SocketAddr, patience: Duration) -> io::Result<(String, IpAddr)> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(parse(&answer))
}

pub fn parse(answer: &str) -> (String, IpAddr) {
    let (name, peer) = answer.split_once(' ').unwrap();
    (name.to_owned(), peer.parse().unwrap())
}

pub fn ask(from: &Path, ip: impl Into<IpAddr>, port: u16) -> io::Result<(String, IpAddr)> {
    let to = SocketAddr::new(ip.into(), port);
    inside(from, || ask_here(to, PATIENCE))
}

/// As [`ask`], where silence is expected.
pub fn ask_briefly(from: &Path, ip: impl Into<IpAddr>, port: u16) -> io::Result<(String, IpAddr)> {
    let to = SocketAddr::new(ip.into(), port);
    inside(from, || ask_here(to, SILENCE))
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn key(name: &str) -> ServicePortKey {
    ServicePortKey {
        namespace: "default".into(),
        name: name.into(),
        port: "http".into(),
        protocol: Protocol::Tcp,
    }
}

pub fn service(cluster_ip: &str, port: u16, endpoints: Vec<Endpoint>) -> ServicePort {
    ServicePort {
        cluster_ips: vec![ip(cluster_ip)],
        port,
        node_port: None,
        external_ips: vec![],
        load_balancer_ips: vec![],
        load_balancer_source_ranges: vec![],
        client_ip_affinity: None,
        internal_traffic_policy: TrafficPolicy::Cluster,
        external_traffic_policy: TrafficPolicy::Cluster,
        endpoints,
    }
}

pub fn services(
    list: impl IntoIterator<Item = (ServicePortKey, ServicePort)>,
) -> BTreeMap<ServicePortKey, ServicePort> {
    list.into_iter().collect()
}

/// Names of all interfaces of the calling thread's network namespace but `lo`.
pub fn interfaces() -> Vec<String> {
    let links = Rtnl::open().unwrap().links().unwrap();
    links.into_iter().map(|l| l.name).filter(|n| n != "lo").collect()
}

/// A cable from the calling thread's network namespace to another one, with an address at each end.
pub fn connect_to(netns_path: &Path, here: &str, there: &str) {
    let file = netns::open(netns_path).unwrap();
    let end = |name, netns| VethEnd { name, index: None, mac: None, mtu: 1400, netns, group: 0 };
    let mut batch = Batch::new();
    batch.add_veth(&end("uplink", None), &end("eth0", Some(file.as_fd())));
    let mut rtnl = Rtnl::open().unwrap();
    rtnl.execute(batch).unwrap();
    set_up(&mut rtnl, "uplink", here);
    inside(netns_path, || set_up(&mut Rtnl::open().unwrap(), "eth0", there));
}

fn set_up(rtnl: &mut Rtnl, name: &str, address: &str) {
    let index = rtnl.link(name).unwrap().unwrap().index;
    let mut batch = Batch::new();
    batch.set_link(LinkRef::Index(index), &LinkChange { up: Some(true), ..LinkChange::default() });
    batch.add_address(index, address.parse().unwrap(), 24);
    rtnl.execute(batch).unwrap();
}
