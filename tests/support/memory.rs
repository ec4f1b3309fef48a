//! What is in the memory of a process. Only root may look.

use std::{fs, os::unix::fs::FileExt};

/// How many times each text stands in the memory of a process right now.
pub fn copies(pid: u32, texts: &[String]) -> Vec<usize> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the map of a running process");
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("only root may look into its memory");
    let mut found = vec![0; texts.len()];
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let range = words.next().and_then(|range| range.split_once('-')).expect("a range of addresses");
        let (start, end) = (address(range.0), address(range.1));
        // What a process has of its own is writable; the kernel's own pages at the end cannot be read.
        if !words.next().is_some_and(|rights| rights.starts_with("rw")) {
            continue;
        }
        let mut content = vec![0; usize::try_from(end - start).expect("a size")];
        if memory.read_exact_at(&mut content, start).is_ok() {
            for (count, text) in found.iter_mut().zip(texts) {
                *count += occurrences(&content, text.as_bytes());
            }
        }
    }
    found
}

fn occurrences(content: &[u8], text: &[u8]) -> usize {
    let first = text[0];
    let starts = content.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
    starts.filter(|at| content[*at..].starts_with(text)).count()
}

fn address(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("an address")
}
