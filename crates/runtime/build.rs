//! Builds `cox-shim` as a static executable, which this crate carries.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let workspace = manifest_dir.ancestors().nth(2).expect("crates/runtime is two levels deep").to_owned();
    // The supervisor doesn't use netlink, so changes there need no new one.
    for path in ["crates/shim", "crates/sys/src", "crates/sys/Cargo.toml"] {
        watch(&workspace.join(path));
    }
    println!("cargo::rerun-if-changed=build.rs");

    let target = env::var("TARGET").expect("cargo sets it");
    // A directory of its own beside the profile's: cargo holds a lock on the one in use.
    let target_dir = out_dir.ancestors().nth(4).unwrap_or(&out_dir).join("cox-shim");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo
        .current_dir(&workspace)
        .args(["build", "--offline", "--package", "cox-shim", "--bin", "cox-shim", "--profile", "shim"])
        .args(["--target", &target, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    // What is set for the outer build (clippy, coverage, another target directory) isn't for this one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let inherited = text.starts_with("CARGO_CFG_")
            || text.starts_with("CARGO_FEATURE_")
            || text.starts_with("CARGO_PKG_")
            || matches!(
                text.as_ref(),
                "CARGO_ENCODED_RUSTFLAGS"
                    | "CARGO_BUILD_TARGET"
                    | "CARGO_TARGET_DIR"
                    | "RUSTC_WRAPPER"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "CARGO_MAKEFLAGS"
                    | "MAKEFLAGS"
            );
        if inherited {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.output().expect("cargo can be started");
    if !output.status.success() {
        panic!("building the static cox-shim failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let built = target_dir.join(&target).join("shim/cox-shim");
    let bytes = fs::read(&built).unwrap_or_else(|e| panic!("read {}: {e}", built.display()));
    fs::write(out_dir.join("cox-shim"), &bytes).expect("the output directory is writable");
    let digest = Sha256::digest(&bytes);
    let prefix: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=COX_SHIM_DIGEST={prefix}");
}

fn watch(path: &Path) {
    if path.is_dir() {
        if path.ends_with("netlink") {
            return;
        }
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| watch(entry));
    } else {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
