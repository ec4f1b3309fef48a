//! What a hostile server, or whoever stands between, can answer with.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::OnceLock,
    thread::sleep,
    time::Duration,
};

use crate::support::with_input;

/// What a trick is played with.
pub struct Stage {
    /// What an honest server would have said.
    pub good: String,
    /// The secret that came with the request.
    pub echo: String,
    /// Where nobody should go.
    pub elsewhere: SocketAddr,
    /// Which of its variants is to be played.
    pub turn: usize,
}

/// A way to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// A gigabyte, as announced.
    LongBody,
    /// The same, until the connection ends.
    EndlessBody,
    /// The same in chunks.
    EndlessChunks,
    EndlessChunkExtension,
    EndlessTrailers,
    EndlessHeaders,
    EndlessHeader,
    EndlessStatusLine,
    /// 301, 302, 303, 307, 308, to another server and to another path here.
    Redirects,
    /// A page that sends a browser on.
    Portal,
    /// JSON as deep as a body is long, and deeper.
    DeepJson,
    /// Members that are there twice, refused and granted.
    Twice,
    /// Everything that a terminal, a console or a reader could be tricked by, in an error.
    Escapes,
    /// The same in the error's word, with a status that anything may have set.
    EscapesInWord,
    /// What would be enormous if anybody unpacked it.
    Bomb,
    /// The same, said to be a way of transfer.
    TransferBomb,
    /// No HTTP at all, or nearly.
    Garbage,
    SwitchingProtocols,
    /// Two lengths, and a length beside chunks.
    TwoLengths,
    /// Less than announced.
    CutShort,
    NotUtf8,
    /// A good answer, said to be a page, by HTTP/1.0, with cookies.
    OldAndMislabelled,
    /// A good answer after a thousand that are none yet.
    Continues,
    /// A good answer and hostile texts beside it.
    Dressed,
    /// One byte after the other, and never the last.
    DripHeader,
    DripBody,
    /// Never an answer, but always the promise of one, a thousand times a second. (As fast as loopback is, they would take
    /// a build without optimisation all its time.)
    EndlessContinues,
    Silence,
}

impl Trick {
    /// Those that are over soon.
    pub const QUICK: [Self; 24] = [
        Self::LongBody,
        Self::EndlessBody,
        Self::EndlessChunks,
        Self::EndlessChunkExtension,
        Self::EndlessTrailers,
        Self::EndlessHeaders,
        Self::EndlessHeader,
        Self::EndlessStatusLine,
        Self::Redirects,
        Self::Portal,
        Self::DeepJson,
        Self::Twice,
        Self::Escapes,
        Self::EscapesInWord,
        Self::Bomb,
        Self::TransferBomb,
        Self::Garbage,
        Self::SwitchingProtocols,
        Self::TwoLengths,
        Self::CutShort,
        Self::NotUtf8,
        Self::OldAndMislabelled,
        Self::Continues,
        Self::Dressed,
    ];

    /// Those that take as long as anybody has patience.
    pub const SLOW: [Self; 4] = [Self::DripHeader, Self::DripBody, Self::EndlessContinues, Self::Silence];

    /// Whether it brings the good answer in spite of everything.
    pub fn is_answered(self) -> bool {
        matches!(self, Self::OldAndMislabelled | Self::Continues | Self::Dressed)
    }

