//! Compiled plugins, kept on disk: the second start takes what the first one compiled.
//!
//! A file's name holds the engine's compatibility hash and the component's own, so that neither a
//! new facteur nor a new plugin ever meets old code. The file is read once, into memory; its
//! checksum is compared, and those very bytes become code: what happens to the file then or later,
//! by a disk or by anyone, is never run. What doesn't fit is compiled again. The checksum is against
//! damage, not against malice: the folder belongs to this user alone (0700), and a folder that
//! others can write to is not used, since who can write there can run anything in this process.
//! What no configuration uses is removed. This is the only module of the program with `unsafe`.

#![allow(
    unsafe_code,
    reason = "taking precompiled code is unsafe by nature; the folder's owner and mode, and the \
     checksum, carry the proof"
)]

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// How the names of kept files end.
const SUFFIX: &str = "cwasm";
/// How the ending of a file that is being written begins.
const PARTIAL: &str = "partial-";
/// So many files stay that the configuration doesn't use, the last ones that were: a step back to
/// the version before is as quick, and another process with the same folder loses nothing.
const SPARE: usize = 16;
/// The checksum at the beginning of a file: SHA-256.
const CHECKSUM: usize = 32;

/// The folder of compiled code.
pub(crate) struct CompileCache {
    directory: Option<PathBuf>,
    /// What was asked for.
    used: Mutex<HashSet<PathBuf>>,
}

impl CompileCache {
    /// Uses the folder if it is, or can be made, private; otherwise everything is compiled anew,
    /// and the log says why.
    pub(crate) fn open(directory: Option<&Path>) -> Self {
        let directory = directory.and_then(|path| match private_directory(path) {
            Ok(()) => Some(path.to_owned()),
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "compiled plugins are not kept");
                None
            }
        });
        Self { directory, used: Mutex::default() }
    }

    /// The compiled component, whose bytes have this SHA-256 in hexadecimal: from the cache, or
    /// compiled now and kept. It reads, writes and computes: never on the event loop.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        wasm: &[u8],
        hash: &str,
    ) -> wasmtime::Result<Component> {
        let Some(path) = self.directory.as_ref().map(|dir| dir.join(file_name(engine, hash)))
        else {
            return Component::new(engine, wasm);
        };
        self.used.lock().insert(path.clone());
        match take(engine, &path) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled again: what was kept \
                 can't be used");
            }
        }
        let component = Component::new(engine, wasm)?;
        if let Err(error) = component.serialize().and_then(|code| Ok(keep(&path, &code)?)) {
            tracing::warn!(path = %path.display(), %error, "the compiled plugin can't be kept");
        }
        Ok(component)
    }

    /// Removes what wasn't asked for, but for the last few.
    pub(crate) fn prune(&self) {
        let Some(directory) = &self.directory else { return };
        if let Err(error) = prune(directory, &self.used.lock()) {
            tracing::warn!(path = %directory.display(), %error, "old compiled plugins stay");
        }
    }
}

/// What was kept, if anything was.
fn take(engine: &Engine, path: &Path) -> wasmtime::Result<Option<Component>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let Some((kept, code)) = bytes.split_at_checked(CHECKSUM) else {
        wasmtime::bail!("it is cut off")
    };
    if kept != checksum(path, code) {
        wasmtime::bail!("it is damaged")
    }
    // SAFETY: the file lay in a directory that only this user (or root) can write to, checked in
    // `open`, under a name that only `keep` gives out; by the checksum these bytes are what `keep`
    // was given for this name, which is what wasmtime serialized. What wasmtime itself can check
    // (its version, the settings, the target) it checks.
    let component = unsafe { Component::deserialize(engine, code) }?;
    // When it was last used. If that can't be noted it is pruned the sooner, and nothing else.
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(Some(component))
}

/// Of the name as well, so that no file can stand in for another.
fn checksum(path: &Path, code: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = Sha256::new();
    hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    hasher.update(code);
    hasher.finalize().into()
}

