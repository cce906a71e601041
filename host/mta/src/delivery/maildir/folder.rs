//! The folders of a Maildir: made, given to their user, and seen to be on the disk.
//!
//! What the user could do is done as the user, and follows the user's own links. What is done with
//! the program's rights, which may be root's, follows links only in the part of the path that the
//! operator wrote: below it, whoever may write there could have put a link to anywhere.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, fchown, fstat, mkdirat, openat, openat2, statat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use crate::tables::Owner;

/// Maildirs remembered as being on the disk: a few MiB. When it is full it starts anew.
const SETTLED_AT_MOST: usize = 50_000;

/// The Maildirs that this process has seen on the disk: with their names in the folders above.
static SETTLED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Where a Maildir is. Cheap to clone but for the path.
#[derive(Debug, Clone)]
pub struct Place {
    /// What the operator wrote of the path.
    pub base: Arc<Path>,
    /// All of it.
    pub path: PathBuf,
}

impl Place {
    /// Makes the Maildir and what leads to it, as the user.
    pub fn make(&self) -> io::Result<()> {
        SETTLED.lock().remove(&self.path);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        ["tmp", "new", "cur"]
            .into_iter()
            .try_for_each(|folder| builder.create(self.path.join(folder)))
    }

    /// Makes the folder of the Maildir with the program's rights, and gives it to its user. Only
    /// the last step of the path is made.
    pub fn make_for(&self, owner: &Owner) -> io::Result<()> {
        // Two first messages may come at once: the second one waits until the folder is the user's.
        static MAKING: Mutex<()> = Mutex::new(());
        let _one = MAKING.lock();
        SETTLED.lock().remove(&self.path);
        let below = self.below()?;
        let name = below.file_name().ok_or(Errno::INVAL)?;
        let above = self.open(below.parent().unwrap_or(Path::new("")))?;
        match mkdirat(&above, name, Mode::RWXU) {
            Err(Errno::EXIST) => {
                let there = statat(&above, name, AtFlags::SYMLINK_NOFOLLOW)?;
                return if there.st_uid == owner.uid { Ok(()) } else { Err(Errno::ACCESS.into()) };
            }
            made => made?,
        }
        let folder = open_below(&above, Path::new(name))?;
        // Whoever may write to the folder above could have put another in its place, which must not
        // change hands.
        if fstat(&folder)?.st_uid != geteuid().as_raw() || !is_empty(&folder)? {
            return Err(Errno::ACCESS.into());
        }
        fchown(&folder, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
        Ok(())
    }

    /// Whether this process has seen it on the disk.
    pub fn is_settled(&self) -> bool {
        SETTLED.lock().contains(&self.path)
    }

    /// Syncs what the user may open of the folders that the operator didn't write, as the user.
    pub fn sync_as_user(&self) -> io::Result<()> {
        let below = self.path.ancestors().take_while(|folder| **folder != *self.base);
        below.map(|folder| openat(CWD, folder, FOLDER, Mode::empty())).try_for_each(sync_what_opens)
    }

    /// Syncs the rest with the program's rights, since the user may not be allowed to open the
    /// folders above. From then on it is settled.
    ///
    /// Each message sees to it, not just the one that made the folder: another one may find it
    /// made, and be done before it is synced.
    pub fn settle(&self) -> io::Result<()> {
        let written = self.base.ancestors().filter(|folder| !folder.as_os_str().is_empty());
        written
            .map(|folder| openat(CWD, folder, FOLDER, Mode::empty()))
            .try_for_each(sync_what_opens)?;
        let below = self.below()?.ancestors().filter(|folder| !folder.as_os_str().is_empty());
        let base = openat(CWD, &*self.base, FOLDER | OFlags::PATH, Mode::empty())?;
        below.map(|folder| open_below(&base, folder)).try_for_each(sync_what_opens)?;
        let mut settled = SETTLED.lock();
        if settled.len() >= SETTLED_AT_MOST {
            settled.clear();
        }
        settled.insert(self.path.clone());
        Ok(())
    }

    /// The part that the operator didn't write.
    fn below(&self) -> io::Result<&Path> {
        self.path.strip_prefix(&self.base).map_err(io::Error::other)
    }

    fn open(&self, below: &Path) -> io::Result<OwnedFd> {
        let base = openat(CWD, &*self.base, FOLDER | OFlags::PATH, Mode::empty())?;
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        Ok(open_below(&base, below)?)
    }
}

/// A folder, and nothing that opening could wait for.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a folder, by a path without any link.
fn open_below(base: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(base, path, FOLDER, Mode::empty(), how)
}

/// Syncs a folder. One that isn't ours to open, or that a link leads to, wasn't made here either.
fn sync_what_opens(opened: rustix::io::Result<OwnedFd>) -> io::Result<()> {
    match opened {
        // By the standard library: the layer under the crash tests sees no other sync.
        Ok(folder) => File::from(folder).sync_all(),
        Err(Errno::ACCESS | Errno::PERM | Errno::LOOP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_empty(folder: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The folder that a file is in, synced: its name outlasts a power loss.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::from(openat(CWD, folder, FOLDER, Mode::empty())?).sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    use super::*;
    use crate::delivery::credentials::run_as;

    const USER: u32 = 4711;

    fn owner() -> Owner {
        Owner { name: "someone".into(), uid: USER, gid: USER, home: "/".into() }
    }

    /// A folder that root made, and one of the user's in it.
    fn home() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).unwrap();
        let home = base.path().join("louen");
        fs::create_dir(&home).unwrap();
        chown(&home, Some(USER), Some(USER)).unwrap();
        (base, home)
    }

    #[test]
    fn root_follows_no_link_below_what_the_operator_wrote() {
        if !geteuid().is_root() {
            return;
        }
        let (base, home) = home();
        let elsewhere = tempfile::tempdir().unwrap();
        let place = |base: &Path, path: PathBuf| Place { base: base.into(), path };
        symlink(elsewhere.path(), home.join("sub")).unwrap();
        for path in [home.join("sub/Maildir"), home.join("sub/../Maildir"), home.join("sub")] {
            let made = place(base.path(), path.clone()).make_for(&owner());
            assert!(made.is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "root followed a link");
        assert_eq!(fs::metadata(elsewhere.path()).unwrap().uid(), 0);
        // The operator's own links are followed, and a folder of root's is no hindrance.
        let link = elsewhere.path().join("mail");
        symlink(base.path(), &link).unwrap();
        fs::create_dir(home.join("of-root")).unwrap();
        let good = place(&link, link.join("louen/of-root/Maildir"));
        good.make_for(&owner()).unwrap();
        assert_eq!(fs::metadata(home.join("of-root/Maildir")).unwrap().uid(), USER);
        good.make_for(&owner()).unwrap();
        good.settle().unwrap();
        assert!(good.is_settled());
    }

    #[tokio::test]
    async fn a_users_own_links_lead_to_what_is_theirs() {
        if !geteuid().is_root() {
            return;
        }
        let (base, home) = home();
        fs::create_dir(home.join("real")).unwrap();
        chown(home.join("real"), Some(USER), Some(USER)).unwrap();
        symlink("real", home.join("link")).unwrap();
        let place = Place { base: base.path().into(), path: home.join("link/Maildir") };
        let (theirs, owner) = (place.clone(), owner());
        let made = run_as(Some(&owner), move || theirs.make().and_then(|()| theirs.sync_as_user()));
        made.await.unwrap().unwrap();
        place.settle().unwrap();
        let new = fs::metadata(home.join("real/Maildir/new")).unwrap();
        assert_eq!((new.uid(), new.mode() & 0o777), (USER, 0o700));
    }
}
