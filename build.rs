//! Tells the linker how to lay out the program: what a verb and a resting daemon need lies together, and the pointers that
//! are set at the start take a bit each. The program is the same without it, and larger in memory.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed={ORDER}");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // Linkers that somebody chose need not understand it (mold does not), and other C libraries need not either.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let optimised = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !optimised || target("OS") != "linux" || target("ENV") != "gnu" || flags.contains("fuse-ld") {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bin=bearerd=-Wl,-T,{root}/{ORDER}");
    if unpacks_pointers() {
        println!("cargo::rustc-link-arg-bin=bearerd=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether this machine's C library understands packed pointers; with an older one the program would not even start. Other
/// machines are not asked.
fn unpacks_pointers() -> bool {
    let native = env::var("HOST").is_ok_and(|host| env::var("TARGET").is_ok_and(|target| target == host));
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let numbers = version.strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let minor = numbers.filter(|(major, _)| *major == "2").and_then(|(_, minor)| minor.parse::<u32>().ok());
    native && minor.is_some_and(|minor| minor >= 36)
}

/// Written by `make link-order`.
const ORDER: &str = "packaging/link-order.ld";
