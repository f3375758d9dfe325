//! The nodes of this process, together: routes between them, images on all of them, stopping and starting one.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cox_runtime::{ImageConfig, Runtime};
use tokio::sync::Mutex;

use super::node::{Node, Surroundings};
use crate::layout::{Layout, NodeLayout};

/// All nodes; none for one that is stopped.
pub(crate) struct Nodes {
    surroundings: Surroundings,
    layouts: Vec<NodeLayout>,
    running: Mutex<BTreeMap<String, Node>>,
}

impl Nodes {
    /// Starts every node of the layout.
    pub(crate) async fn start(surroundings: Surroundings, layout: &Layout) -> Result<Nodes> {
        let layouts = layout.node_layouts()?;
        let mut running = BTreeMap::new();
        let all = futures::future::join_all(
            layouts.iter().map(|layout| Node::start(&surroundings, layout.clone())),
        )
        .await;
        for (layout, node) in layouts.iter().zip(all) {
            running.insert(layout.name.clone(), node.with_context(|| format!("node {}", layout.name))?);
        }
        let nodes = Nodes { surroundings, layouts, running: Mutex::new(running) };
        nodes.connect().await?;
        Ok(nodes)
    }

    /// Brings the routes between nodes up to date.
    async fn connect(&self) -> Result<()> {
        for (name, node) in &*self.running.lock().await {
            let others = self.layouts.iter().filter(|other| other.name != *name);
            let routes = others.map(|other| (other.pod_cidr, other.ip)).collect();
            node.network.set_peer_routes(routes).await?;
        }
        Ok(())
    }

    /// Ends the nodes' part of this process; pods run on.
    pub(crate) async fn leave(&self) {
        let running = self.running.lock().await;
        futures::future::join_all(running.values().map(Node::leave)).await;
    }

    /// A line per node.
    pub(crate) async fn lines(&self) -> Vec<String> {
        let running = self.running.lock().await;
        let mut lines = vec![format!("{:<20} {:<10} {:<16} {}", "NODE", "STATE", "ADDRESS", "PODS")];
        for layout in &self.layouts {
            let state = if running.contains_key(&layout.name) { "running" } else { "stopped" };
            let pods = match running.get(&layout.name) {
                Some(node) => node.runtime.list_sandboxes().await.map_or(0, |sandboxes| sandboxes.len()),
                None => 0,
            };
            lines.push(format!("{:<20} {state:<10} {:<16} {pods}", layout.name, layout.ip.to_string()));
        }
        lines
    }

    /// Stops a node as if its machine had failed.
    pub(crate) async fn stop(&self, name: &str) -> Result<Vec<String>> {
        self.known(name)?;
        let Some(node) = self.running.lock().await.remove(name) else {
            bail!("node {name} is stopped already")
        };
        node.fail(self.surroundings.fabric.as_ref()).await?;
        Ok(vec![format!("node {name} is stopped")])
    }

    /// Brings a node back.
    pub(crate) async fn start_one(&self, name: &str) -> Result<Vec<String>> {
        let layout = self.known(name)?.clone();
        let mut running = self.running.lock().await;
        if running.contains_key(name) {
            bail!("node {name} runs already");
        }
        let node = Node::start(&self.surroundings, layout).await?;
        running.insert(name.to_owned(), node);
        drop(running);
        self.connect().await?;
        Ok(vec![format!("node {name} runs")])
    }

    fn known(&self, name: &str) -> Result<&NodeLayout> {
        let names: Vec<&str> = self.layouts.iter().map(|layout| layout.name.as_str()).collect();
        let found = self.layouts.iter().find(|layout| layout.name == name);
        found.with_context(|| format!("there is no node {name:?}; the nodes are {}", names.join(", ")))
    }

    // === images ===

    /// Loads an archive into every node.
    pub(crate) async fn load(&self, file: &Path) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (name, node) in &*self.running.lock().await {
            for image in node.runtime.load_archive(file).await? {
                lines.push(format!("{name}: {}", image.repo_tags.join(", ")));
            }
        }
        Ok(lines)
    }

    /// Makes an image on every node.
    pub(crate) async fn build(&self, from: &Path, tag: &str, config: &ImageConfig) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (name, node) in &*self.running.lock().await {
            let image = node.runtime.build_from_dir(from, tag, config.clone()).await?;
            lines.push(format!("{name}: {} {}", image.repo_tags.join(", "), image.id));
        }
        Ok(lines)
    }

    /// Fetches an image on every node.
    pub(crate) async fn pull(&self, reference: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (name, node) in &*self.running.lock().await {
            let id = node.runtime.pull_image(reference, None).await?;
            lines.push(format!("{name}: {reference} {id}"));
        }
        Ok(lines)
    }

    /// Images by node.
    pub(crate) async fn images(&self) -> Result<Vec<String>> {
        let mut lines = vec![crate::image::heading()];
        for (name, node) in &*self.running.lock().await {
            lines.extend(crate::image::lines(name, &node.runtime.list_images().await?));
        }
        Ok(lines)
    }

    /// Removes an image from every node.
    pub(crate) async fn remove_image(&self, reference: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (name, node) in &*self.running.lock().await {
            node.runtime.remove_image(reference).await?;
            lines.push(format!("{name}: removed {reference}"));
        }
        Ok(lines)
    }
}
