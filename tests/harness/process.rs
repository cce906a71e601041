//! A program that a test started: its output in a file, and its end by process id.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// A running program. Killed when dropped. What it wrote is shown if the test fails.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// How long the log was when it started.
    log_start: u64,
}

impl Process {
    /// Starts it, with both of its outputs appended to `FOLDER/NAME.log`.
    pub fn start(folder: &Path, name: &str, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let again = file.try_clone().expect("a file can be shared");
        let log_start = file.metadata().map_or(0, |file| file.len());
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        Self { name: name.to_owned(), child, log, log_start }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote, and what was written under its name before it.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What it wrote itself.
    pub fn own_log(&self) -> String {
        self.log_from(SeekFrom::Start(self.log_start))
    }

    /// About the last so many octets of [`Process::own_log`].
    pub fn own_log_end(&self, octets: u32) -> String {
        let length = self.log.metadata().map_or(0, |file| file.len());
        self.log_from(SeekFrom::Start(length.saturating_sub(octets.into()).max(self.log_start)))
    }

    fn log_from(&self, place: SeekFrom) -> String {
        let mut rest = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(place)?;
            file.read_to_end(&mut rest)
        });
        read.unwrap_or_else(|error| panic!("{}: {error}", self.log.display()));
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for")
    }

    /// Fails, with what it wrote, if it has ended.
    pub fn must_run(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended ({status}):\n{}", self.name, self.log());
        }
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = i32::try_from(self.pid())
                .ok()
                .and_then(Pid::from_raw)
                .expect("a process has an id");
            kill_process(pid, signal).expect("a child can be signalled");
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until(&what, || self.ended())
    }

    /// Kills it, and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not `kill`, which may panic: no test needs two.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program that ended by itself wrote and said.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Output {
    /// The standard output of a program that must succeed.
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

/// Runs a program to its end. The deadline is the test's own.
pub fn output_of(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
