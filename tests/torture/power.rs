//! Power cuts. The daemon refreshes on a file system whose disk notes every write and flush. From the notes come the
//! disks that a power cut may leave at any moment: what was flushed is there, and of the rest each write is kept, dropped
//! or torn. The file system recovers, the program starts, and has to have what it last told somebody of, or newer.

use std::{fs, os::unix::fs::symlink, path::Path, thread, time::Duration};

use tempfile::TempDir;

use crate::{
    block_log::{BlockLog, Fate},
    box_of::Box,
    counts::Counts,
    disk::{DISK_SIZE, LoggedDisk, MEMORY, Mounted, missing},
};

/// How ext4 is mounted: as usual, and without what it does for programs that do not flush.
const MOUNTS: [&str; 2] = ["data=ordered", "data=writeback,noauto_da_alloc"];

/// What one box did, and how its disk saw it.
struct Recording {
    this: Box,
    log: BlockLog,
    mount: &'static str,
    acknowledged: Vec<Acknowledged>,
}

/// Somebody was told of a token, at this position of the log at the latest.
struct Acknowledged {
    position: usize,
    /// Tokens are counted as the server issued them.
    token: usize,
}

#[derive(Default)]
struct Tally {
    images: usize,
    /// With writes that had not been flushed.
    open: usize,
    refreshes: usize,
    faults: Vec<String>,
}

#[test]
fn no_power_cut_loses_what_somebody_was_told_of() {
    let Some(tally) = campaign(&[], Counts::get().images) else { return };
    println!(
        "power cuts: images {}, with unflushed writes {}, of {} refreshes; unreadable or older than acknowledged {}",
        tally.images,
        tally.open,
        tally.refreshes,
        tally.faults.len()
    );
    assert!(tally.faults.is_empty(), "{:#?}", tally.faults);
    assert!(tally.open > 0, "no image had a write that was not flushed");
}

/// The twin: the same program whose fsync does nothing.
#[test]
fn a_save_that_is_not_flushed_is_found_out() {
    let Some(tally) = campaign(&WITHOUT_FSYNC, Counts::get().images.min(100)) else { return };
    println!("power cuts without fsync: images {}, lost {}", tally.images, tally.faults.len());
    assert!(!tally.faults.is_empty(), "{} images, and nothing is lost without fsync", tally.images);
}

/// `None` where there can be no such disks.
fn campaign(under: &'static [&'static str], images: usize) -> Option<Tally> {
    if let Some(missing) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("NOT RUN HERE, no power was cut: {missing}");
        return None;
    }
    let counts = Counts::get();
    let each = images.div_ceil(counts.disks);
    let disks = (0..counts.disks).map(|number| {
        thread::spawn(move || {
            // Four kinds of disks: sealed or not, each way to mount.
            let mut recording = record(number % 2 == 1, MOUNTS[number / 2 % 2], under, counts.refreshes);
            replay(&mut recording, each)
        })
    });
    let running: Vec<_> = disks.collect();
    Some(running.into_iter().fold(Tally::default(), |mut sum, thread| {
        let tally = thread.join().expect("a disk");
        sum.images += tally.images;
        sum.open += tally.open;
        sum.refreshes += tally.refreshes;
        sum.faults.extend(tally.faults);
        sum
    }))
}

