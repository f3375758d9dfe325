//! The control plane: store, API server, controllers, scheduler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cox_apiserver::auth::MASTERS;
use cox_apiserver::pki::{Credentials, Identity, NameOrAddress, Pki, kubeconfig, write_private};
use cox_apiserver::{ApiServer, AuditConfig, Config, LocalTransport, LogFile, Policy, ServiceRange, User};
use cox_client::Client;
use cox_controllers::{ControllerConfig, ControllerManager, SERVICE_ACCOUNTS, SERVICE_ADDRESSES};
use cox_env::Env;
use cox_scheduler::{Scheduler, SchedulerConfig};
use cox_store::{Backend, Embedded, Limits, Memory, Store};

use crate::cli::{AuditFlags, ControlPlane, StoreKind};
use crate::layout::{Layout, NodeLayout};
use crate::merge;

/// Bytes of the administrator's token, before it is written in hexadecimal.
const TOKEN_BYTES: usize = 16;

/// What runs beside the API server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Acts {
    /// Controllers and scheduler.
    All,
    /// Nothing that reconciles; namespaces get their service account, without which no pod is admitted.
    Nothing,
}

/// A running control plane.
pub(super) struct Control {
    env: Env,
    pki: Pki,
    server: Arc<ApiServer>,
    store: Store,
    tls: Arc<rustls::ServerConfig>,
    listen: Vec<SocketAddr>,
    store_kind: StoreKind,
    data_dir: std::path::PathBuf,
}

impl Control {
    /// Starts it and serves at `--listen`.
    pub(super) async fn start(
        env: &Env,
        args: &ControlPlane,
        layout: &Layout,
        acts: Acts,
    ) -> Result<Control> {
        let env = env.component("control plane");
        let data_dir = &layout.data_dir;
        let pki = Pki::open(&env, &data_dir.join("pki")).context("keys and certificates")?;
        let backend: Box<dyn Backend> = match args.store {
            StoreKind::Embedded => {
                let opened = Embedded::open_at(data_dir.join("store"), cox_apiserver::header_epoch()).await;
                Box::new(opened.context("the store")?)
            }
            StoreKind::Memory => Box::new(Memory::new(env.clone())),
        };
        let store = Store::open(env.clone(), backend, Limits::default(), cox_apiserver::describe())
            .await
            .context("the store")?;
        let token = admin_token(data_dir)?;
        let advertise = layout.api_address()?;
        let port = args.listen.first().map_or(6443, SocketAddr::port);
        let config = Config {
            service_range: ServiceRange::parse(&args.service_cidr)?,
            advertise: advertise.into_iter().collect(),
            advertise_port: port,
            static_tokens: vec![(token.clone(), User::admin())],
            audit: audit(&args.audit)?,
            limits: cox_apiserver::Limits {
                shutdown_delay: Duration::from_secs(args.shutdown_delay_duration),
                ..cox_apiserver::Limits::default()
            },
            ..Config::new(pki.clone())?
        };
        let server = ApiServer::open(env.clone(), store.clone(), config).await.context("the API server")?;
        let identity = serving_identity(&pki, args, layout)?;
        let tls = pki.server_config(&identity)?;
        for address in &args.listen {
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("listening on {address}"))?;
            env.spawn(cox_apiserver::serve(server.clone(), listener, tls.clone()));
        }
        let control = Control {
            env,
            pki,
            server,
            store,
            tls,
            listen: args.listen.clone(),
            store_kind: args.store,
            data_dir: data_dir.clone(),
        };
        control.start_controllers(layout, acts);
        control.write_kubeconfig(&token)?;
        Ok(control)
    }

    fn start_controllers(&self, layout: &Layout, acts: Acts) {
        let server = self.server.clone();
        // Each controller is a service account of its own. It writes by patch where upstream's writes by update, for
        // which upstream's roles have no rule: as part of this process it is one of the masters.
        let clients = move |name: &str| match name {
            "kube-controller-manager" => {
                client(&server, User::component("system:kube-controller-manager"), name)
            }
            "kube-apiserver" => client(&server, User::new("system:apiserver", &[MASTERS]), name),
            account => {
                let mut user = User::service_account("kube-system", account, "");
                user.groups.push(MASTERS.to_owned());
                client(&server, user, name)
            }
        };
        let config = ControllerConfig {
            cluster_cidr: layout.pod_cidr.clone(),
            root_ca_pem: self.pki.ca_pem().to_owned(),
            controllers: match acts {
                Acts::All => vec!["*".into()],
                Acts::Nothing => vec![SERVICE_ACCOUNTS.into(), SERVICE_ADDRESSES.into()],
            },
            ..ControllerConfig::default()
        };
        ControllerManager::start(self.env.clone(), Arc::new(clients), config);
        if acts == Acts::All {
            let client = client(&self.server, User::component("system:kube-scheduler"), "kube-scheduler");
            Scheduler::start(self.env.clone(), client, SchedulerConfig::default());
        }
    }

    /// A line about it.
    pub(super) fn summary(&self) -> String {
        let at: Vec<String> = self.listen.iter().map(|address| format!("https://{address}")).collect();
        let objects: usize = self.store.counts().iter().map(|(_, count)| count).sum();
        let kind = match self.store_kind {
            StoreKind::Embedded => "embedded",
            StoreKind::Memory => "memory",
        };
        format!("{}, store {kind} with {objects} objects", at.join(", "))
    }

    /// Lines for `cox status`.
    pub(super) fn status(&self) -> Vec<String> {
        let mut lines = vec![
            format!("API        {}", self.summary()),
            format!("data       {}", self.data_dir.display()),
            format!("process    {}", std::process::id()),
        ];
        if let Ok(rollup) = std::fs::read_to_string("/proc/self/smaps_rollup") {
            let kib = rollup.lines().find_map(|line| {
                line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
            });
            lines.push(format!("memory     {} MiB", kib.unwrap_or(0) / 1024));
        }
        lines
    }

    /// Makes the API client of a node.
    pub(super) fn node_clients(&self) -> Box<dyn Fn(&str) -> Client + Send + Sync> {
        let server = self.server.clone();
        Box::new(move |name| client(&server, User::node(name), "kubelet"))
    }

    /// The API client of what forwards services.
    pub(super) fn proxy_client(&self) -> Client {
        client(&self.server, User::component("system:kube-proxy"), "kube-proxy")
    }

    /// The API client of what enforces network policies. Upstream has no such part, and its roles have no rule for one
    /// (network plugins bring their own), so as part of this process it is one of the masters.
    pub(super) fn policy_client(&self) -> Client {
        let mut user = User::service_account("kube-system", "network-policies", "");
        user.groups.push(MASTERS.to_owned());
        client(&self.server, user, "network-policies")
    }

    /// Makes the TLS configuration of a node's server.
    pub(super) fn node_tls(
        &self,
    ) -> Box<dyn Fn(&NodeLayout) -> Result<Arc<rustls::ServerConfig>> + Send + Sync> {
        let pki = self.pki.clone();
        Box::new(move |node| {
            let names = [NameOrAddress::from(node.ip), NameOrAddress::from(node.name.as_str())];
            let identity = pki.server(&format!("system:node:{}", node.name), &names)?;
            Ok(pki.server_config(&identity)?)
        })
    }

    /// Serves at the address under which pods reach the API; it exists once the nodes' network does.
    pub(super) async fn listen_for_pods(&self, layout: &Layout) -> Result<()> {
        let Some(address) = layout.api_address()? else { return Ok(()) };
        let port = self.listen.first().map_or(6443, SocketAddr::port);
        let address = SocketAddr::new(address, port);
        let covered = self.listen.iter().any(|listen| {
            listen.port() == port && (listen.ip() == address.ip() || listen.ip().is_unspecified())
        });
        if covered {
            return Ok(());
        }
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address}"))?;
        self.env.spawn(cox_apiserver::serve(self.server.clone(), listener, self.tls.clone()));
        Ok(())
    }

    fn write_kubeconfig(&self, token: &str) -> Result<()> {
        let text = self.kubeconfig(token)?;
        write_private(&self.data_dir.join("admin.kubeconfig"), text.as_bytes())?;
        Ok(())
    }

    fn kubeconfig(&self, token: &str) -> Result<String> {
        let identity = self.pki.admin()?;
        let address =
            self.listen.first().map(ToString::to_string).unwrap_or_default().replace("0.0.0.0", "127.0.0.1");
        let server = format!("https://{address}");
        Ok(kubeconfig(
            merge::NAME,
            &server,
            self.pki.ca_pem(),
            &Credentials { certificate: Some(&identity), token: Some(token) },
        ))
    }

    /// Puts the context into the user's kubeconfig, unless told not to.
    pub(super) fn publish(&self, args: &ControlPlane) -> Result<()> {
        if args.no_merge {
            return Ok(());
        }
        let text = std::fs::read_to_string(self.data_dir.join("admin.kubeconfig"))?;
        if let Some(file) = merge::merge(&text)? {
            eprintln!("  context cox is in {}", file.display());
        }
        Ok(())
    }

    /// Says that it will end: `/readyz` fails.
    pub(super) fn announce_end(&self) {
        self.server.announce_end();
    }

    /// Ends it: requests in flight are answered, everything acknowledged is on disk.
    pub(super) async fn stop(&self) {
        self.server.drain().await;
        self.env.tasks().end_and_wait().await;
        self.server.close().await;
        self.store.close().await;
    }
}

