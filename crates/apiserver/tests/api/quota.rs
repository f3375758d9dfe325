//! Quotas hold in a crowd.

use serde_json::json;

use crate::support::{World, pod};

#[tokio::test]
async fn no_more_pods_than_allowed_come_in() {
    let world = World::new().await;
    world
        .create("resourcequotas", "n", json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}}))
        .await
        .unwrap();
    let counted = json!({"status": {"hard": {"pods": "5"}, "used": {"pods": "0"}}});
    world.merge("resourcequotas:status", "n", "q", counted).await.unwrap();
    let names: Vec<String> = (0..20).map(|at| format!("p{at}")).collect();
    let made = futures::future::join_all(names.iter().map(|name| world.create("pods", "n", pod(name)))).await;
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 5);
    let refused = made.into_iter().find_map(Result::err).unwrap();
    assert!(
        refused.message().ends_with("exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"),
        "{refused}"
    );
    let quota = world.get("resourcequotas", "n", "q").await.unwrap();
    assert_eq!(quota["status"]["used"]["pods"], "5");
}
