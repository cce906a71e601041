//! The files: a row of them, each a line of JSON for each record, the oldest removed as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::record::{Kind, Record};
use crate::config::DecisionsSettings;

/// Files in the row: what goes at once when there is too much is one of them.
const FILES_U32: u32 = 16;
const FILES: u64 = FILES_U32 as u64;
const ENDING: &str = "jsonl";

/// The row of files, open for writing.
pub struct Journal {
    folder: PathBuf,
    settings: DecisionsSettings,
    number: u64,
    file: BufWriter<File>,
    written: u64,
    begun: Instant,
    line: Vec<u8>,
}

impl Journal {
    /// Begins a new file after those that are there.
    pub fn open(folder: &Path, settings: DecisionsSettings) -> io::Result<Self> {
        // Who wrote to whom is nobody else's business.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let number = files(folder)?.last().map_or(1, |(number, _)| number + 1);
        let file = BufWriter::new(create(folder, number)?);
        let journal = Self {
            folder: folder.to_owned(),
            settings,
            number,
            file,
            written: 0,
            begun: Instant::now(),
            line: Vec::new(),
        };
        journal.expire()?;
        Ok(journal)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a line.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;
        self.written += self.line.len() as u64;
        if self.written >= (self.settings.size / FILES).max(1) {
            self.turn()?;
        }
        Ok(())
    }

    /// What was written can be read.
    pub fn flush(&mut self) -> io::Result<()> {
        // With little to write a file would never end, and nothing in it grow old.
        let old = self.begun.elapsed() >= self.settings.keep / FILES_U32;
        if old && self.written > 0 { self.turn() } else { self.file.flush() }
    }

    fn turn(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file = BufWriter::new(create(&self.folder, self.number + 1)?);
        self.number += 1;
        self.written = 0;
        self.begun = Instant::now();
        self.expire()
    }

    /// Removes what is too old, or too much.
    fn expire(&self) -> io::Result<()> {
        let mut left = 0;
        for (number, path) in files(&self.folder)?.into_iter().rev() {
            let about = fs::metadata(&path)?;
            left += about.len();
            let (now, modified) = (SystemTime::now(), about.modified()?);
            if modified > now {
                // By a clock that was ahead: it counts as now, or it would stay until it is then.
                File::options().append(true).open(&path)?.set_modified(now)?;
            }
            let age = now.duration_since(modified).unwrap_or_default();
            if number != self.number && (left > self.settings.size || age > self.settings.keep) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn create(folder: &Path, number: u64) -> io::Result<File> {
    let path = folder.join(format!("{number:08}.{ENDING}"));
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The files, oldest first.
fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|it| it == ENDING)) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// All that is known of a queue id or a session, oldest first; of a message also what was said to
/// its client before. An empty list: nothing is.
///
/// # Errors
/// The files can't be read.
pub fn find(folder: &Path, name: &str) -> io::Result<Vec<Record>> {
    let found = matching(
        folder,
        &|record| record.id.as_deref() == Some(name) || record.session.as_deref() == Some(name),
        name,
    )?;
    let Some(session) =
        found.iter().find_map(|record| record.session.clone()).filter(|session| session != name)
    else {
        return Ok(found);
    };
    let mut all = matching(
        folder,
        &|record| {
            record.kind == Kind::Session && record.session.as_deref() == Some(session.as_str())
        },
        &session,
    )?;
    all.extend(found);
    Ok(all)
}

fn matching(
    folder: &Path,
    wanted: &dyn Fn(&Record) -> bool,
    name: &str,
) -> io::Result<Vec<Record>> {
    let rows = match files(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        rows => rows?,
    };
    // A name stands in quotes; a line without it isn't read as JSON.
    let finder = memchr::memmem::Finder::new(name.as_bytes());
    let mut found = Vec::new();
    for (_, path) in rows {
        let mut reader = match File::open(&path) {
            Ok(file) => BufReader::new(file),
            // It was removed just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            // What a crash cut off is no record.
            if finder.find(&line).is_some()
                && let Ok(record) = serde_json::from_slice::<Record>(&line)
                && wanted(&record)
            {
                found.push(record);
            }
            line.clear();
        }
    }
    Ok(found)
}
