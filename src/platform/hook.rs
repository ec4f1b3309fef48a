//! A program of the owner's, run for one message: an LCD, a buzzer, a chat.

use std::{io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use crate::oauth::error::harmless;

/// What a program is told.
pub struct Message<'a> {
    /// What goes to its standard input.
    pub text: &'a str,
    /// What must not get into the log, should the program repeat it.
    pub hidden: Option<&'a str>,
}

/// Runs `command`, the program's path and its arguments, and waits for its end. Its output goes to the log, up to 4 KiB of
/// each stream. After `limit`, and when this future is dropped, it is killed with everything it started.
pub async fn run(command: &[String], message: Message<'_>, limit: Duration) {
    let Some((program, arguments)) = command.split_first() else { return };
    match Group::start(program, arguments) {
        Ok(group) => {
            if timeout(limit, group.attend(program, &message)).await.is_err() {
                let limit = limit.as_secs();
                tracing::warn!("the display command {program} took longer than {limit} s and was killed");
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the display command {program} cannot be started; check its path and mode");
        }
    }
}

/// A program and what it started, as one process group; killed when this is dropped.
struct Group {
    child: Child,
}

impl Group {
    /// Nothing of our own environment is passed on: it names our credentials and systemd's sockets.
    fn start(program: &str, arguments: &[String]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map(|child| Self { child })
    }

    async fn attend(mut self, program: &str, message: &Message<'_>) {
        let (stdin, stdout, stderr) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let talk = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // One that does not read its input is no failure: a buzzer only needs to be called.
                    let _ = stdin.write_all(message.text.as_bytes()).await;
                }
            };
            tokio::join!(write, read(stdout, message), read(stderr, message));
        };
        let mut talk = std::pin::pin!(talk);
        let ended = tokio::select! {
            ended = self.child.wait() => {
                // What it leaves running may hold the streams open for ever.
                let _ = timeout(LAST_WORDS, talk).await;
                ended
            }
            () = &mut talk => self.child.wait().await,
        };
        match ended {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("the display command {program} failed: {status}"),
            Err(error) => tracing::warn!(%error, "the display command {program} was lost"),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once its end has been seen there is no number any more that could be somebody else's.
        let group = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Logs what the program says, line by line. What is beyond the limit is read too, so that the program does not hang.
async fn read(stream: Option<impl AsyncRead + Unpin>, message: &Message<'_>) {
    let Some(mut stream) = stream else { return };
    let (mut said, mut told, mut buffer) = (Vec::new(), 0, [0; 1024]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_OUTPUT.saturating_sub(said.len());
        said.extend_from_slice(&buffer[..length.min(room)]);
        if let Some(end) = said.iter().rposition(|byte| *byte == b'\n').filter(|end| *end >= told) {
            log(&said[told..end], message);
            told = end + 1;
        }
    }
    if told < said.len() {
        log(&said[told..], message);
    }
}

fn log(lines: &[u8], message: &Message<'_>) {
    for line in String::from_utf8_lossy(lines).lines() {
        let line = match message.hidden {
            Some(hidden) => line.replace(hidden, "(the code)"),
            None => line.to_owned(),
        };
        tracing::info!("the display command says: {}", harmless(&line, LONGEST_LINE));
    }
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LAST_WORDS: Duration = Duration::from_millis(200);
const MAX_OUTPUT: usize = 4096;
const LONGEST_LINE: usize = 500;
