//! The program under test: `facteur serve`, and its other commands.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::process::Signal;

use crate::machine::Machine;
use crate::process::{Output, Process, output_of};
use crate::programs::facteur_binary;
use crate::wait::until;

/// A running `facteur serve`.
pub struct Facteur {
    process: Process,
    name: String,
    folder: PathBuf,
    config: PathBuf,
}

/// A message in `facteur queue list --json`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Queue id.
    pub id: String,
    /// Empty is the null sender.
    pub sender: String,
    /// Octets.
    pub size: u64,
    /// Why it is held.
    pub reason: Option<String>,
    /// Its recipients.
    pub recipients: Vec<EntryRecipient>,
}

/// A recipient of it.
#[derive(Debug, Clone)]
pub struct EntryRecipient {
    /// Where it goes.
    pub address: String,
    /// queued, hold or corrupt.
    pub state: String,
    /// How often it was deferred.
    pub attempts: u64,
    /// Why it is still here.
    pub last_reply: Option<String>,
}

/// Runs a command of facteur to its end: `facteur --config FILE ARGUMENT…`.
pub fn run_facteur(config: &Path, arguments: &[&str]) -> Output {
    output_of(Command::new(facteur_binary()).arg("--config").arg(config).args(arguments))
}

impl Facteur {
    /// Starts it and waits until it takes clients.
    pub fn start(machine: &Machine, config: &Path) -> Self {
        Self::start_with(machine, config, |_| {})
    }

    /// [`Facteur::start`] with more to say about the process, such as its environment.
    pub fn start_with(machine: &Machine, config: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let stem = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let parent =
            config.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let name = format!("{parent}-{stem}");
        let folder = machine.folder().to_owned();
        let process = spawn(&folder, &name, config, change);
        let mut this = Self { process, name, folder, config: config.to_owned() };
        this.wait_until_ready();
        this
    }

    fn wait_until_ready(&mut self) {
        let what = format!("{} to be ready", self.name);
        until(&what, || {
            self.process.must_run();
            is_ready(&self.process.own_log()).then_some(())
        });
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A line of /proc/PID/status, in KiB: `VmRSS` is what it has now, `VmHWM` the most that it
    /// had.
    pub fn memory(&self, line: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let value = status.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
        let value = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        value.unwrap_or_else(|| panic!("no {line} in {status}"))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until the log says this.
    pub fn wait_for_log(&self, text: &str) {
        until(&format!("{text:?} in the log of {}", self.name), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// SIGTERM, and waits for its end, which must be a good one.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{} ended badly ({status}):\n{}", self.name, self.log());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, on the same spool, after [`Facteur::stop`] or [`Facteur::kill`].
    pub fn restart(&mut self) {
        assert!(self.process.ended().is_some(), "{} still runs", self.name);
        self.process = spawn(&self.folder, &self.name, &self.config, |_| {});
        self.wait_until_ready();
    }

    /// Runs another command with its configuration.
    pub fn run(&self, arguments: &[&str]) -> Output {
        run_facteur(&self.config, arguments)
    }

    /// `facteur queue …`, which must succeed.
    pub fn queue(&self, arguments: &[&str]) -> String {
        self.run(&[&["queue"], arguments].concat()).success()
    }

    /// What is in the queue.
    pub fn queued(&self) -> Vec<Entry> {
        self.queue(&["list", "--json"]).lines().map(entry).collect()
    }

    /// Waits until nothing is in the queue.
    pub fn wait_until_empty(&self) {
        until(&format!("the queue of {} to be empty", self.name), || {
            self.queued().is_empty().then_some(())
        });
    }

    /// Waits until a message is there whose every recipient was deferred at least `attempts` times.
    pub fn wait_until_deferred(&self, id: &str, attempts: u64) -> Entry {
        until(&format!("{id} to be deferred {attempts} times"), || {
            let all = self.queued();
            let entry = all.into_iter().find(|entry| entry.id == id)?;
            entry.recipients.iter().all(|one| one.attempts >= attempts).then_some(entry)
        })
    }
}

fn spawn(folder: &Path, name: &str, config: &Path, change: impl FnOnce(&mut Command)) -> Process {
    let mut command = Command::new(facteur_binary());
    command.arg("--config").arg(config).arg("serve");
    change(&mut command);
    Process::start(folder, name, &mut command)
}

/// Whether a log says that clients are taken.
fn is_ready(log: &str) -> bool {
    log.lines().any(|line| line.contains(" ready ") || line.contains("\"ready\""))
}

fn entry(line: &str) -> Entry {
    let value: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let must = |key: &str| text(&value[key]).unwrap_or_else(|| panic!("no {key}: {line}"));
    let recipients =
        value["recipients"].as_array().unwrap_or_else(|| panic!("no recipients: {line}"));
    Entry {
        id: must("id"),
        sender: must("sender"),
        size: value["size"].as_u64().unwrap_or_else(|| panic!("no size: {line}")),
        reason: text(&value["reason"]),
        recipients: recipients
            .iter()
            .map(|one| EntryRecipient {
                address: text(&one["address"]).unwrap_or_default(),
                state: text(&one["state"]).unwrap_or_default(),
                attempts: one["attempts"].as_u64().unwrap_or_default(),
                last_reply: text(&one["last_reply"]),
            })
            .collect(),
    }
}
