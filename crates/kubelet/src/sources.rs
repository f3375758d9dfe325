//! Config maps, secrets and tokens from the API.

use std::sync::Arc;

use async_trait::async_trait;
use cox_client::Client;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use parking_lot::Mutex;
use std::collections::BTreeMap;

use crate::pod::spec;
use crate::volumes::Sources;

/// A token is fetched anew once this part of its life is over, or it is a day old.
/// Source: <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection>
const REFRESH_AFTER: f64 = 0.8;
const REFRESH_SECONDS_MAX: f64 = 86_400.0;

type TokenKey = (String, String, i64);

/// Reads through to the API; tokens are kept until they are due.
pub(crate) struct ApiSources {
    client: Client,
    env: cox_env::Env,
    tokens: Mutex<BTreeMap<TokenKey, (String, jiff::Timestamp)>>,
}

impl ApiSources {
    pub(crate) fn new(client: Client, env: cox_env::Env) -> ApiSources {
        ApiSources { client, env, tokens: Mutex::new(BTreeMap::new()) }
    }
}

#[async_trait]
impl Sources for ApiSources {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, String> {
        self.client.find(namespace, name).await.map_err(|error| error.to_string())
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, String> {
        self.client.find(namespace, name).await.map_err(|error| error.to_string())
    }

    async fn token(&self, pod: &Pod, audience: Option<&str>, seconds: i64) -> Result<String, String> {
        let uid = spec::uid(pod).to_owned();
        let key = (uid.clone(), audience.unwrap_or_default().to_owned(), seconds);
        let now = self.env.now();
        {
            let mut tokens = self.tokens.lock();
            tokens.retain(|_, (_, due)| *due > now);
            if let Some((token, _)) = tokens.get(&key) {
                return Ok(token.clone());
            }
        }
        let account = spec::spec(pod).service_account_name.as_deref().unwrap_or("default");
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(audience.map(|audience| vec![audience.to_owned()]).unwrap_or_default()),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: Some(spec::name(pod).to_owned()),
                    uid: Some(uid),
                }),
            }),
            ..TokenRequest::default()
        };
        let answer = self
            .client
            .create_token(spec::namespace(pod), account, &request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status.ok_or("the API server answered without a token")?;
        let (Some(token), Some(expires)) = (status.token, status.expiration_timestamp) else {
            return Err("the API server answered without a token".into());
        };
        let life = (expires.0.as_second() - now.as_second()).max(0) as f64;
        let due = now + std::time::Duration::from_secs_f64((life * REFRESH_AFTER).min(REFRESH_SECONDS_MAX));
        self.tokens.lock().insert(key, (token.clone(), due));
        Ok(token)
    }
}
