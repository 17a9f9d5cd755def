//! Which compiler it was, for `postrider.build_info`.

use std::{env, process::Command};

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=POSTRIDER_RUSTC={version}");
    println!("cargo::rerun-if-env-changed=POSTRIDER_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
}
