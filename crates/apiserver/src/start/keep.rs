//! What is made anew while the server runs, where somebody deletes it.

use std::sync::Weak;
use std::time::Duration;

use cox_api::kinds::service_cidr;
use cox_env::Env;

use super::{DEFAULT_SERVICE_CIDR, api_services, kubernetes_service, service_addresses};
use crate::error::Error;
use crate::server::ApiServer;

/// How often it is looked for, as by upstream.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the ServiceCIDR of the configured range and the `kubernetes` service, for as long as the server lives.
pub(crate) async fn keep(env: Env, server: Weak<ApiServer>) {
    loop {
        env.sleep(INTERVAL).await;
        let Some(server) = server.upgrade() else { return };
        if let Err(error) = once(&server).await {
            tracing::warn!(%error, "what every cluster has can't be made anew");
        }
    }
}

async fn once(server: &ApiServer) -> Result<(), Error> {
    let db = server.db();
    api_services::settle(server).await?;
    if db.get(service_cidr::STORE_PREFIX, "", DEFAULT_SERVICE_CIDR).is_none() {
        service_addresses::ensure_default(server).await?;
    }
    if !kubernetes_service::exists(server) && service_addresses::default_gives(server) {
        kubernetes_service::ensure(server).await?;
    }
    Ok(())
}
