//! The real program against kills, a failing disk, power cuts and damaged files. `docs/reliability.md` has the figures;
//! how often each thing is tried is in `counts.rs`.

#[path = "../support/mod.rs"]
mod support;

mod box_of;
mod counts;
mod errno;
mod kills;
mod syscalls;
