//! An API server alone, for trying things out and for profiles:
//! `cargo run -p cox-apiserver --example serve DIR [PORT [embedded]]`; without the last word its store is in memory.
//! Writes `DIR/admin.kubeconfig`, `DIR/admin.token` and `DIR/pki/ca.crt` and prints where it listens.

use std::path::PathBuf;

use cox_api::{Body, Request, Resource, Verb};
use cox_apiserver::pki::{Credentials, NameOrAddress, Pki, kubeconfig, write_private};
use cox_apiserver::{ApiServer, Config, User, describe, serve};
use cox_env::Env;
use cox_store::{Backend, Embedded, Limits, Memory, Store};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir: PathBuf = std::env::args().nth(1).ok_or("needs a directory")?.into();
    let env = Env::real();
    let pki = Pki::open(&env, &dir.join("pki"))?;
    let backend: Box<dyn Backend> = match std::env::args().nth(3).as_deref() {
        Some("embedded") => Box::new(Embedded::open(dir.join("store")).await?),
        _ => Box::new(Memory::new(env.clone())),
    };
    let store = Store::open(env.clone(), backend, Limits::default(), describe()).await?;
    let token = env.chance().uid();
    let mut config = Config::new(pki.clone())?;
    let admin = User { uid: "1".into(), ..User::new("admin", &["system:masters"]) };
    config.static_tokens = vec![(token.clone(), admin)];
    let server = ApiServer::open(env.clone(), store, config).await?;
    // Without the controller that makes one for every namespace, no pod would be admitted.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let create = Request::new(Verb::Create, Resource::new("", "v1", "serviceaccounts")).namespace("default");
    match server.call(&User::admin(), create.body(Body::Json(account))).await {
        Err(status) if !status.is_already_exists() => return Err(format!("{status:?}").into()),
        _ => {}
    }
    let names: Vec<NameOrAddress> = vec!["localhost".into(), "127.0.0.1".into()];
    let tls = pki.server_config(&pki.server("kube-apiserver", &names)?)?;
    let port: u16 = std::env::args().nth(2).map_or(Ok(0), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("https://{}", listener.local_addr()?);
    write_private(&dir.join("admin.token"), token.as_bytes())?;
    let text =
        kubeconfig("cox", &url, pki.ca_pem(), &Credentials { token: Some(&token), ..Credentials::default() });
    write_private(&dir.join("admin.kubeconfig"), text.as_bytes())?;
    println!("{url}");
    serve(server, listener, tls).await;
    Ok(())
}
