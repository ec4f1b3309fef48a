//! A helper program of the tests that tells what happens to it, a line of JSON an event.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

/// The program, with everything it has told and nobody has waited for. It ends when this is dropped.
pub struct Told {
    child: Child,
    events: Arc<(Mutex<VecDeque<Value>>, Condvar)>,
}

impl Told {
    /// Starts the program.
    pub fn by(command: &mut Command) -> Self {
        Self::read(command, |line| serde_json::from_str(line).ok())
    }

    /// The same with a program that tells in words: each line is the `line` of an event, and its end is `null`.
    pub fn lines_of(command: &mut Command) -> Self {
        Self::read(command, |line| Some(json!({ "line": line })))
    }

    fn read(command: &mut Command, event: impl Fn(&str) -> Option<Value> + Send + 'static) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let events: Arc<(Mutex<VecDeque<Value>>, Condvar)> = Arc::default();
        let lines = BufReader::new(child.stdout.take().expect("an output"));
        let listener = events.clone();
        // It writes without buffering: somebody has to read all the time.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(event) = event(&line) {
                    listener.0.lock().expect("a lock").push_back(event);
                    listener.1.notify_all();
                }
            }
            listener.0.lock().expect("a lock").push_back(Value::Null);
            listener.1.notify_all();
        });
        Self { child, events }
    }

    /// Waits until it has told something of that kind, and forgets what it told before.
    pub fn wait_for(&self, matches: impl Fn(&Value) -> bool) -> Value {
        let (events, told) = &*self.events;
        let mut events = events.lock().expect("a lock");
        loop {
            while let Some(event) = events.pop_front() {
                if matches(&event) {
                    return event;
                }
            }
            let (waited, timeout) = told.wait_timeout(events, PATIENCE).expect("a lock");
            events = waited;
            assert!(!timeout.timed_out(), "the server did not tell that in time");
        }
    }

    /// What nobody has waited for so far, which is forgotten by that.
    pub fn so_far(&self) -> Vec<Value> {
        self.events.0.lock().expect("a lock").drain(..).collect()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
