//! A real terminal, xterm in a display of its own, and what a phone's camera would make of what it shows.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use tempfile::TempDir;

/// A terminal of 80 columns, on a display of its own that is as large as it is.
pub struct Terminal {
    display: Child,
    child: Child,
    name: String,
    title: String,
    folder: TempDir,
}

/// The colours that a terminal has by itself.
#[derive(Debug, Clone, Copy)]
pub enum Palette {
    Dark,
    Light,
}

/// Whether this machine has what it takes; where not, that is an error in CI.
pub fn can_be_seen() -> bool {
    let lacking = ["Xvfb", "xterm", "import", "zbarimg"].into_iter().find(|program| !is_there(program));
    if let Some(program) = lacking {
        assert!(env::var_os("CI").is_none(), "{program} is missing; see tests/prepare.sh");
        eprintln!("not run here: {program} is missing");
    }
    lacking.is_none()
}

impl Terminal {
    /// Runs a shell command in a terminal of that many rows, and keeps it open after its end.
    pub fn start(title: &str, palette: Palette, rows: usize, command: &str) -> Self {
        let (background, foreground) = match palette {
            Palette::Dark => ("black", "gray75"),
            Palette::Light => ("white", "black"),
        };
        // What the font below takes.
        let size = format!("724x{}x24", 19 * rows + 4);
        let mut display = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts");
        let mut number = String::new();
        let told = BufReader::new(display.stdout.take().expect("an output")).read_line(&mut number);
        assert!(told.is_ok_and(|length| length > 1), "Xvfb has no display");
        let name = format!(":{}", number.trim());
        let child = Command::new("xterm")
            .args(["-u8", "-fa", "DejaVu Sans Mono", "-fs", "11", "-bg", background, "-fg", foreground])
            .args(["-geometry", &format!("80x{rows}+0+0"), "-e", "sh", "-c", &format!("{command}\nexec sleep 600")])
            .env("DISPLAY", &name)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xterm starts");
        Self { display, child, name, title: title.to_owned(), folder: tempfile::tempdir().expect("a folder") }
    }

    /// Looks at it until a QR code with this text is on it.
    pub fn wait_for_qr(&self, text: &str) {
        let mut seen = Vec::new();
        for _ in 0..100 {
            seen = self.look().map(|picture| qr_codes(&picture)).unwrap_or_default();
            if seen.iter().any(|found| found == text) {
                return;
            }
            sleep(Duration::from_millis(200));
        }
        let kept = keep(&self.look().expect("a picture"), "undecodable");
        panic!("{}: no QR code {text:?}, but {seen:?}; see {kept:?}", self.title);
    }

    /// Keeps a picture of it, if somebody asked for pictures with SCREENSHOTS=FOLDER.
    pub fn keep(&self, name: &str) {
        // What was written last has to be drawn.
        sleep(Duration::from_millis(500));
        if env::var_os("SCREENSHOTS").is_some() {
            keep(&self.look().expect("a picture"), name);
        }
    }

    fn look(&self) -> Option<PathBuf> {
        let picture = self.folder.path().join("screen.png");
        let taken = Command::new("timeout")
            .args(["20", "import", "-display", &self.name, "-window", "root", "-strip"])
            .arg(&picture)
            .stderr(Stdio::null())
            .status();
        taken.is_ok_and(|status| status.success()).then_some(picture)
    }
}

/// Copies a picture to where pictures are kept.
fn keep(picture: &Path, name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("SCREENSHOTS")?);
    fs::create_dir_all(&folder).expect("a folder");
    let kept = folder.join(format!("{name}.png"));
    fs::copy(picture, &kept).expect("a copy");
    Some(kept)
}

/// What is in the QR codes of a picture.
pub fn qr_codes(picture: &Path) -> Vec<String> {
    let read = Command::new("timeout")
        .args(["20", "zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(picture)
        .output();
    String::from_utf8_lossy(&read.expect("zbarimg runs").stdout).lines().map(str::to_owned).collect()
}

fn is_there(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).exists())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        for child in [&mut self.child, &mut self.display] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
