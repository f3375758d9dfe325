//! The parts of a world and what befalls them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_api::Transport;
use cox_apiserver::auth::MASTERS;
use cox_apiserver::pki::Pki;
use cox_apiserver::{ApiServer, Config, LocalTransport, User};
use cox_client::Client;
use cox_controllers::{ControllerConfig, ControllerManager};
use cox_env::Env;
use cox_scheduler::{Scheduler, SchedulerConfig};
use cox_store::{Limits, Memory, Store};
use jiff::Timestamp;

use crate::faults::{Faulty, Weather};
use crate::kubelet::Kubelet;
use crate::machines::Machines;
use crate::observer::Observer;
use crate::settled::unsettled;
use crate::{Mutant, Options, Trace, Violation, scenario};

/// When every world begins, in seconds of Unix time: 2026-01-01.
const START: i64 = 1_767_225_600;
/// How long everything has to stay as it is wanted to count as converged.
const CALM: Duration = Duration::from_secs(5);

/// A part that can end and start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Component {
    Controllers,
    Scheduler,
    Node(usize),
}

pub(crate) struct World {
    seed: u64,
    env: Env,
    options: Options,
    server: Arc<ApiServer>,
    observer: Observer,
    weather: Weather,
    machines: Machines,
    alive: BTreeMap<Component, Env>,
}

impl World {
    /// From its first to its last moment.
    pub(crate) async fn live(seed: u64, options: &Options) -> Result<Trace, Violation> {
        let env = Env::simulated(seed, Timestamp::from_second(START).unwrap_or_default());
        let (weather, machines) = (Weather::default(), Machines::default());
        let observer = Observer::new(env.clone(), weather.clone(), machines.clone(), options.tell);
        let failed = |what: String| Violation { seed, elapsed: Duration::ZERO, revision: 0, what };
        let backend = Memory::new(env.clone()).with_faults(Arc::new(observer.clone()));
        let store =
            Store::open(env.clone(), Box::new(backend), Limits::default(), cox_apiserver::describe()).await;
        let store = store.map_err(|error| failed(format!("the store: {error}")))?;
        let config = Pki::in_memory(&env).and_then(Config::new);
        let config = config.map_err(|error| failed(format!("keys: {error}")))?;
        let server = ApiServer::open(env.clone(), store, config).await;
        let server = server.map_err(|error| failed(format!("the API server: {error}")))?;
        let alive = BTreeMap::new();
        let mut world =
            World { seed, env, options: options.clone(), server, observer, weather, machines, alive };
        let outcome = world.story().await;
        world.env.tasks().end();
        outcome
    }

    async fn story(&mut self) -> Result<Trace, Violation> {
        let mut components = vec![Component::Controllers, Component::Scheduler];
        components.extend((0..self.options.nodes).map(Component::Node));
        components.iter().for_each(|component| self.start(*component));
        let user = Client::new(Arc::new(LocalTransport::new(self.server.clone(), User::admin(), "user")));
        scenario::reachable(&user)
            .await
            .map_err(|error| self.violation(format!("no API: {}", error.message())))?;
        self.weather.set(true);
        let env = self.env.clone();
        let played = self.env.spawn(async move { scenario::play(env, user).await });
        self.bad_times(&components).await?;
        self.weather.set(false);
        let missing: Vec<Component> =
            components.into_iter().filter(|component| !self.alive.contains_key(component)).collect();
        missing.into_iter().for_each(|component| self.start(component));
        // Store faults hit users too.
        let played = played.await;
        if let Some(Err(error)) = &played
            && error.status().is_none_or(|status| status.code() < 500)
        {
            return Err(self.violation(format!("the user was refused: {error}")));
        }
        self.converge(matches!(played, Some(Ok(())))).await
    }