    /// Plays it. An error says what the other side should not have put up with.
    pub fn play(self, stream: &mut TcpStream, stage: &Stage) -> Result<(), String> {
        let Stage { good, echo, elsewhere, turn } = stage;
        let pick = |answers: &[String]| answers[turn % answers.len()].clone();
        let json =
            |status: u16, body: &str| format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = match self {
            Self::LongBody => return flood(stream, &format!("HTTP/1.1 200 X\r\nContent-Length: {GIGABYTE}\r\n\r\n"), ZEROS),
            Self::EndlessBody => return flood(stream, "HTTP/1.1 200 X\r\n\r\n", ZEROS),
            Self::EndlessChunks => return flood(stream, CHUNKED, &format!("1000\r\n{}\r\n", "0".repeat(4096))),
            Self::EndlessChunkExtension => return flood(stream, &format!("{CHUNKED}1;x="), ZEROS),
            Self::EndlessTrailers => {
                return flood(stream, &format!("{CHUNKED}{:x}\r\n{good}\r\n0\r\n", good.len()), "X: y\r\n");
            }
            Self::EndlessHeaders => return flood(stream, "HTTP/1.1 200 X\r\n", "X-Again: and again\r\n"),
            Self::EndlessHeader => return flood(stream, "HTTP/1.1 200 X\r\nX: ", ZEROS),
            Self::EndlessStatusLine => return flood(stream, "HTTP/1.1 200 ", ZEROS),
            Self::EndlessContinues => return drip(stream, "", &CONTINUE.repeat(100)),
            Self::DripHeader => return drip(stream, "HTTP/1.1 200 X\r\nX-Slow: ", "x"),
            Self::DripBody => return drip(stream, "HTTP/1.1 200 X\r\nContent-Length: 60000\r\n\r\n", "x"),
            Self::Silence => return wait_for_the_end(stream),
            Self::Bomb => [format!("HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb().len()).as_bytes(), bomb()].concat(),
            Self::TransferBomb => [b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n", bomb()].concat(),
            Self::NotUtf8 => b"HTTP/1.1 200 X\r\n\r\n\xff\xfe{\0\"\0a\0\xc3\x28\"".to_vec(),
            Self::Redirects => {
                let status = [301, 302, 303, 307, 308][turn % 5];
                let to = [format!("http://{elsewhere}/x"), "/nowhere".to_owned()][turn / 5 % 2].clone();
                format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into()
            }
            Self::Portal => format!("HTTP/1.1 200 X\r\nRefresh: 0; url=http://{elsewhere}/\r\nContent-Type: text/html\r\n\r\n<html><meta http-equiv=refresh content='0;url=http://{elsewhere}/'>").into(),
            Self::DeepJson => json(200, &pick(&["[".repeat(60_000), "{\"a\":".repeat(12_000), "[".repeat(200_000)])).into(),
            Self::Twice => json(503, r#"{"error":"invalid_grant","access_token":"x","error":"temporarily_unavailable"}"#).into(),
            Self::Escapes => json(503, &format!(r#"{{"error":"temporarily_unavailable","error_description":"{echo} {HOSTILE}"}}"#)).into(),
            Self::EscapesInWord => json(403, &format!(r#"{{"error":"{echo} {HOSTILE}"}}"#)).into(),
            Self::Garbage => pick(&["SSH-2.0-x\r\n", "HTTP/9.9 999 \r\n\r\n", "\0\0\0\0\0", "HTTP/1.1 2000 X\r\n\r\n", "\x16\x03\x01", "HTTP/1.1 200 X\r\nNo colon\r\n\r\n", ""].map(str::to_owned)).into(),
            Self::SwitchingProtocols => format!("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{good}").into(),
            Self::TwoLengths => pick(&["Content-Length: 2\r\nContent-Length: 9000", "Content-Length: 2\r\nTransfer-Encoding: x", "Content-Length: -1", "Content-Length: 99999999999999999999"].map(|lengths| format!("HTTP/1.1 200 X\r\n{lengths}\r\n\r\n{{}}"))).into(),
            Self::CutShort => format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{}", good.len() + 400, &good[..good.len() / 2]).into(),
            Self::OldAndMislabelled => format!("HTTP/1.0 200 X\r\nContent-Type: text/html; charset=utf-7\r\nSet-Cookie: a=b\r\nAlt-Svc: h2=\"{elsewhere}\"\r\n\r\n{good}").into(),
            Self::Continues => [CONTINUE.repeat(1000), json(200, good)].concat().into(),
            Self::Dressed => json(200, &good.replacen('{', &format!(r#"{{{DRESS},"scope":"a {HOSTILE}","message":"{HOSTILE}","#), 1)).into(),
        };
        // Whoever does not want it all closes early.
        drop(stream.write_all(&answer));
        Ok(())
    }
}

/// Sends the second text again and again until the other side has enough.
fn flood(stream: &mut TcpStream, start: &str, again: &str) -> Result<(), String> {
    let again = again.repeat(1.max(64 * 1024 / again.len()));
    let limit = Duration::from_secs(60);
    stream.set_write_timeout(Some(limit)).map_err(|error| error.to_string())?;
    let mut sent = 0;
    let mut next = stream.write_all(start.as_bytes());
    while next.is_ok() && sent < GIGABYTE {
        next = stream.write_all(again.as_bytes());
        sent += again.len();
    }
    // What the kernel has room for on the way is sent, but not read.
    if sent > MOST_ON_THE_WAY { Err(format!("{sent} bytes were taken")) } else { Ok(()) }
}

/// Sends a start, and then a little now and then until the other side has enough.
fn drip(stream: &mut TcpStream, start: &str, drop: &str) -> Result<(), String> {
    let mut next = stream.write_all(start.as_bytes());
    while next.is_ok() {
        sleep(Duration::from_millis(100));
        next = stream.write_all(drop.as_bytes());
    }
    Ok(())
}

fn wait_for_the_end(stream: &mut TcpStream) -> Result<(), String> {
    match stream.read(&mut [0; 16]) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Forty-eight megabytes of nothing, packed into less than a body may have.
fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let packed = with_input(Command::new("gzip").arg("-9"), &"\0".repeat(48 << 20)).stdout;
        assert!((1000..64 * 1024).contains(&packed.len()), "{}", packed.len());
        packed
    })
}

/// In JSON: a title and colours for a terminal, C1, bidirectional overrides, line separators, agetty, markup, NUL.
const HOSTILE: &str =
    r#"\u001b]0;x\u0007\u001b[31m\u009b2J\u202eevil\u2066\u2028\u0000\u007f\r\n\\S{x}<script>alert(1)</script>\ufeff"#;
/// Members that hold nothing good, beside those that do.
const DRESS: &str = r#""verification_uri_complete":"https://a.example/\u001b[2J","qr_code":"data:image/png;base64,PHNjcmlwdD4=","id_token":"\u001b[1m.\u202e.x","error_uri":"\u001b[2J""#;
const CHUNKED: &str = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 103 X\r\nLink: </x>\r\n\r\n";
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const GIGABYTE: usize = 1 << 30;
const MOST_ON_THE_WAY: usize = 24 << 20;
