//! A file system layer for tests that forgets what was not synced.
//!
//! `kill -9` does not test durability: the page cache survives it. This library, preloaded into the
//! program under test (`LD_PRELOAD`, see [`library`]), stands in for `fsync` and `fdatasync`. For
//! everything under the directory named by [`ROOT`] it calls the real one and then writes down, in
//! the directory named by [`IMAGE`], what is on the disk from now on: for a regular file its
//! content, for a directory its list of names. After the program was killed [`restore`] makes the
//! tree that a power loss would have left:
//!
//! - a name whose directory was not synced since is not there;
//! - a file that was never synced is empty, one that was has the content of its last sync;
//! - a name that was removed or renamed without a sync of its directory is as it was.
//!
//! A real disk keeps some of what was not synced. Here all of it is lost, which is the harshest of
//! what is allowed. What is not seen: `sync`, `syncfs`, `msync`, `O_SYNC`, system calls made
//! without the C library, and symbolic links. What another thread writes during a sync may count as
//! synced.
//!
//! With [`LIE`] set, the sync is taken out: it says that all is well and nothing is on the disk. A
//! test of durability must fail then.
//!
//! With [`LOG`] set, each sync adds a line to a file, the path of what was synced within the root:
//! how many there are is what a message costs the disk. Without [`IMAGE`] nothing else is written
//! down then.
//!
//! Linked into a test for [`snapshot`] and [`restore`], and without [`ROOT`] in the environment, it
//! changes nothing.

mod image;
mod preload;

use std::io;
use std::path::{Path, PathBuf};

/// The variable that names the directory that is watched.
pub const ROOT: &str = "FACTEUR_LOSSY_ROOT";
/// The variable that names the directory with what is durable: on the same file system, outside of
/// the root.
pub const IMAGE: &str = "FACTEUR_LOSSY_IMAGE";
/// The variable that names the file to which each sync under the root adds its path.
pub const LOG: &str = "FACTEUR_LOSSY_LOG";
/// The variable that takes syncs out: `1` all of them, a path within the root those of that file or
/// directory, with a `/` at its end those of all that is in it.
pub const LIE: &str = "FACTEUR_LOSSY_LIE";

/// Takes all that is under `root` for durable; makes `image` where there is none. Call it before
/// the program starts.
pub fn snapshot(root: &Path, image: &Path) -> io::Result<()> {
    image::Image::new(image)?.snapshot(root)
}

/// Makes in `into`, which must not exist, what a power loss would have left of `root`.
pub fn restore(root: &Path, image: &Path, into: &Path) -> io::Result<()> {
    image::Image::new(image)?.restore(root, into)
}

/// The library to preload: it is built with the tests and lies beside them.
pub fn library() -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let name = "libfacteur_lossyfs.so";
    test.ancestors()
        .skip(1)
        .take(2)
        .flat_map(|directory| [directory.join(name), directory.join("deps").join(name)])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            io::Error::other(format!(
                "{name} is not beside {}: run `cargo build -p facteur-lossyfs` with the same \
                 target directory",
                test.display()
            ))
        })
}