    /// Ends and starts parts, at times drawn from the seed.
    async fn bad_times(&mut self, components: &[Component]) -> Result<(), Violation> {
        let until = self.env.elapsed() + self.options.faults_last;
        // In every second world nodes don't fail: what is missing there is the controllers' fault.
        let nodes_fail = self.env.chance().below(2) == 0;
        let fragile = if nodes_fail { components.len() } else { 2 };
        while self.env.elapsed() < until {
            self.env.sleep(Duration::from_millis(500 + self.env.chance().below(12_000))).await;
            self.check()?;
            let at = usize::try_from(self.env.chance().below(fragile as u64)).unwrap_or(0);
            let component = components[at];
            match self.alive.remove(&component) {
                Some(env) => {
                    env.tasks().end();
                    if let Component::Node(number) = component {
                        self.observer.disturb();
                        self.machines.power_off(&node_name(number));
                    }
                }
                None => self.start(component),
            }
        }
        Ok(())
    }

    /// Waits until everything is as it has to be in the end.
    async fn converge(&self, played: bool) -> Result<Trace, Violation> {
        let limit = self.env.elapsed() + self.options.converge_max;
        let mut calm_since = None;
        loop {
            self.env.sleep(Duration::from_secs(1)).await;
            self.check()?;
            let now = self.env.elapsed();
            match self.observer.look(unsettled) {
                None if now - *calm_since.get_or_insert(now) >= CALM => {
                    let (hash, revision) = self.observer.trace();
                    return Ok(Trace { hash, revision, elapsed: now, played });
                }
                None => {}
                Some(what) if now >= limit => return Err(self.violation(format!("not converged: {what}"))),
                Some(_) => calm_since = None,
            }
        }
    }

    fn check(&self) -> Result<(), Violation> {
        self.observer.violation().map_or(Ok(()), |what| Err(self.violation(what)))
    }

    fn violation(&self, what: String) -> Violation {
        Violation { seed: self.seed, elapsed: self.env.elapsed(), revision: self.observer.trace().1, what }
    }

    fn clients(&self, env: &Env) -> impl Fn(User, &str) -> Client + Send + Sync + use<> {
        let (server, env, weather) = (self.server.clone(), env.clone(), self.weather.clone());
        let (observer, mutant) = (self.observer.clone(), self.options.mutant);
        move |user, manager| {
            let inner: Arc<dyn Transport> = Arc::new(LocalTransport::new(server.clone(), user, manager));
            let (env, weather, observer) = (env.clone(), weather.clone(), observer.clone());
            Client::new(Arc::new(Faulty { inner, env, weather, observer, mutant }))
        }
    }

    fn start(&mut self, component: Component) {
        let env = match component {
            Component::Controllers => self.env.component("controllers"),
            Component::Scheduler => self.env.component("scheduler"),
            Component::Node(_) => self.env.component("node"),
        };
        let clients = self.clients(&env);
        match component {
            Component::Controllers => {
                let clients = move |name: &str| match name {
                    "kube-controller-manager" => {
                        clients(User::component("system:kube-controller-manager"), name)
                    }
                    account => {
                        let mut user = User::service_account("kube-system", account, "");
                        user.groups.push(MASTERS.to_owned());
                        clients(user, name)
                    }
                };
                ControllerManager::start(env.clone(), Arc::new(clients), ControllerConfig::default());
            }
            Component::Scheduler => {
                let client = clients(User::component("system:kube-scheduler"), "kube-scheduler");
                Scheduler::start(env.clone(), client, SchedulerConfig::default());
            }
            Component::Node(number) => {
                let node = node_name(number);
                let user = match self.options.mutant {
                    Some(Mutant::RunsOthersPods) => User::admin(),
                    _ => User::node(&node),
                };
                let (machines, mutant) = (self.machines.clone(), self.options.mutant);
                Kubelet {
                    env: env.clone(),
                    client: clients(user, "kubelet"),
                    node,
                    number,
                    machines,
                    mutant,
                }
                .start();
            }
        }
        self.alive.insert(component, env);
    }
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}
