//! Reads protobuf numbers out of the sources of `k8s-pb` (structs of prost).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::model::{Shape, Table};

/// A message: plain field name -> field.
pub type Message = BTreeMap<String, Number>;

/// A field of a message.
pub struct Number {
    tag: u8,
    /// The prost type: `string`, `message`, ...
    kind: String,
    repeated: bool,
    /// The full name of the message, for single messages.
    message: String,
}

/// Plain full name -> message.
pub fn read(folder: &Path) -> anyhow::Result<BTreeMap<String, Message>> {
    let mut messages = BTreeMap::new();
    let mut folders = vec![(folder.to_path_buf(), Vec::new())];
    while let Some((folder, module)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                let mut inner = module.clone();
                inner.push(name);
                folders.push((path, inner));
            } else if name == "mod.rs" {
                read_module(&std::fs::read_to_string(&path)?, &module, &mut messages)
                    .with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(messages)
}

/// Names are compared without case and signs: `pod_ip` is `podIP`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn full(module: &[String], name: &str) -> String {
    plain(&format!("io.k8s.{}.{name}", module.join(".")))
}

fn read_module(
    text: &str,
    module: &[String],
    messages: &mut BTreeMap<String, Message>,
) -> anyhow::Result<()> {
    let mut current = String::new();
    let mut attribute: Option<&str> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            current = full(module, &name);
            messages.insert(current.clone(), Message::new());
        } else if let Some(rest) = line.strip_prefix("#[prost(") {
            attribute = Some(rest);
        } else if let (Some(found), Some(rest)) = (attribute, line.strip_prefix("pub ")) {
            attribute = None;
            let (name, first) = rest.split_once(':').context("a field has a type")?;
            let mut rust = first.to_owned();
            while !rust.ends_with(',') {
                rust.push_str(lines.next().context("a type ends")?.trim());
            }
            let number = read_number(found, &rust, module)?;
            messages
                .get_mut(&current)
                .context("a field is in a message")?
                .insert(plain(name.trim_start_matches("r#")), number);
        }
    }
    Ok(())
}

fn read_number(attribute: &str, rust: &str, module: &[String]) -> anyhow::Result<Number> {
    let after = attribute.split("tag = \"").nth(1).context("a tag")?;
    let tag = after.split('"').next().unwrap_or_default().parse()?;
    let kind = attribute.split([',', ' ']).next().unwrap_or_default().to_owned();
    let repeated = attribute.contains("repeated") || kind == "btree_map";
    let message = if kind == "message" && !repeated { message(rust, module) } else { String::new() };
    Ok(Number { tag, kind, repeated, message })
}

/// The full name of the message in `Option<super::super::meta::v1::Time>`.
fn message(rust: &str, module: &[String]) -> String {
    let inner = rust.split('<').next_back().unwrap_or_default().trim_end_matches([',', '>']);
    let mut module = module.to_vec();
    let mut name = "";
    for part in inner.split("::") {
        match part {
            "super" => {
                module.pop();
            }
            part => {
                if !name.is_empty() {
                    module.push(name.to_owned());
                }
                name = part;
            }
        }
    }
    full(&module, name)
}

/// Gives fields their numbers. Where Go embeds a struct, protobuf has a message between: a path of numbers.
pub fn number(table: &mut Table, messages: &BTreeMap<String, Message>) -> anyhow::Result<()> {
    for (name, ty) in table.iter_mut() {
        let Some(message) = messages.get(&plain(name)) else { continue };
        for (field_name, field) in &mut ty.fields {
            if ty.gvk.is_some() && matches!(field_name.as_str(), "apiVersion" | "kind")
                || !field.tags.is_empty()
            {
                continue;
            }
            let Some((tags, number)) = find(messages, message, &plain(field_name), 0) else {
                bail!("{name}.{field_name} has no protobuf number");
            };
            let is_list = matches!(field.shape, Shape::List(_));
            field.wrapped = is_list && number.kind == "message" && !number.repeated;
            field.tags = tags;
            ensure!(field.tags.len() <= 3, "{name}.{field_name}: embedded too deep");
        }
    }
    Ok(())
}

fn find<'a>(
    messages: &'a BTreeMap<String, Message>,
    message: &'a Message,
    name: &str,
    depth: usize,
) -> Option<(Vec<u8>, &'a Number)> {
    if let Some(number) = message.get(name) {
        return Some((vec![number.tag], number));
    }
    if depth == 2 {
        return None;
    }
    for number in message.values().filter(|number| !number.message.is_empty()) {
        // Only messages without a name of their own in JSON can be embedded, which the caller's name shows:
        // it is found nowhere else.
        if let Some((mut tags, found)) =
            messages.get(&number.message).and_then(|inner| find(messages, inner, name, depth + 1))
        {
            tags.insert(0, number.tag);
            return Some((tags, found));
        }
    }
    None
}
