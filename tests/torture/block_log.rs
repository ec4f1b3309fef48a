//! The log of every write to a disk, in the format of Linux's dm-log-writes, which qemu's `blklogwrites` writes too; and
//! the disks that a power cut may leave.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    iter,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
};

/// The writes and flushes of a disk, in order.
pub struct BlockLog(Vec<Entry>);

enum Entry {
    Write {
        /// In bytes.
        offset: usize,
        data: Vec<u8>,
        /// Durable by itself once it is done ("force unit access").
        through: bool,
    },
    Flush,
}

/// What becomes of the writes that were not flushed.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Kept,
    Dropped,
    /// Each for itself is kept, dropped, or torn into sectors that are.
    Any,
}

/// The disk at growing moments: what is durable at each is built upon what was before.
pub struct Replay<'a> {
    log: &'a BlockLog,
    durable: Vec<u8>,
    applied: usize,
}

impl BlockLog {
    /// How many entries are in the log by now.
    pub fn length(path: &Path) -> usize {
        let mut head = [0; 28];
        File::open(path).and_then(|file| file.read_exact_at(&mut head, 0)).expect("a log");
        assert_eq!((number(&head, 0), number(&head, 1)), (MAGIC, VERSION), "not a log of writes");
        assert_eq!(head[24..28], (SECTOR as u32).to_le_bytes(), "another size of sectors");
        number(&head, 2)
    }

    /// Reads a log whose disk is at rest.
    pub fn read(path: &Path) -> Self {
        let mut file = BufReader::new(File::open(path).expect("a log"));
        file.seek(SeekFrom::Start(SECTOR as u64)).expect("a log");
        let entries = (0..Self::length(path)).map(|_| {
            let mut head = [0; SECTOR];
            file.read_exact(&mut head).expect("an entry");
            let (sector, sectors, flags) = (number(&head, 0), number(&head, 1), number(&head, 2));
            if flags & FLUSH != 0 && sectors == 0 {
                return Entry::Flush;
            }
            assert!(flags & !(FLUSH | THROUGH) == 0, "flags {flags:#x}: the file system was to discard nothing");
            let mut data = vec![0; sectors * SECTOR];
            file.read_exact(&mut data).expect("what was written");
            Entry::Write { offset: sector * SECTOR, data, through: flags & THROUGH != 0 }
        });
        Self(entries.collect())
    }

    /// From an empty disk of this size.
    pub fn replay(&self, size: usize) -> Replay<'_> {
        Replay { log: self, durable: vec![0; size], applied: 0 }
    }
}

impl Replay<'_> {
    /// The disk after a power cut behind the first `cut` entries, and how many writes were not flushed. A later call
    /// must not go back.
    pub fn cut(&mut self, cut: usize, fate: Fate) -> (Vec<u8>, usize) {
        let entries = &self.log.0[..cut];
        let flushed = entries.iter().rposition(|entry| matches!(entry, Entry::Flush)).map_or(0, |last| last + 1);
        for entry in &entries[self.applied..flushed] {
            if let Entry::Write { offset, data, .. } = entry {
                self.durable[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
        self.applied = flushed;
        let mut disk = self.durable.clone();
        let mut open = 0;
        for entry in &entries[flushed..] {
            let Entry::Write { offset, data, through } = entry else { continue };
            open += usize::from(!through);
            // ext4 does not mount with half of a new superblock, whoever uses it: that write is kept or dropped as a whole.
            let fate = match fate {
                _ if *through => Fate::Kept,
                Fate::Any if *offset < SUPERBLOCK_END => [Fate::Kept, Fate::Dropped][fastrand::usize(..2)],
                Fate::Any | Fate::Kept | Fate::Dropped => fate,
            };
            for sectors in survivors(data.len(), fate) {
                disk[offset + sectors.start..offset + sectors.end].copy_from_slice(&data[sectors]);
            }
        }
        (disk, open)
    }
}

/// What of a write reaches the disk, in bytes of it.
fn survivors(length: usize, fate: Fate) -> Vec<Range<usize>> {
    match (fate, fastrand::u8(0..3)) {
        (Fate::Kept, _) | (Fate::Any, 0) => iter::once(0..length).collect(),
        (Fate::Dropped, _) | (Fate::Any, 1) => Vec::new(),
        (Fate::Any, _) => {
            let sectors = (0..length).step_by(SECTOR).map(|start| start..start + SECTOR);
            sectors.filter(|_| fastrand::bool()).collect()
        }
    }
}

/// The nth number of a header.
fn number(head: &[u8], n: usize) -> usize {
    let bytes = head[8 * n..8 * n + 8].try_into().expect("eight bytes");
    usize::try_from(u64::from_le_bytes(bytes)).expect("a number of this machine")
}

const MAGIC: usize = 0x006a_7366_7773_6872;
const VERSION: usize = 1;
const SECTOR: usize = 512;
/// In bytes from the start of the disk.
const SUPERBLOCK_END: usize = 2048;
const FLUSH: usize = 1;
const THROUGH: usize = 2;
