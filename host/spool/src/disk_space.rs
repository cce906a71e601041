//! Disk space: how much of the spool's file system is free, and a reserve that lets outcomes be
//! written when nothing is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::SpoolError;

/// How long a look at the file system is good for.
const FRESH: Duration = Duration::from_secs(1);

/// That of one spool.
#[derive(Debug)]
pub(crate) struct DiskSpace {
    /// The reserve's file, preallocated.
    reserve: PathBuf,
    reserve_size: u64,
    /// Free octets that must be there for a message to be taken, beside the reserve.
    floor: u64,
    looked: Mutex<Looked>,
}

/// What a look at the file system found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// A message may come in.
    pub enough: bool,
    /// This was a look of its own, and something should be done for more room or for the reserve.
    pub wants_more: bool,
}

#[derive(Debug)]
struct Looked {
    at: Option<Instant>,
    enough: bool,
    /// Whether the reserve stands.
    reserved: bool,
}

impl DiskSpace {
    /// `message_limit`: the largest message in octets, of which one and a half must fit.
    pub(crate) fn new(reserve: PathBuf, reserve_size: u64, message_limit: u64) -> Self {
        let reserved = reserve_size == 0
            || std::fs::metadata(&reserve).is_ok_and(|found| found.len() == reserve_size);
        Self {
            reserve,
            reserve_size,
            floor: message_limit.saturating_add(message_limit / 2),
            looked: Mutex::new(Looked { at: None, enough: false, reserved }),
        }
    }

    /// Whether a message may come in; at most a second old.
    pub(crate) fn check(&self) -> Result<Look, SpoolError> {
        let mut looked = self.looked.lock();
        let fresh = looked.at.is_none_or(|at| at.elapsed() >= FRESH);
        if fresh {
            looked.enough = self.free()? >= self.floor.saturating_add(self.missing(&looked));
            looked.at = Some(Instant::now());
        }
        Ok(Look { enough: looked.enough, wants_more: fresh && !(looked.enough && looked.reserved) })
    }

    /// A write found the disk full: nothing comes in until the next look.
    pub(crate) fn found_full(&self) {
        let mut looked = self.looked.lock();
        looked.enough = false;
        looked.at = Some(Instant::now());
    }

    /// [`DiskSpace::found_full`], if that is what this error says.
    pub(crate) fn heard(&self, error: &SpoolError) {
        if matches!(error, SpoolError::Full) {
            self.found_full();
        }
    }

    /// Gives the reserve up, so that what must be written can be; whether there was one.
    pub(crate) fn give_up_reserve(&self) -> bool {
        let mut looked = self.looked.lock();
        looked.enough = false;
        looked.at = Some(Instant::now());
        let had = looked.reserved && self.reserve_size > 0;
        looked.reserved = self.reserve_size == 0;
        had && std::fs::remove_file(&self.reserve).is_ok()
    }

    /// Makes the reserve where it is missing and fits. That it doesn't fit is no error.
    pub(crate) fn make_reserve(&self) -> Result<(), SpoolError> {
        let mut looked = self.looked.lock();
        if looked.reserved || self.free()? < self.floor.saturating_add(self.reserve_size) {
            return Ok(());
        }
        match self.allocate() {
            Ok(()) => looked.reserved = true,
            Err(error) => {
                // Half a reserve would only be in the way.
                let _ = std::fs::remove_file(&self.reserve);
                if !matches!(SpoolError::sync(&self.reserve, &error), SpoolError::Full) {
                    return Err(SpoolError::io(&self.reserve, error));
                }
            }
        }
        Ok(())
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.reserve)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.reserve_size) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => fill(&file, self.reserve_size),
            Err(error) => Err(error.into()),
        }
    }

    fn missing(&self, looked: &Looked) -> u64 {
        if looked.reserved { 0 } else { self.reserve_size }
    }

    fn free(&self) -> Result<u64, SpoolError> {
        let directory = self.reserve.parent().unwrap_or(&self.reserve);
        let found = rustix::fs::statvfs(directory)
            .map_err(|error| SpoolError::io(directory, error.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// Where the file system can't allocate ahead, zeros hold the place.
fn fill(mut file: &File, size: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), size), &mut file).map(drop)
}
