//! The disk that the spools are on: which it is, and what it can do.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// A record, like a message of the load.
const RECORD: usize = 4096;
/// What is written at once where only the amount counts.
const PART: usize = 1 << 20;
/// Where the spools are.
const FOLDER: &str = "/var/spool";
/// File systems in memory: tmpfs, ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
/// Names of others, by the number that statfs gives.
const NAMES: [(i64, &str); 4] =
    [(0xef53, "ext4"), (0x5846_5342, "xfs"), (0x9123_683e, "btrfs"), (0x794c_7630, "overlayfs")];

/// The name of the file system that the spools are on. Fails if it is in memory: what is synced
/// there isn't durable.
pub fn file_system() -> String {
    let kind = rustix::fs::statfs(FOLDER).expect("the spool's file system can be asked").f_type;
    assert!(!IN_MEMORY.contains(&kind), "{FOLDER} is in memory: put target/ on a disk");
    NAMES
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or(format!("{kind:#x}"), |(_, name)| (*name).to_owned())
}

/// How often a second one thread appends 4 KiB to a file and syncs it (fdatasync).
pub fn syncs(time: Duration) -> f64 {
    with_file(0, |file| {
        let record = [b'x'; RECORD];
        let started = Instant::now();
        let mut count = 0_u32;
        while started.elapsed() < time {
            file.write_all(&record).expect("the disk can be written");
            file.sync_data().expect("the disk can be synced");
            count += 1;
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    })
}

/// How long it takes to write so many files at once, each of so many octets, and to sync them
/// (fdatasync).
pub fn write(files: usize, octets: usize) -> Duration {
    let part = vec![b'x'; PART];
    let write = |number: usize| {
        with_file(number, |file| {
            let mut left = octets;
            while left > 0 {
                let length = left.min(PART);
                file.write_all(&part[..length]).expect("the disk can be written");
                left -= length;
            }
            file.sync_data().expect("the disk can be synced");
            Instant::now()
        })
    };
    let write = &write;
    let started = Instant::now();
    let ends = std::thread::scope(|scope| {
        let all: Vec<_> = (0..files).map(|number| scope.spawn(move || write(number))).collect();
        all.into_iter().map(|one| one.join().expect("a file is written")).max()
    });
    ends.map_or(Duration::ZERO, |end| end - started)
}

fn with_file<T>(number: usize, work: impl FnOnce(&mut File) -> T) -> T {
    let path = Path::new(FOLDER).join(format!("measured-{number}"));
    let done = work(&mut File::create(&path).expect("the disk can be written"));
    fs::remove_file(&path).expect("an own file can be removed");
    done
}
