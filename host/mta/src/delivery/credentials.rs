//! Work on files under a user's credentials, never root's.
//!
//! Linux keeps credentials for each thread. The work runs on a thread of its own, which takes on
//! the user's effective ids, checks them, does the work and ends: no thread ever comes back from
//! being somebody else. The real and saved ids stay as they are, so that the user can neither
//! signal nor trace this process through that thread.

use rustix::process::{getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, Gid, Uid, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use tokio::sync::oneshot;

use crate::tables::Owner;

/// The work was not begun, or not ended.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Mail is never written as root.
    #[error(
        "the mailbox belongs to root, as whom nothing is ever written: give root's mail to a user \
         by an alias"
    )]
    Root,
    /// Only root may become somebody else.
    #[error(
        "the mailbox belongs to {user}, who this process can't become ({error}): start facteur as \
         root, or as {user}"
    )]
    Denied {
        /// Whose it is.
        user: String,
        /// What the system says.
        error: rustix::io::Errno,
    },
    /// The credentials aren't what was asked for.
    #[error("the credentials of {0} were not taken on whole")]
    Mismatch(String),
    /// No thread, or it died.
    #[error("no thread for the mailbox: {0}")]
    Thread(String),
}

/// Runs file work as this user; as ourselves where none is named. Waits aside, on a thread that
/// may.
pub async fn run_as<T: Send + 'static>(
    owner: Option<&Owner>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CredentialsError> {
    let ourselves = geteuid();
    if ourselves.is_root() && owner.is_none_or(|owner| owner.uid == 0) {
        return Err(CredentialsError::Root);
    }
    let Some(owner) = owner.filter(|owner| owner.uid != ourselves.as_raw()) else {
        return tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| CredentialsError::Thread(error.to_string()));
    };
    let owner = owner.clone();
    let (done, outcome) = oneshot::channel();
    let thread = move || {
        let result = become_user(&owner).map(|()| work());
        // Who asked may have gone; the work is done either way.
        let _ = done.send(result);
    };
    std::thread::Builder::new()
        .name("mailbox".to_owned())
        .spawn(thread)
        .map_err(|error| CredentialsError::Thread(error.to_string()))?;
    outcome.await.unwrap_or_else(|_| Err(CredentialsError::Thread("it ended early".to_owned())))
}

/// Changes the calling thread, and it alone: these are the system calls themselves, which know no
/// processes.
fn become_user(owner: &Owner) -> Result<(), CredentialsError> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    let change = || {
        set_thread_groups(&[gid])?;
        set_thread_res_gid(None, gid, None)?;
        set_thread_res_uid(None, uid, None)?;
        // A process that isn't root but may change ids keeps its other powers over files when it
        // does.
        let mut sets = capabilities(None)?;
        sets.effective = CapabilitySet::empty();
        set_capabilities(None, sets)?;
        Ok((getgroups()?, capabilities(None)?.effective))
    };
    match change() {
        Ok((groups, powers))
            if geteuid() == uid && getegid() == gid && groups == [gid] && powers.is_empty() =>
        {
            Ok(())
        }
        Ok(_) => Err(CredentialsError::Mismatch(owner.name.clone())),
        Err(error) => Err(CredentialsError::Denied { user: owner.name.clone(), error }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::{CredentialsError, run_as};
    use crate::tables::Owner;

    fn owner(uid: u32, gid: u32) -> Owner {
        Owner { name: "someone".into(), uid, gid, home: "/".into() }
    }

    #[tokio::test]
    async fn the_files_belong_to_the_user_and_we_stay_who_we_are() {
        let before = rustix::process::geteuid();
        if before.is_root() {
            let folder = tempfile::tempdir().unwrap();
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(folder.path(), open).unwrap();
            let (mine, secret) = (folder.path().join("mine"), folder.path().join("secret"));
            std::fs::write(&secret, "of root").unwrap();
            std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            let path = mine.clone();
            let user = owner(4711, 4712);
            let read = run_as(Some(&user), move || {
                std::fs::write(path, "x").unwrap();
                std::fs::read(secret).map_err(|error| error.kind())
            });
            assert_eq!(read.await.unwrap(), Err(std::io::ErrorKind::PermissionDenied));
            let meta = std::fs::metadata(&mine).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (4711, 4712));
        } else {
            let denied = run_as(Some(&owner(before.as_raw() + 1, 1)), || ()).await;
            assert!(matches!(denied, Err(CredentialsError::Denied { .. })), "{denied:?}");
        }
        assert_eq!(rustix::process::geteuid(), before);
    }

    #[tokio::test]
    async fn never_as_root() {
        let as_root = run_as(Some(&owner(0, 0)), || ()).await;
        assert!(as_root.is_err());
        if rustix::process::geteuid().is_root() {
            assert!(matches!(run_as(None, || ()).await, Err(CredentialsError::Root)));
        }
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let me = owner(4711, 4712);
        let owner = rustix::process::geteuid().is_root().then_some(&me);
        assert!(run_as(owner, || panic!("on purpose")).await.is_err());
    }
}