fn record(sealed: bool, mount: &'static str, under: &[&str], refreshes: usize) -> Recording {
    let disk = LoggedDisk::new(mount);
    let folder = tempfile::tempdir_in(MEMORY).expect("a folder");
    fs::create_dir(disk.path().join("state")).expect("a folder");
    symlink(disk.path().join("state"), folder.path().join("state")).expect("a link");
    let mut this = Box::in_folder(folder, sealed, Duration::ZERO);
    let mut acknowledged = Vec::new();
    for number in 0..refreshes {
        // The pause between two refreshes grows, and begins anew with each start.
        if number % 3 == 0 {
            this.daemon.kill();
            this.daemon.launch(under);
            assert!(this.daemon.gets_ready(), "{}", this.daemon.log());
        }
        // Between two refreshes the daemon makes a pause, and the file system writes in the background.
        thread::sleep(BETWEEN_REFRESHES.mul_f64(0.5 + fastrand::f64()));
        let reply = this.ask_for_refresh().reply().unwrap_or_default();
        let position = disk.position();
        assert!(reply.starts_with("HTTP/1.1 2"), "{reply}");
        let token = number_of(&this, &this.daemon.get("/v1/token").text("access_token"));
        acknowledged.push(Acknowledged { position, token: token.expect("a token that was issued") });
    }
    let tokens = acknowledged.windows(2).filter(|pair| pair[0].token < pair[1].token).count() + 1;
    assert_eq!(tokens, refreshes, "a refresh brought nothing new");
    this.daemon.kill();
    this.server.set_reachable(false);
    fs::remove_file(this.daemon.folder().join("state")).expect("a link");
    Recording { this, log: disk.log(), mount, acknowledged }
}

/// Cuts the power at random moments: half of them soon after somebody was told of something.
fn replay(recording: &mut Recording, images: usize) -> Tally {
    let folder = tempfile::tempdir_in(MEMORY).expect("a folder");
    let place = folder.path().join("mount");
    fs::create_dir(&place).expect("a folder");
    symlink(place.join("state"), recording.this.daemon.folder().join("state")).expect("a link");
    let positions: Vec<_> = recording.acknowledged.iter().map(|told| told.position).collect();
    let (first, last) = (positions[0], positions[positions.len() - 1]);
    let random = (0..images).map(|number| match number % 2 {
        0 => fastrand::usize(first..=last),
        _ => (positions[fastrand::usize(..positions.len())] + fastrand::usize(0..8)).min(last),
    });
    let mut cuts: Vec<_> = random.collect();
    cuts.sort_unstable();

    let mut replay = recording.log.replay(DISK_SIZE);
    let mut tally = Tally { refreshes: positions.len(), ..Tally::default() };
    for cut in cuts {
        let fate = [Fate::Kept, Fate::Dropped, Fate::Any, Fate::Any][fastrand::usize(..4)];
        let (disk, open) = replay.cut(cut, fate);
        tally.images += 1;
        tally.open += usize::from(open > 0);
        let told = recording.acknowledged.iter().rev().find(|told| told.position <= cut).expect("one before");
        if let Err(fault) = start_on(&mut recording.this, recording.mount, &disk, &folder, &place, told.token) {
            tally.faults.push(format!("cut at {cut}, {open} writes open and {fate:?}, {}: {fault}", recording.mount));
        }
    }
    tally
}

/// Starts the program on a disk, while its server is away. `Err` says what it has lost.
fn start_on(
    this: &mut Box,
    mount: &str,
    disk: &[u8],
    folder: &TempDir,
    place: &Path,
    told: usize,
) -> Result<(), String> {
    let image = folder.path().join("image");
    fs::write(&image, disk).expect("an image");
    fs::write(this.daemon.folder().join("log"), "").expect("a log");
    let mounted = Mounted::new(&image, mount, place)?;
    this.daemon.start_again();
    let reply = this.daemon.get("/v1/token");
    let found = match reply.status {
        200 => number_of(this, &reply.text("access_token")).ok_or_else(|| "a token nobody issued".to_owned()),
        status => Err(format!("status {status}: {}", reply.body)),
    };
    let unreadable = this.unreadable();
    this.daemon.kill();
    drop(mounted);
    match found? {
        _ if unreadable => Err("a file is unreadable".to_owned()),
        found if found < told => Err(format!("token {found} is there, and somebody was told of {told}")),
        _ => Ok(()),
    }
}

/// The place of a token among all that the server has issued.
fn number_of(this: &Box, token: &str) -> Option<usize> {
    this.server.issued_secrets().iter().position(|secret| secret == token)
}

const BETWEEN_REFRESHES: Duration = Duration::from_millis(1200);
const WITHOUT_FSYNC: [&str; 9] = [
    "strace",
    "-D",
    "-f",
    "-q",
    "-o",
    "/dev/null",
    "-etrace=fsync,fdatasync",
    "-einject=fsync:retval=0",
    "-einject=fdatasync:retval=0",
];
