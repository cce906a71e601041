//! The processes of one server: what they took of the processors, and what memory they have.
//!
//! Where a control group can be made (version 2; its accounting needs no controller) the kernel
//! adds up the processor time of all that ever ran in it. Elsewhere it comes from /proc, in ticks
//! of 10 ms: of the living with what they reaped, so that what ends unreaped between two looks is
//! lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The start of the name of the group that a run's groups are in.
const RUN: &str = "facteur-bench-";
/// The group of the bench itself, beside those of the servers.
const OWN: &str = "bench";
/// The file that says who is in a group, and moves whoever is written to it.
const MEMBERS: &str = "cgroup.procs";
/// How often it is looked whether a server is at rest.
const LOOK: Duration = Duration::from_millis(50);
/// A server at rest takes less than this between two looks.
const REST: Duration = Duration::from_micros(500);
/// A server that isn't at rest after this is measured as it is.
const RESTLESS: Duration = Duration::from_secs(3);
/// How long the processes of a server may take to be gone once they are killed.
const GONE: Duration = Duration::from_secs(5);
/// The kernel's unit for processor time in /proc: USER_HZ, 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The control groups of a run, made by the one who starts it and removed at its end.
pub struct Groups {
    before: PathBuf,
    folder: PathBuf,
}

impl Groups {
    /// Makes the group that all others are in, and moves this process into it; none where that
    /// can't be done.
    pub fn make() -> Option<Self> {
        let before = own_group()?;
        let folder = mount()?.join(format!("{RUN}{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let this = Self { before, folder };
        let own = this.folder.join(OWN);
        fs::create_dir(&own).ok()?;
        fs::write(own.join(MEMBERS), "0").ok()?;
        Some(this)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // By now everyone but this process is gone. What can't be removed is empty, and costs
        // nothing.
        let _ = fs::write(self.before.join(MEMBERS), "0");
        for group in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(group.path());
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where control groups of version 2 are.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&"cgroup2")).map(|fields| PathBuf::from(fields[1]))
}

/// The group of this process.
fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mount()?.join(path))
}

/// The group of the run that this process belongs to.
fn run_group() -> Option<PathBuf> {
    let folder = own_group()?.parent()?.to_owned();
    folder.file_name()?.to_str()?.starts_with(RUN).then_some(folder)
}

/// How processor time is counted here.
pub fn accounting() -> &'static str {
    if run_group().is_some() { "control groups (cpu.stat)" } else { "/proc/PID/stat" }
}

/// The processes of one server. When dropped, those that still run are killed.
pub struct Processes {
    of: Of,
}

enum Of {
    /// All in this control group.
    Group(PathBuf),
    /// These and those that they started.
    Started(Vec<u32>),
}

impl Processes {
    /// Runs what starts a server; every process that it starts, and what those start, is of the
    /// server.
    pub fn of<T>(name: &str, start: impl FnOnce() -> T) -> (Self, T) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let Some(run) = run_group() else {
            let before = children(std::process::id());
            let started = start();
            let new = children(std::process::id())
                .into_iter()
                .filter(|pid| !before.contains(pid))
                .collect();
            return (Self { of: Of::Started(new) }, started);
        };
        let folder = run.join(format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder).expect("a run may make control groups");
        fs::write(folder.join(MEMBERS), "0").expect("a run may fill control groups");
        let started = start();
        fs::write(run.join(OWN).join(MEMBERS), "0").expect("a run may fill control groups");
        (Self { of: Of::Group(folder) }, started)
    }

    /// The ids of those that run.
    pub fn ids(&self) -> Vec<u32> {
        match &self.of {
            Of::Group(folder) => {
                let members = fs::read_to_string(folder.join(MEMBERS)).unwrap_or_default();
                members.lines().filter_map(|line| line.parse().ok()).collect()
            }
            Of::Started(started) => {
                let mut all = started.clone();
                let mut next = 0;
                while let Some(&id) = all.get(next) {
                    all.extend(children(id));
                    next += 1;
                }
                all
            }
        }
    }

    /// The processor time that they took so far.
    pub fn cpu(&self) -> Duration {
        match &self.of {
            Of::Group(folder) => {
                let text = fs::read_to_string(folder.join("cpu.stat")).unwrap_or_default();
                let usage =
                    text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok());
                Duration::from_micros(usage.expect("a control group counts processor time"))
            }
            Of::Started(_) => TICK * self.ids().into_iter().map(ticks).sum::<u32>(),
        }
    }

    /// [`Processes::cpu`] once the server is at rest, so that what it does after its answers
    /// counts, too.
    pub fn cpu_at_rest(&self) -> Duration {
        let deadline = Instant::now() + RESTLESS;
        let mut last = self.cpu();
        loop {
            std::thread::sleep(LOOK);
            let now = self.cpu();
            if now.saturating_sub(last) < REST || Instant::now() > deadline {
                return now;
            }
            last = now;
        }
    }

    /// Their share of the memory (PSS: pages that several processes have count in parts), in KiB.
    pub fn memory(&self) -> u64 {
        let of_one = |id| {
            // One that ends meanwhile has none.
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
            kib(&text, "Pss")
        };
        self.ids().into_iter().filter_map(of_one).sum()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let Of::Group(folder) = &self.of else { return };
        // Postfix's daemons outlive their master for a moment, and hold its port.
        let _ = fs::write(folder.join("cgroup.kill"), "1");
        let deadline = Instant::now() + GONE;
        while fs::remove_dir(folder).is_err() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }
}

/// `NAME:   123 kB` of a file in /proc.
pub fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The fields of /proc/PID/stat after the name, of which the first is the state, field 3 in
/// proc(5).
fn stat(path: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// What a process and the children that it reaped took: fields 14 to 17.
fn ticks(id: u32) -> u32 {
    let fields = stat(Path::new(&format!("/proc/{id}/stat"))).unwrap_or_default();
    fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u32>().ok()).sum()
}

fn children(of: u32) -> Vec<u32> {
    let is_child = |id: &u32| {
        let fields = stat(Path::new(&format!("/proc/{id}/stat"))).unwrap_or_default();
        fields.get(1).is_some_and(|parent| *parent == of.to_string())
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}
