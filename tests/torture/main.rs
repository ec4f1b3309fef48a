//! The real program against kills, a failing disk, power cuts and damaged files. `docs/reliability.md` has the figures;
//! how often each thing is tried is in `counts.rs`.

#[path = "../support/mod.rs"]
mod support;

mod block_log;
mod box_of;
mod counts;
mod damage;
mod disk;
mod errno;
mod kills;
mod power;
mod syscalls;
