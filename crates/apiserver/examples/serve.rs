//! An API server over a store in memory, for trying things out: `cargo run -p cox-apiserver --example serve DIR`.
//! Writes `DIR/admin.kubeconfig`, `DIR/admin.token` and `DIR/pki/ca.crt` and prints where it listens.

use std::path::PathBuf;

use cox_apiserver::pki::{Credentials, NameOrAddress, Pki, kubeconfig, write_private};
use cox_apiserver::{ApiServer, Config, User, describe, serve};
use cox_env::Env;
use cox_store::{Limits, Memory, Store};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir: PathBuf = std::env::args().nth(1).ok_or("needs a directory")?.into();
    let env = Env::real();
    let pki = Pki::open(&env, &dir.join("pki"))?;
    let store =
        Store::open(env.clone(), Box::new(Memory::new(env.clone())), Limits::default(), describe()).await?;
    let token = env.chance().uid();
    let mut config = Config::new(pki.clone())?;
    let admin = User { uid: "1".into(), ..User::new("admin", &["system:masters"]) };
    config.static_tokens = vec![(token.clone(), admin)];
    let server = ApiServer::open(env.clone(), store, config).await?;
    let names: Vec<NameOrAddress> = vec!["localhost".into(), "127.0.0.1".into()];
    let tls = pki.server_config(&pki.server("kube-apiserver", &names)?)?;
    let port: u16 = std::env::args().nth(2).map_or(Ok(0), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("https://{}", listener.local_addr()?);
    write_private(&dir.join("admin.token"), token.as_bytes())?;
    let text = kubeconfig("cox", &url, pki.ca_pem(), &Credentials { token: Some(&token), ..Credentials::default() });
    write_private(&dir.join("admin.kubeconfig"), text.as_bytes())?;
    println!("{url}");
    serve(server, listener, tls).await;
    Ok(())
}
