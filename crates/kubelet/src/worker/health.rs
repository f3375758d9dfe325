//! Health of running containers: when probes start and end, and what their verdicts mean.

use cox_env::Task;
use cox_runtime::ContainerState;

use super::{Desired, Message, Worker};
use crate::pod::known::Job;
use crate::pod::spec;
use crate::probe::{self, Sort, Target, Verdict};

impl Worker {
    /// Starts probes of containers that run and ends those of containers that don't.
    pub(super) fn note_health(&mut self, desired: &Desired, ending: bool) {
        let running: Vec<_> = self
            .containers
            .iter()
            .filter(|container| container.state == ContainerState::Running)
            .cloned()
            .collect();
        let alive = |id: &str| running.iter().any(|container| container.id.as_str() == id);
        self.probes.retain(|id, tasks| {
            if !alive(id) {
                tasks.iter().for_each(Task::abort);
            }
            alive(id)
        });
        let starting = |name: &str| {
            self.memory
                .jobs
                .iter()
                .any(|job| matches!(job, Job::Start { container, .. } if container == name))
        };
        let mut fresh = Vec::new();
        for container in &running {
            let id = container.id.as_str();
            // While its Start job runs, the postStart hook isn't over.
            if self.probes.contains_key(id) || ending || starting(&container.config.name) {
                continue;
            }
            fresh.push(container.clone());
        }
        for container in fresh {
            let id = container.id.as_str().to_owned();
            let Some(declared) = spec::find(&desired.pod, &container.config.name) else { continue };
            let told = desired.pod.status.as_ref().and_then(|status| {
                let mut all =
                    status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
                let full = format!("{}{id}", self.node.facts.scheme);
                all.find(|told| told.container_id.as_deref() == Some(&full)).cloned()
            });
            // After a restart of the kubelet what the API was told last stands until the next probe.
            let was_started = told.as_ref().and_then(|told| told.started).unwrap_or(false);
            let was_ready = told.as_ref().is_some_and(|told| told.ready);
            let health = self.memory.health.entry(id.clone()).or_default();
            health.hook_done = true;
            health.started = was_started || !spec::has(&declared.startup_probe);
            health.ready = was_ready || !spec::has(&declared.readiness_probe);
            self.start_probes(desired, &id, &declared);
        }
        let known: Vec<String> =
            self.containers.iter().map(|container| container.id.as_str().to_owned()).collect();
        self.memory.health.retain(|id, _| known.contains(id));
    }

    fn start_probes(
        &mut self,
        desired: &Desired,
        id: &str,
        declared: &k8s_openapi::api::core::v1::Container,
    ) {
        let started = self.health_of(id).started;
        let mut tasks = Vec::new();
        let sorts = [
            (Sort::Startup, declared.startup_probe.as_ref().filter(|_| !started)),
            (Sort::Liveness, declared.liveness_probe.as_ref().filter(|_| started)),
            (Sort::Readiness, declared.readiness_probe.as_ref().filter(|_| started)),
        ];
        let ip = if spec::spec(&desired.pod).host_network == Some(true) {
            Some(self.node.facts.host_ip.clone())
        } else {
            self.memory.network.as_ref().map(|network| network.ip.to_string())
        };
        for (sort, probe) in sorts {
            let Some(probe) = probe else { continue };
            let target = Target {
                container: id.into(),
                declared: declared.clone(),
                ip: ip.clone().unwrap_or_default(),
                pod: desired.pod.clone(),
            };
            let (sender, id) = (self.sender.clone(), id.to_owned());
            let report = move |verdict: Verdict| {
                let (sender, id) = (sender.clone(), id.clone());
                async move {
                    // The worker is gone only when the pod is; then nobody wants to know.
                    let _ = sender.send(Message::Probe(id, verdict)).await;
                }
            };
            tasks.push(self.node.env.spawn(probe::run(
                self.node.clone(),
                sort,
                probe.clone(),
                target,
                report,
            )));
        }
        self.probes.insert(id.to_owned(), tasks);
    }

    /// What a probe's word changes.
    pub(super) fn take_verdict(&mut self, id: &str, verdict: Verdict) {
        let Some(health) = self.memory.health.get_mut(id) else { return };
        match verdict {
            Verdict::Ready(ready) => health.ready = ready,
            Verdict::Started => {
                health.started = true;
                // Liveness and readiness probes begin only now.
                if let Some(tasks) = self.probes.remove(id) {
                    tasks.iter().for_each(Task::abort);
                }
                let desired = self.desired.borrow().clone();
                let name =
                    self.containers.iter().find(|c| c.id.as_str() == id).map(|c| c.config.name.clone());
                if let Some(declared) = name.and_then(|name| spec::find(&desired.pod, &name)) {
                    self.start_probes(&desired, id, &declared);
                }
            }
            Verdict::Kill { message, grace_seconds } => health.doomed = Some((message, grace_seconds)),
        }
    }
}
