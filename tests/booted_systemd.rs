//! The installed files under a real booted systemd: socket activation, status text, journal, watchdog, both doors as a
//! permitted and as a forbidden user, a bus that restarts, and a reboot that needs no new sign-in. The person approves
//! on a real authorization server, over HTTPS with a private CA. What happens inside is in `tests/booted/*.sh`.

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use support::{
    daemon::program,
    screen::{Palette, Terminal, can_be_seen},
};

/// A machine that does not exist yet: what is laid over this one before its first boot.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// With the files of `make install`.
    fn new() -> Self {
        let machine = Self::bare();
        let files = machine.folder.path().join("files");
        fs::create_dir_all(files.join("etc/bearerd")).expect("a folder");
        fs::copy(root().join("tests/booted/bearerd.toml"), files.join("etc/bearerd/bearerd.toml")).expect("a copy");
        make(&["install", &format!("DESTDIR={}", files.display()), &format!("PROGRAM={}", program())]);
        machine
    }

    /// With nothing but packages of these versions, in /opt/test.
    fn with_packages(versions: &[&str]) -> Self {
        let machine = Self::bare();
        let stripped = machine.folder.path().join("bearerd");
        let status = Command::new("strip").arg("-o").arg(&stripped).arg(program()).status().expect("strip runs");
        assert!(status.success());
        for version in versions {
            make(&[
                "deb",
                &format!("PROGRAM={}", stripped.display()),
                &format!("VERSION={version}"),
                &format!("DEB={}/files/opt/test/bearerd_{version}.deb", machine.folder.path().display()),
                "COMPRESSION=none",
            ]);
        }
        machine
    }

    /// With an authorization server, and what a person does at it.
    fn bare() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        let files = machine.folder.path().join("files");
        let server = files.join("opt/test");
        fs::create_dir_all(&server).expect("a folder");
        copy(&root().join("tests/servers"), &server.join("servers"));
        let made = Command::new("sh").arg(root().join("tests/servers/make-ca.sh")).arg(server.join("tls")).output();
        assert!(made.expect("openssl runs").status.success(), "no certificates");
        let tls = "/opt/test/tls";
        // The server stays for as long as its standard input is open.
        let serve = format!(
            "sleep infinity | exec node /opt/test/servers/oidc-provider.mjs --port 9400 --interval 1 \
             --cert {tls}/server.pem --key {tls}/server.key --access-ttl 86400 --hold hold"
        );
        executable(&server.join("server"), &serve);
        let approve = "exec node /opt/test/servers/approve.mjs --ca /opt/test/tls/ca.pem \
                       \"https://127.0.0.1:9400/device?user_code=$1\"";
        executable(&server.join("approve"), approve);
        let open = "exec curl --fail --silent --show-error --cacert /opt/test/tls/ca.pem \
                    --header \"Authorization: Bearer $1\" https://127.0.0.1:9400/resource";
        executable(&server.join("open-resource"), open);
        machine
    }

    /// Whatever this machine has chosen, that one has this message bus.
    fn use_bus(&self, unit: &Path) {
        let files = self.folder.path().join("files");
        let units = files.join("etc/systemd/system");
        fs::create_dir_all(&units).expect("a folder");
        symlink(unit, units.join("dbus.service")).expect("a link");
        let name = unit.file_name().expect("a unit").as_encoded_bytes();
        fs::write(files.join("opt/test/bus"), name).expect("a file");
    }

    /// Boots it and runs a scenario in it; `None` where this machine cannot, which is an error in CI.
    fn boot(&self, scenario: &str) -> Option<()> {
        let mut command = Command::new("sh");
        if std::env::var_os("BEARERD_TORTURE").is_some() {
            command.env("TEST_TORTURE", "full").env("BOOT_LIMIT", "900");
        }
        let output = command
            .arg(root().join("tests/booted/boot.sh"))
            .arg(self.folder.path())
            .arg(root().join("tests/booted").join(scenario))
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {
                println!("{said}");
                Some(())
            }
            Some(77) if std::env::var_os("CI").is_none() => {
                eprintln!("not run here: {complained}");
                None
            }
            code => panic!("{scenario} ended with {code:?}\n{said}\n{complained}\n{}", self.log("status")),
        }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("results").join(name)).unwrap_or_default()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn make(arguments: &[&str]) {
    let made = Command::new("make").arg("--silent").args(arguments).current_dir(root()).output().expect("make runs");
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-R").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

fn executable(path: &Path, command: &str) {
    fs::write(path, format!("#!/bin/sh\n{command}\n")).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn the_installed_service_works_from_first_boot_to_reboot() {
    let machine = Machine::new();
    if machine.boot("first-boot.sh").is_some() {
        machine.boot("second-boot.sh").expect("what booted once boots again");
    }
}

#[test]
fn a_sealed_machine_keeps_its_sign_in_and_outlives_its_key() {
    let machine = Machine::new();
    if machine.boot("sealed.sh").is_some() {
        machine.boot("sealed-second-boot.sh").expect("what booted once boots again");
    }
}

#[test]
fn nobody_but_root_looks_into_the_daemon() {
    let _ = Machine::new().boot("closed.sh");
}

#[test]
fn a_package_is_upgraded_at_any_moment_and_purged_without_a_trace() {
    let _ = Machine::with_packages(&["1.0", "1.1", "1.2"]).boot("package.sh");
}

/// SCREENSHOTS=docs/first-sign-in records it anew.
#[test]
fn the_first_sign_in_is_as_the_recording_shows_it() {
    let machine = Machine::with_packages(&[env!("CARGO_PKG_VERSION")]);
    if machine.boot("first-sign-in.sh").is_none() {
        return;
    }
    let frames = machine.folder.path().join("results/frames");
    if let Some(folder) = std::env::var_os("SCREENSHOTS").filter(|_| can_be_seen()) {
        record(&frames, Path::new(&folder));
    }
    let recording = fs::read_to_string(root().join("docs/first-sign-in.md")).expect("a document");
    let names = |folder: &Path| {
        let files = fs::read_dir(folder).expect("frames").flatten().map(|file| file.path());
        let mut texts: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "txt")).collect();
        texts.sort();
        texts.iter().map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let recorded = root().join("docs/first-sign-in");
    assert_eq!(names(&frames), names(&recorded));
    for name in names(&recorded) {
        assert!(recorded.join(format!("{name}.png")).exists(), "{name}");
        assert!(recording.contains(&format!("first-sign-in/{name}.png")), "{name} is not in the document");
    }
}

/// The texts, the pictures of the page, and pictures of a terminal that shows the others.
fn record(frames: &Path, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for frame in fs::read_dir(frames).expect("frames").flatten().map(|frame| frame.path()) {
        let name = frame.file_stem().expect("a name").to_string_lossy().into_owned();
        if frame.extension().is_some_and(|kind| kind == "ansi") {
            let text = fs::read_to_string(frame.with_extension("txt")).expect("a frame");
            // Long lines are broken where the terminal ends.
            let rows = text.lines().map(|line| line.chars().count().div_ceil(80).max(1)).sum::<usize>() + 1;
            let terminal = Terminal::start(&name, Palette::Dark, rows, &format!("cat {frame:?}"));
            std::thread::sleep(std::time::Duration::from_secs(1));
            terminal.keep(&name);
        } else {
            fs::copy(&frame, folder.join(frame.file_name().expect("a name"))).expect("a copy");
        }
    }
}

#[test]
fn all_surfaces_tell_the_same_story() {
    let machine = Machine::new();
    if machine.boot("story.sh").is_none() || std::env::var_os("SCREENSHOTS").is_none() {
        return;
    }
    assert!(can_be_seen());
    for screen in fs::read_dir(machine.folder.path().join("results/screens")).expect("screens").flatten() {
        let (name, path) = (screen.file_name().to_string_lossy().replace(' ', "-"), screen.path());
        let terminal = Terminal::start(&name, Palette::Dark, 25, &format!("cat {path:?}"));
        std::thread::sleep(std::time::Duration::from_secs(1));
        terminal.keep(&name);
    }
}

#[test]
fn every_caller_gets_what_the_rules_give_it_and_nothing_else() {
    for bus in ["dbus.service", "dbus-broker.service"] {
        let unit = Path::new("/lib/systemd/system").join(bus);
        if unit.exists() {
            let machine = Machine::new();
            machine.use_bus(&unit);
            let _ = machine.boot("access.sh");
        } else {
            assert!(std::env::var_os("CI").is_none(), "{bus} is not installed");
            eprintln!("not run here: {bus} is not installed");
        }
    }
}

#[test]
fn no_trick_on_whoever_looks_at_callers_gets_anything() {
    let _ = Machine::new().boot("attacks.sh");
}
