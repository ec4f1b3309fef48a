//! Disks with a file system on each: one that keeps a log of all its writes, and one that is an image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::block_log::BlockLog;

/// A mounted file system on a disk of qemu's, which notes every write and flush before it does it.
pub struct LoggedDisk {
    folder: TempDir,
    qemu: Child,
    device: String,
}

/// A mounted file system out of an image.
pub struct Mounted(PathBuf);

impl LoggedDisk {
    /// Makes the disk and mounts it with these options.
    pub fn new(options: &str) -> Self {
        let folder = tempfile::tempdir_in(MEMORY).expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("mount")).expect("a folder");
        for (name, size) in [("data", DISK_SIZE), ("log", LOG_SIZE), ("disk", 0)] {
            fs::File::create(path(name)).and_then(|file| file.set_len(size as u64)).expect("a file");
        }
        let node = |text: &str| text.replace("FOLDER", &folder.path().display().to_string());
        let qemu = Command::new("qemu-storage-daemon")
            .args(["--blockdev", &node("driver=file,node-name=data,filename=FOLDER/data")])
            .args(["--blockdev", &node("driver=file,node-name=log,filename=FOLDER/log")])
            .args(["--blockdev", LOGGING])
            .args(["--export", &node("type=fuse,id=disk,node-name=logged,mountpoint=FOLDER/disk,writable=on")])
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-storage-daemon runs");
        let exported = || fs::metadata(path("disk")).is_ok_and(|disk| disk.len() == DISK_SIZE as u64);
        for _ in 0..1000 {
            if exported() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(exported(), "qemu-storage-daemon exports nothing");
        // Through the log as well: it must hold the whole disk.
        run(Command::new("mkfs.ext4").args(MKFS).arg(path("disk")));
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(path("disk"))).trim().to_owned();
        let this = Self { folder, qemu, device };
        mount(&["-o", options], Path::new(&this.device), &this.path());
        this
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// How many writes and flushes there have been.
    pub fn position(&self) -> usize {
        BlockLog::length(&self.folder.path().join("log"))
    }

    /// All of them, when nothing is written any more.
    pub fn log(self) -> BlockLog {
        unmount(&self.path());
        BlockLog::read(&self.folder.path().join("log"))
    }
}

impl Drop for LoggedDisk {
    fn drop(&mut self) {
        unmount(&self.path());
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
        let _ = Command::new("kill").arg(self.qemu.id().to_string()).status();
        let _ = self.qemu.wait();
    }
}

impl Mounted {
    /// Mounts an image. `Err` has what mount says when it does not want to.
    pub fn new(image: &Path, options: &str, place: &Path) -> Result<Self, String> {
        let options = format!("loop,{options}");
        let output = Command::new("mount").args(["-t", "ext4", "-o", &options]).arg(image).arg(place).output();
        let output = output.expect("mount runs");
        let mounted = output.status.success().then(|| Self(place.to_owned()));
        mounted.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// What is missing here for such disks, if anything is.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root can mount file systems".to_owned());
    }
    for program in ["qemu-storage-daemon", "mkfs.ext4", "losetup", "mount"] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Some(format!("{program} is missing; see tests/prepare.sh"));
        }
    }
    let devices = ["/dev/fuse", "/dev/loop-control", MEMORY];
    devices.into_iter().find(|device| !Path::new(device).exists()).map(|device| format!("there is no {device}"))
}

fn mount(options: &[&str], device: &Path, place: &Path) {
    run(Command::new("mount").args(["-t", "ext4"]).args(options).arg(device).arg(place));
}

/// A process that was killed a moment ago may still have a file open.
fn unmount(place: &Path) {
    for _ in 0..100 {
        let output = Command::new("umount").arg(place).output().expect("umount runs");
        if output.status.success() || String::from_utf8_lossy(&output.stderr).contains("not mounted") {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    eprintln!("{} stays mounted", place.display());
}

/// Runs it, and returns what it prints.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Images go where writing is quick.
pub const MEMORY: &str = "/dev/shm";
pub const DISK_SIZE: usize = 16 << 20;
const LOG_SIZE: usize = 256 << 20;
const LOGGING: &str =
    "driver=blklogwrites,node-name=logged,file=data,log=log,log-sector-size=512,log-super-update-interval=1";
/// Everything is written at once, and nothing discarded: what the log does not have, the disk does not have.
const MKFS: [&str; 7] =
    ["-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-b4096"];
