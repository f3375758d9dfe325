//! Puts the context `cox` into the user's own kubeconfig, and takes it out again; everything else in it stays.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The name of the cluster, the user and the context.
pub(crate) const NAME: &str = "cox";

/// The user's kubeconfig: the first file of `KUBECONFIG`, else `~/.kube/config`.
fn user_file() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Some(first);
    }
    std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"))
}

/// Merges the administrator's kubeconfig into the user's; brings the file.
pub(crate) fn merge(admin: &str) -> Result<Option<PathBuf>> {
    let Some(file) = user_file() else { return Ok(None) };
    let admin: Value = serde_saphyr::from_str(admin).context("reading our own kubeconfig")?;
    let mut user = read(&file)?;
    for list in ["clusters", "users", "contexts"] {
        let ours = admin[list].as_array().cloned().unwrap_or_default();
        let entries = list_of(&mut user, list);
        entries.retain(|entry| entry["name"] != NAME);
        entries.extend(ours.into_iter().map(|mut entry| {
            entry["name"] = NAME.into();
            if list == "contexts" {
                entry["context"] = json!({"cluster": NAME, "user": NAME});
            }
            entry
        }));
    }
    if user["current-context"].as_str().is_none_or(str::is_empty) {
        user["current-context"] = NAME.into();
    }
    write(&file, &user)?;
    Ok(Some(file))
}

/// Takes the context out of the user's kubeconfig.
pub(crate) fn unmerge() -> Result<()> {
    let Some(file) = user_file().filter(|file| file.exists()) else { return Ok(()) };
    let mut user = read(&file)?;
    let before = user.clone();
    for list in ["clusters", "users", "contexts"] {
        list_of(&mut user, list).retain(|entry| entry["name"] != NAME);
    }
    if user["current-context"] == NAME {
        user["current-context"] = "".into();
    }
    if user != before {
        write(&file, &user)?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("reading {}", file.display()))?,
    };
    let value: Option<Value> = if text.trim().is_empty() {
        None
    } else {
        Some(serde_saphyr::from_str(&text).with_context(|| {
            format!("{} is not a kubeconfig; use --no-merge to leave it alone", file.display())
        })?)
    };
    Ok(value.filter(Value::is_object).unwrap_or_else(|| json!({"apiVersion": "v1", "kind": "Config"})))
}

fn list_of<'a>(config: &'a mut Value, list: &str) -> &'a mut Vec<Value> {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    match &mut config[list] {
        Value::Array(entries) => entries,
        _ => unreachable!("it was just made a list"),
    }
}

fn write(file: &Path, config: &Value) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let fresh = file.with_extension("cox-new");
    let text = serde_saphyr::to_string(config).context("writing YAML")?;
    let _ = std::fs::remove_file(&fresh);
    let mut out = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
    std::io::Write::write_all(&mut out, text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&fresh, file).with_context(|| format!("writing {}", file.display()))
}
