//! Leader lease: of several instances of a component only the holder of a Lease works. The rules are those of
//! upstream's `client-go/tools/leaderelection`.

use std::future::Future;
use std::time::Duration;

use cox_api::PatchKind;
use cox_env::Env;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde_json::json;

use crate::client::Client;
use crate::error::Result;

/// Upstream's defaults for the control plane's components.
const LEASE_SECONDS: i32 = 15;
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// A contender for a lease.
pub struct LeaderLease {
    client: Client,
    env: Env,
    namespace: String,
    name: String,
    identity: String,
    /// What was last seen and when, by this contender's own clock: others' clocks are not trusted.
    observed: Option<(String, Duration)>,
}

impl LeaderLease {
    /// A contender called `identity` for the lease `namespace/name`.
    pub fn new(client: Client, env: Env, namespace: &str, name: &str, identity: &str) -> LeaderLease {
        LeaderLease {
            client,
            env,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            observed: None,
        }
    }

    /// Waits until this contender leads, then runs `lead` for as long as the lease can be renewed. Ends when `lead`
    /// does (with its result) or when leadership is lost (with none): then the component must stop at once.
    pub async fn lead<T>(mut self, lead: impl Future<Output = T>) -> Option<T> {
        while !self.try_hold().await.unwrap_or(false) {
            let jitter = 1.0 + self.env.chance().fraction() * 1.2;
            self.env.sleep(RETRY_PERIOD.mul_f64(jitter)).await;
        }
        tracing::info!(lease = self.name, identity = self.identity, "leading");
        let env = self.env.clone();
        let keep = async {
            let mut renewed = env.elapsed();
            while env.elapsed().saturating_sub(renewed) < RENEW_DEADLINE {
                env.sleep(RETRY_PERIOD).await;
                match self.try_hold().await {
                    Ok(true) => renewed = env.elapsed(),
                    Ok(false) => return,
                    Err(error) => tracing::warn!(%error, "lease not renewed"),
                }
            }
        };
        tokio::select! {
            biased;
            () = keep => None,
            done = lead => Some(done),
        }
    }

    /// Takes or renews the lease; says whether this contender holds it now.
    ///
    /// # Errors
    /// What the API server says, but for conflicts with other contenders.
    pub async fn try_hold(&mut self) -> Result<bool> {
        let now = MicroTime(self.env.now());
        let Some(lease) = self.client.find::<Lease>(&self.namespace, &self.name).await? else {
            let fresh = Lease {
                metadata: ObjectMeta {
                    namespace: Some(self.namespace.clone()),
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec {
                    holder_identity: Some(self.identity.clone()),
                    lease_duration_seconds: Some(LEASE_SECONDS),
                    acquire_time: Some(now.clone()),
                    renew_time: Some(now),
                    lease_transitions: Some(0),
                    ..LeaseSpec::default()
                }),
            };
            return match self.client.create(&fresh).await {
                Ok(_) => Ok(true),
                Err(error) if error.is_already_exists() => Ok(false),
                Err(error) => Err(error),
            };
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self.observed.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.observed = Some((version.clone(), self.env.elapsed()));
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let mine = spec.holder_identity.as_deref() == Some(&self.identity);
        let held = spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty());
        let seen_at = self.observed.as_ref().map_or(Duration::ZERO, |(_, at)| *at);
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS)).unwrap_or(0);
        if !mine && held && self.env.elapsed() < seen_at + Duration::from_secs(seconds) {
            return Ok(false);
        }
        let mut fields = json!({"holderIdentity": self.identity, "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now});
        if !mine {
            fields["acquireTime"] = json!(now);
            fields["leaseTransitions"] = json!(spec.lease_transitions.unwrap_or(0) + 1);
        }
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": fields});
        match self.client.patch::<Lease>(&self.namespace, &self.name, PatchKind::Merge, patch).await {
            Ok(written) => {
                let version = written.metadata.resource_version.clone().unwrap_or_default();
                self.observed = Some((version, self.env.elapsed()));
                Ok(true)
            }
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeApi;

    #[tokio::test(start_paused = true)]
    async fn a_second_contender_leads_after_the_first_is_silent() {
        let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
        let client = FakeApi::new(env.clone()).client();
        let contender = |who| LeaderLease::new(client.clone(), env.clone(), "kube-system", "lock", who);
        let (mut first, mut second) = (contender("a"), contender("b"));
        assert!(first.try_hold().await.unwrap());
        assert!(!second.try_hold().await.unwrap());
        env.sleep(Duration::from_secs(14)).await;
        assert!(first.try_hold().await.unwrap());
        env.sleep(Duration::from_secs(14)).await;
        assert!(!second.try_hold().await.unwrap(), "renewed meanwhile");
        env.sleep(Duration::from_secs(15)).await;
        assert!(second.try_hold().await.unwrap());
        assert!(!first.try_hold().await.unwrap());
        let lease = client.get::<Lease>("kube-system", "lock").await.unwrap();
        assert_eq!(lease.spec.as_ref().unwrap().lease_transitions, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_loses_the_lease_stops() {
        let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
        let api = FakeApi::new(env.clone());
        let client = api.client();
        let leader = LeaderLease::new(client.clone(), env.clone(), "kube-system", "lock", "a");
        let task = env.spawn(leader.lead(std::future::pending::<()>()));
        env.sleep(Duration::from_secs(1)).await;
        let stolen = json!({"spec": {"holderIdentity": "b"}});
        client.patch::<Lease>("kube-system", "lock", PatchKind::Merge, stolen).await.unwrap();
        assert_eq!(task.await, Some(None));
    }
}
