//! Damaged files: never a panic, never anything but what was once saved in that place, and the other generation where
//! there is one.

use std::fs;

use fastrand::Rng;

use super::{KEY, folder, name, plain, record, sealed, token};
use crate::platform::{
    machine::MachineId,
    store::{
        Slot, Store,
        format::{self, Place},
        key::Keys,
    },
};

/// A way to have a store over a folder.
type Open = fn(&std::path::Path) -> Store;

const CASES: u32 = 10_000;

#[test]
fn every_shortened_or_flipped_file_is_refused() {
    let account = name();
    let place = Place { account: &account, slot: Slot::A, machine: Some(MachineId([1; 16])) };
    for keys in [Keys::default(), Keys::of(Some(&KEY), None)] {
        let opens = |file: &[u8]| format::unpack(&keys, &place, file.to_vec().into()).is_ok();
        let file = format::pack(&keys, &place, 5, b"{\"generation\":1}").expect("a file");
        assert!(opens(&file));
        for length in 0..file.len() {
            assert!(!opens(&file[..length]), "{length} bytes of it");
        }
        assert!(!opens(&[&file[..], &[0]].concat()), "a byte more");
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut flipped = file.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(!opens(&flipped), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn ten_thousand_damaged_files_bring_the_other_generation_or_nothing() {
    let openers: [Open; 2] = [plain, sealed];
    for (seed, open) in (0..).zip(openers) {
        let folder = folder();
        let other = "other".parse().expect("a name");
        let store = open(folder.path());
        // Every pair of files there ever was, and that of another account.
        let mut history = Vec::new();
        let pair = |account: &str| ["a", "b"].map(|slot| fs::read(folder.path().join(format!("{account}.{slot}"))));
        store.save(&other, &record("another account's")).expect("a save");
        let stranger = pair("other").map(|file| file.expect("a file"));
        for number in 0..6 {
            store.save(&name(), &record(&format!("access-{number}"))).expect("a save");
            history.push(pair("kinde").map(|file| file.expect("a file")));
        }
        let mut rng = Rng::with_seed(seed);
        for case in 0..CASES / 2 {
            let newest = history.last().expect("a pair").clone();
            let mut files = newest.clone();
            for _ in 0..rng.u8(1..=3) {
                damage(&mut files, &history, &stranger, &mut rng);
            }
            for (slot, file) in ["a", "b"].iter().zip(&files) {
                fs::write(folder.path().join(format!("kinde.{slot}")), file).expect("a write");
            }
            let loaded = store.load(&name());
            let got = token(&loaded);
            // What each file holds, if it is one that was written in that place.
            let whole = |slot: usize| history.iter().position(|pair| pair[slot] == files[slot]);
            match (whole(0), whole(1)) {
                (None, None) => assert!(got.is_none() && loaded.incidents.len() == 2, "case {case}: {got:?}"),
                _ => assert!(got.is_some_and(|got| got.starts_with("access-")), "case {case}"),
            }
            let bad = [0, 1].into_iter().filter(|slot| whole(*slot).is_none()).count();
            assert_eq!(loaded.incidents.len(), bad, "case {case}");
        }
    }
}

/// Does one kind of damage to one of the two files, or to both.
fn damage(files: &mut [Vec<u8>; 2], history: &[[Vec<u8>; 2]], stranger: &[Vec<u8>; 2], rng: &mut Rng) {
    let slot = rng.usize(0..2);
    let file = &mut files[slot];
    match rng.u8(0..8) {
        0 if !file.is_empty() => {
            let at = rng.usize(0..file.len());
            file[at] ^= 1 << rng.u8(0..8);
        }
        1 => file.truncate(rng.usize(0..=file.len())),
        2 => {
            let from = rng.usize(0..=file.len());
            let end = rng.usize(from..=file.len());
            file[from..end].fill(0);
        }
        3 => file.extend((0..rng.usize(1..100)).map(|_| rng.u8(..)).collect::<Vec<_>>()),
        4 => files.swap(0, 1),
        5 => *file = history[rng.usize(0..history.len())][slot].clone(),
        6 => *file = stranger[slot].clone(),
        _ => *file = (0..rng.usize(0..300)).map(|_| rng.u8(..)).collect(),
    }
}
