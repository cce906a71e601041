//! Compiled plugins, kept on disk: the second start maps what the first one compiled.
//!
//! A file's name holds the engine's compatibility hash and the component's own, so that neither a
//! new facteur nor a new plugin ever meets old code. The folder belongs to this user alone (0700),
//! and a folder that others can write to is not used: who can write there can run anything in this
//! process. This is the only module of the program with `unsafe`.

#![allow(
    unsafe_code,
    reason = "mapping precompiled code is unsafe by nature; the folder's owner and mode carry the \
     proof"
)]

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// The folder of compiled code.
pub(crate) struct CodeCache {
    directory: Option<PathBuf>,
}

impl CodeCache {
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
        Self { directory }
    }

    /// The compiled component, whose bytes have this SHA-256 in hexadecimal: from the cache, or
    /// compiled now and kept.
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
        if path.exists() {
            // SAFETY: the file lies in a directory that only this user (or root) can write to,
            // checked in `open`, under a name that only `keep` gives out; it is complete, since
            // `keep` renames it into place. What wasmtime itself can check (its version, the
            // settings, the target) it checks.
            match unsafe { Component::deserialize_file(engine, &path) } {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "compiled again: what was kept \
                     doesn't fit");
                }
            }
        }
        let component = Component::new(engine, wasm)?;
        if let Err(error) = component.serialize().and_then(|code| Ok(keep(&path, &code)?)) {
            tracing::warn!(path = %path.display(), %error, "the compiled plugin can't be kept");
        }
        Ok(component)
    }
}

fn file_name(engine: &Engine, hash: &str) -> String {
    let mut compatibility = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    format!("{hash}-{:016x}.cwasm", compatibility.finish())
}

fn keep(path: &Path, code: &[u8]) -> std::io::Result<()> {
    // A name of this writer's own, and the file must be new: another process may share the folder,
    // and even the process id.
    let mark = RandomState::new().hash_one(std::process::id());
    let partial = path.with_extension(format!("partial-{mark:016x}"));
    let mut file = File::create_new(&partial)?;
    let kept = file
        .write_all(code)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&partial, path));
    if kept.is_err() {
        // What is left of it would only take room; if it can't be removed either, that is all it
        // does.
        let _ = fs::remove_file(&partial);
    }
    kept
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
