//! The completions that are installed are what the definition of the command line makes.

use std::process::Command;

use bearerd::cli::Arguments;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{read, root};

/// `BEARERD_WRITE=1 cargo test --test paper` writes them again after a change of the command line.
#[test]
fn completions_are_those_of_the_command_line() {
    for (shell, file) in [(Shell::Bash, "bearerd.bash"), (Shell::Zsh, "_bearerd"), (Shell::Fish, "bearerd.fish")] {
        let mut made = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "bearerd", &mut made);
        let file = format!("conf/completions/{file}");
        if std::env::var_os("BEARERD_WRITE").is_some() {
            std::fs::write(root().join(&file), &made).expect("a file");
        }
        let same = read(&file).into_bytes() == made;
        assert!(same, "{file} is not up to date; write it: BEARERD_WRITE=1 cargo test --test paper");
    }
}

#[test]
fn bash_completes_with_them() {
    let script = "source conf/completions/bearerd.bash; COMP_WORDS=(bearerd token --m); COMP_CWORD=2
                  _bearerd bearerd --m token; echo \"${COMPREPLY[@]}\"";
    let said = Command::new("bash").args(["-c", script]).current_dir(root()).output().expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "--min-validity\n", "{said:?}");
}
