//! The facts about the machine that belong to every number.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use facteur_tests::{facteur_binary, output_of, peer};
use serde_json::{Map, Value};

use crate::{disk, processes};

/// How long the disk is measured.
const DISK: Duration = Duration::from_secs(1);

/// Name and value of each, in order.
pub fn facts() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = processes::kib(&read("/proc/meminfo"), "MemTotal").unwrap_or(0) / 1024;
    let version = |program: &Path, arguments: &[&str]| {
        output_of(Command::new(program).args(arguments)).success().trim().to_owned()
    };
    vec![
        ("cores", format!("{cores} x {}", model.map_or("unknown", |(_, model)| model))),
        ("memory", format!("{memory} MiB")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("file system", disk::file_system()),
        ("append 4 KiB + fdatasync, one thread", format!("{:.0}/s", disk::syncs(DISK))),
        ("processor time from", processes::accounting().to_owned()),
        ("facteur", version(&facteur_binary(), &["--version"]).replace("facteur ", "")),
        ("Postfix", version(&peer("postconf"), &["-d", "-h", "mail_version"])),
    ]
}

/// The facts as JSON.
pub fn json(facts: &[(&'static str, String)]) -> Value {
    let fields = facts.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
    Value::Object(fields.collect::<Map<_, _>>())
}
