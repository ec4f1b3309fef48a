//! Tells the linker how to lay out the program: what a verb and a resting daemon need lies together, and the pointers that
//! are set at the start take a bit each. The program is the same without it, and larger in memory.

use std::env;

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
    println!("cargo::rustc-link-arg-bin=bearerd=-Wl,-z,pack-relative-relocs");
}

/// Written by `make link-order`.
const ORDER: &str = "packaging/link-order.ld";
