//! A QR code as a PNG: one bit per pixel, the data stored and not compressed (RFC 1950, RFC 1951 §3.2.4).

use base64::{Engine, prelude::BASE64_STANDARD};
use qrcode::{Color, QrCode};

/// The picture as a data URL, as Kinde sends it.
pub(super) fn data_url(text: &str) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png(text)))
}

fn png(text: &str) -> Vec<u8> {
    let code = QrCode::new(text).expect("an address is short enough for a QR code");
    let (width, colours) = (code.width(), code.to_colors());
    let side = (width + 2 * QUIET) * SCALE;
    let dark = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < width);
    let mut rows = Vec::new();
    for y in 0..side {
        rows.push(0);
        for x in (0..side).step_by(8) {
            let bits = (x..x + 8).map(|x| match (dark(x), dark(y)) {
                (Some(x), Some(y)) => u8::from(colours[y * width + x] != Color::Dark),
                _ => 1,
            });
            rows.push(bits.fold(0, |byte, bit| byte << 1 | bit));
        }
    }
    let side = u32::try_from(side).expect("a QR code has few pixels").to_be_bytes();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, b"IHDR", &[&side[..], &side, &[1, 0, 0, 0, 0]].concat());
    chunk(&mut png, b"IDAT", &stored(&rows));
    chunk(&mut png, b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: &[u8], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("a small picture");
    let named = [kind, data].concat();
    png.extend(length.to_be_bytes());
    png.extend(&named);
    png.extend(crc32(&named).to_be_bytes());
}

fn stored(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("one stored block holds the picture");
    let (mut low, mut high) = (1, 0);
    for byte in data {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    let mut zlib = vec![0x78, 0x01, 0x01];
    zlib.extend(length.to_le_bytes());
    zlib.extend((!length).to_le_bytes());
    zlib.extend(data);
    zlib.extend((high << 16 | low).to_be_bytes());
    zlib
}

fn crc32(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

const SCALE: usize = 4;
/// The quiet zone around the code, in modules.
const QUIET: usize = 4;
