//! What a record looks like in its file.
//!
//! | offset | bytes | what, numbers little-endian |
//! |---|---|---|
//! | 0 | 8 | `\x89bearerd` |
//! | 8 | 2 | version of the format, 1 |
//! | 10 | 2 | 0 plain, 1 sealed (AES-256-GCM-SIV) |
//! | 12 | 4 | length of the record |
//! | 16 | 8 | generation, one higher with each save |
//! | 24 | 8 | id of the key; zero when plain |
//! | 32 | 16 | id of the machine (see [`MachineId`]); zero where it has none |
//! | 48 | 12 | nonce; zero when plain |
//! | 60 | | the record, JSON |
//! | | 16 or 32 | the tag when sealed, a SHA-256 when plain |
//!
//! Tag and SHA-256 cover the header, the slot, the account's name and the record, so that no file passes for another.

use std::io;

use aws_lc_rs::{constant_time, digest};
use secrecy::zeroize::Zeroizing;

use super::{
    Damage, Slot,
    key::Keys,
    seal::{self, Key},
};
use crate::{account::AccountName, platform::machine::MachineId};

/// Where a record belongs.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub account: &'a AccountName,
    pub slot: Slot,
    pub machine: Option<MachineId>,
}

/// A record that is whole, authentic and in its place.
pub(super) struct Unpacked {
    pub generation: u64,
    pub seal: Seal,
    pub record: Zeroizing<Vec<u8>>,
}

/// What a record is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// No key at all.
    Plain,
    /// The key in use before this one.
    Previous,
    /// The key in use.
    Current,
}

/// The content of the file for a record.
pub(super) fn pack(keys: &Keys, place: &Place<'_>, generation: u64, record: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = u32::try_from(record.len()).ok().filter(|length| *length <= LONGEST_RECORD);
    let length = length.ok_or_else(|| io::Error::other("the record is too large"))?;
    let broken = |_| io::Error::other("the record cannot be sealed");
    let key = keys.current.as_ref();
    let header = Header {
        suite: if key.is_some() { SEALED } else { PLAIN },
        length,
        generation,
        key: key.map_or([0; 8], |key| key.id),
        machine: place.machine.map_or([0; 16], |machine| machine.0),
        nonce: if key.is_some() { seal::nonce().map_err(broken)? } else { [0; 12] },
    };
    let associated = header.associated(place);
    // Long enough from the start, so that no copy is left behind by growing.
    let mut file = Zeroizing::new(Vec::with_capacity(HEADER + record.len() + digest::SHA256_OUTPUT_LEN));
    file.extend_from_slice(&associated[..HEADER]);
    file.extend_from_slice(record);
    match key {
        Some(key) => {
            let tag = key.seal(header.nonce, &associated, &mut file[HEADER..]).map_err(broken)?;
            file.extend_from_slice(&tag);
        }
        None => file.extend_from_slice(checksum(&associated, record).as_ref()),
    }
    Ok(file)
}

/// Reads the content of a file back.
pub(super) fn unpack(keys: &Keys, place: &Place<'_>, mut file: Zeroizing<Vec<u8>>) -> Result<Unpacked, Damage> {
    let (header, body) = Header::parse(&mut file)?;
    let associated = header.associated(place);
    let (seal, record) = if header.suite == PLAIN {
        let (record, sum) = body.split_at(header.length as usize);
        constant_time::verify_slices_are_equal(checksum(&associated, record).as_ref(), sum)
            .map_err(|_| Damage::Garbled)?;
        (Seal::Plain, Zeroizing::new(record.to_vec()))
    } else {
        let (seal, key) = find_key(keys, &header)?;
        let record = key.open(header.nonce, &associated, body).map_err(|_| Damage::Garbled)?;
        (seal, Zeroizing::new(record.to_vec()))
    };
    let here = place.machine.map_or([0; 16], |machine| machine.0);
    // A record that was bound to no machine is welcome everywhere.
    if header.machine != [0; 16] && header.machine != here {
        return Err(Damage::OtherMachine);
    }
    Ok(Unpacked { generation: header.generation, seal, record })
}

fn find_key<'a>(keys: &'a Keys, header: &Header) -> Result<(Seal, &'a Key), Damage> {
    let known = [(Seal::Current, keys.current.as_ref()), (Seal::Previous, keys.previous.as_ref())];
    let mut known = known.into_iter().filter_map(|(seal, key)| Some((seal, key?))).peekable();
    if known.peek().is_none() {
        return Err(Damage::NoKey);
    }
    known.find(|(_, key)| key.id == header.key).ok_or(Damage::OtherKey)
}

struct Header {
    suite: u16,
    length: u32,
    generation: u64,
    key: [u8; seal::ID_LENGTH],
    machine: [u8; 16],
    nonce: [u8; seal::NONCE_LENGTH],
}

impl Header {
    /// The header, and what follows it if that is as long as the header says.
    fn parse(file: &mut [u8]) -> Result<(Self, &mut [u8]), Damage> {
        let (bytes, body) = file.split_at_mut_checked(HEADER).ok_or(Damage::Garbled)?;
        let mut fields = Fields(bytes);
        if fields.take() != Some(MAGIC) {
            return Err(Damage::Garbled);
        }
        match fields.take().map(u16::from_le_bytes) {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Err(Damage::Newer(newer)),
            _ => return Err(Damage::Garbled),
        }
        let header = Self {
            suite: fields.take().map(u16::from_le_bytes).ok_or(Damage::Garbled)?,
            length: fields.take().map(u32::from_le_bytes).ok_or(Damage::Garbled)?,
            generation: fields.take().map(u64::from_le_bytes).ok_or(Damage::Garbled)?,
            key: fields.take().ok_or(Damage::Garbled)?,
            machine: fields.take().ok_or(Damage::Garbled)?,
            nonce: fields.take().ok_or(Damage::Garbled)?,
        };
        let tag = match header.suite {
            PLAIN => digest::SHA256_OUTPUT_LEN,
            SEALED => seal::TAG_LENGTH,
            _ => return Err(Damage::Garbled),
        };
        // No store gets to the last generations by counting, and none must be led past the end.
        let sound = header.length <= LONGEST_RECORD && header.generation <= LAST_GENERATION;
        if sound && body.len() == header.length as usize + tag { Ok((header, body)) } else { Err(Damage::Garbled) }
    }

    /// What tag and checksum cover besides the record: the header first, the name last, so that no two places read the
    /// same.
    fn associated(&self, place: &Place<'_>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 1 + place.account.as_str().len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.suite.to_le_bytes());
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.machine);
        bytes.extend_from_slice(&self.nonce);
        bytes.push(place.slot.letter());
        bytes.extend_from_slice(place.account.as_str().as_bytes());
        bytes
    }
}

/// Takes one field after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

fn checksum(associated: &[u8], record: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(associated);
    context.update(record);
    context.finish()
}

/// The longest file that can be one of ours.
pub(super) const LONGEST_FILE: usize = HEADER + LONGEST_RECORD as usize + digest::SHA256_OUTPUT_LEN;
pub(super) const HEADER: usize = 60;
const MAGIC: [u8; 8] = *b"\x89bearerd";
const VERSION: u16 = 1;
const PLAIN: u16 = 0;
const SEALED: u16 = 1;
/// Several times what a server may answer.
const LONGEST_RECORD: u32 = 1024 * 1024;
const LAST_GENERATION: u64 = u64::MAX / 2;