fn file_name(engine: &Engine, hash: &str) -> String {
    let mut compatibility = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    format!("{hash}-{:016x}.{SUFFIX}", compatibility.finish())
}

fn keep(path: &Path, code: &[u8]) -> std::io::Result<()> {
    // A name of this writer's own, and the file must be new: another process may share the folder,
    // and even the process id.
    let mark = RandomState::new().hash_one(std::process::id());
    let partial = path.with_extension(format!("{PARTIAL}{mark:016x}"));
    let mut file = File::create_new(&partial)?;
    let kept = file
        .write_all(&checksum(path, code))
        .and_then(|()| file.write_all(code))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&partial, path));
    if kept.is_err() {
        // What is left of it would only take room; if it can't be removed either, that is all it
        // does.
        let _ = fs::remove_file(&partial);
    }
    kept
}

/// Removes the files of the cache that aren't used, but for the last few; what others put into the
/// folder stays. What a crash left half-written is one of those files.
fn prune(directory: &Path, used: &HashSet<PathBuf>) -> std::io::Result<()> {
    let mut unused = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let ours = ending == SUFFIX || ending.starts_with(PARTIAL);
        if ours && !used.contains(&path) {
            // Another process may have removed it meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            unused.push((metadata.modified()?, path));
        }
    }
    unused.sort();
    let too_many = unused.len().saturating_sub(SPARE);
    for (_, path) in unused.drain(..too_many) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {
                let path = path.display();
                tracing::info!(%path, "a compiled plugin that nothing uses removed");
            }
        }
    }
    Ok(())
}

fn private_directory(path: &Path) -> Result<(), String> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| e.to_string())?;
    let meta = fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    if !meta.is_dir() {
        return Err("it isn't a folder".into());
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me && meta.uid() != 0 {
        return Err("it belongs to another user".into());
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others may write to it: chmod 700 {}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component there is.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn kept(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn damaged_code_is_a_miss_wherever_the_damage_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        let engine = Engine::default();
        let cache = CompileCache::open(Some(folder.path()));
        cache.component(&engine, EMPTY, "empty").unwrap();
        let file = kept(folder.path()).pop().unwrap();
        let good = fs::read(&file).unwrap();
        assert!(take(&engine, &file).unwrap().is_some());
        // Zeroed, as a torn write leaves it; one bit; cut off; empty.
        let step = good.len() / 100;
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert!(take(&engine, &file).is_err(), "a bit at {at}");
            bad[at..].fill(0);
            fs::write(&file, &bad).unwrap();
            assert!(take(&engine, &file).is_err(), "zeroes from {at}");
            fs::write(&file, &good[..at]).unwrap();
            assert!(take(&engine, &file).is_err(), "cut off at {at}");
        }
        // Of another component.
        let other = file.with_file_name(file_name(&engine, "other"));
        fs::write(&other, &good).unwrap();
        assert!(take(&engine, &other).is_err());
        // It is compiled again, and good from then on.
        cache.component(&engine, EMPTY, "empty").unwrap();
        assert_eq!(fs::read(&file).unwrap(), good);
    }

    #[test]
    fn what_nothing_uses_is_removed_and_the_last_few_stay() {
        let folder = tempfile::tempdir().unwrap();
        let day = |number: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(number);
        let put = |name: &str, age: u64| {
            let path = folder.path().join(name);
            File::create(&path).unwrap().set_modified(day(age)).unwrap();
            path
        };
        let used = put("used.cwasm", 0);
        let stranger = put("notes.txt", 0);
        let old = [put("a.cwasm", 1), put("b.partial-0", 2)];
        let spare: Vec<_> = (0..SPARE as u64).map(|n| put(&format!("{n}.cwasm"), 10 + n)).collect();
        prune(folder.path(), &HashSet::from([used.clone()])).unwrap();
        assert!([used, stranger].iter().chain(&spare).all(|path| path.exists()));
        assert!(!old.iter().any(|path| path.exists()));
    }
}
