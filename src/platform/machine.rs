//! Which machine this is.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use aws_lc_rs::hmac;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

/// The machine's id, in a form that is bearerd's alone: machine-id(5) asks not to show the id itself around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineId(pub [u8; 16]);

impl MachineId {
    /// That of this machine, as `systemd-id128 machine-id --app-specific=ea3c6bb2f1ad4ae58ef2a1b4c6b7d1c9` prints it.
    /// `None` where there is none, and where systemd made one up for this boot alone (it then lies on a tmpfs): nothing
    /// that outlives the boot may depend on that.
    pub fn read() -> Option<Self> {
        let file = File::open(Path::new("/etc/machine-id")).ok()?;
        let transient = fstatfs(&file).is_ok_and(|system| system.filesystem_type() == TMPFS_MAGIC);
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        parse(&text).filter(|_| !transient).map(Self::specific)
    }

    /// As `sd_id128_get_machine_app_specific(3)` derives it: HMAC-SHA256, shortened, with the marks of a random UUID.
    fn specific(machine: u128) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &machine.to_be_bytes());
        let tag = hmac::sign(&key, &APPLICATION.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&tag.as_ref()[..16]);
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        Self(id)
    }
}

/// The name by which people know the machine.
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn parse(text: &str) -> Option<u128> {
    let digits = text.strip_suffix('\n').unwrap_or(text);
    let whole = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u128::from_str_radix(digits, 16).ok().filter(|id| whole && *id != 0)
}

/// Drawn once, at random; it makes the id bearerd's own.
const APPLICATION: u128 = 0xea3c_6bb2_f1ad_4ae5_8ef2_a1b4_c6b7_d1c9;
const LONGEST: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_one_that_systemd_derives() {
        let machine = parse("3d1219c7c4c5404aaa1f6d2a48adfda4\n").expect("an id");
        let derived = u128::from_be_bytes(MachineId::specific(machine).0);
        assert_eq!(format!("{derived:032x}"), "6217eede46c2426293ca0ea40f4985e8");
    }

    #[test]
    fn what_is_no_id_is_none() {
        for text in ["", "uninitialized\n", "0", &"0".repeat(32), &"+".repeat(32), &"a".repeat(33), &"g".repeat(32)] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
