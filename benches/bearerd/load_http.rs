//! Callers of the HTTP door: as little of a client as there can be, so that the server is what is measured.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::Barrier,
    thread,
    time::Instant,
};

/// Whether a caller keeps its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    KeptAlive,
    OneEach,
}

/// What some callers met with.
pub struct Load {
    /// Microseconds of each request.
    pub latencies: Vec<f64>,
    /// Requests a second of all callers together.
    pub throughput: f64,
}

/// That many callers at the same time, each with that many requests.
pub fn run(socket: &Path, callers: usize, requests: usize, connections: Connections) -> Load {
    let start = Barrier::new(callers + 1);
    let (elapsed, latencies) = thread::scope(|scope| {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = Caller::new(socket);
                    start.wait();
                    (0..requests)
                        .map(|_| {
                            let begun = Instant::now();
                            if connections == Connections::OneEach {
                                caller = Caller::new(socket);
                            }
                            caller.ask();
                            begun.elapsed().as_secs_f64() * 1e6
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        start.wait();
        let begun = Instant::now();
        let latencies: Vec<f64> = callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect();
        (begun.elapsed(), latencies)
    });
    Load { throughput: latencies.len() as f64 / elapsed.as_secs_f64(), latencies }
}

/// One connection.
pub struct Caller {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Caller {
    /// A connected one.
    pub fn new(socket: &Path) -> Self {
        Self { stream: UnixStream::connect(socket).expect("a connection"), buffer: vec![0; 16 * 1024] }
    }

    /// Asks for the token and reads the answer to its end; returns its length.
    pub fn ask(&mut self) -> usize {
        self.stream.write_all(REQUEST).expect("a request");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).expect("a reply");
            assert!(read > 0, "the server hung up");
            filled += read;
            if let Some(whole) = length(&self.buffer[..filled])
                && filled >= whole
            {
                assert!(self.buffer.starts_with(b"HTTP/1.1 200 "), "not a token");
                return whole;
            }
        }
    }
}

/// Head and body together, as soon as the head is there.
fn length(reply: &[u8]) -> Option<usize> {
    let head = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&reply[..head]).expect("a head");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    Some(head + 4 + length.parse::<usize>().expect("a number"))
}

const REQUEST: &[u8] = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\n\r\n";