/// The audit log, if there is to be one.
fn audit(flags: &AuditFlags) -> Result<Option<AuditConfig>> {
    const MEGABYTE: u64 = 1 << 20;
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let (Some(path), Some(policy)) = (&flags.audit_log_path, &flags.audit_policy_file) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(policy)
        .with_context(|| format!("--audit-policy-file {}", policy.display()))?;
    let policy = Policy::parse(&text).with_context(|| policy.display().to_string())?;
    let file = LogFile {
        path: path.clone(),
        bytes_max: flags.audit_log_maxsize.saturating_mul(MEGABYTE),
        backups_max: flags.audit_log_maxbackup,
        age_max: DAY.saturating_mul(flags.audit_log_maxage),
    };
    Ok(Some(AuditConfig { policy, file }))
}

fn client(server: &Arc<ApiServer>, user: User, manager: &str) -> Client {
    Client::new(Arc::new(LocalTransport::new(server.clone(), user, manager)))
}

fn serving_identity(pki: &Pki, args: &ControlPlane, layout: &Layout) -> Result<Identity> {
    let mut names: Vec<NameOrAddress> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "127.0.0.1",
    ]
    .map(NameOrAddress::from)
    .into();
    names.push(layout.kubernetes_service_ip()?.into());
    names.extend(layout.api_address()?.map(NameOrAddress::from));
    names.extend(
        args.listen.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).map(NameOrAddress::from),
    );
    Ok(pki.server("kube-apiserver", &names)?)
}

/// The administrator's bearer token, made once.
fn admin_token(data_dir: &std::path::Path) -> Result<String> {
    let path = data_dir.join("admin.token");
    if let Ok(token) = std::fs::read_to_string(&path) {
        return Ok(token.trim().to_owned());
    }
    let mut bytes = [0; TOKEN_BYTES];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(&path, token.as_bytes())?;
    Ok(token)
}
