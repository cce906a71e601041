//! Services for a question whose answer changes nothing: what can be read is read, what would leave
//! a trace leaves none.
//!
//! Counters are whatever is handed in ([`super::Overlay`] for one simulation, stores of its own for
//! a plugin in the shadow). Files are read; what is written is answered as if it had been. Other
//! programs are talked to only if the operator says so, since what that does to them nobody here
//! can know.

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};

use super::{
    Connect, ConnectError, Counters, FileAnswer, FileError, FileInfo, Files, Services, Step,
};

impl Services {
    /// These, leaving no trace, with these counters; `talks`: whether other programs are talked to.
    #[must_use]
    pub fn simulated(&self, counters: Arc<dyn Counters>, talks: bool) -> Self {
        let connect = self.connect.clone();
        Self {
            counters,
            files: Arc::new(ReadOnly(self.files.clone())),
            connect: if talks { connect } else { Arc::new(Silent(connect)) },
            ..self.clone()
        }
    }
}

/// Files that are read only.
struct ReadOnly(Arc<dyn Files>);

impl Files for ReadOnly {
    fn is_folder(&self, name: &str) -> bool {
        self.0.is_folder(name)
    }

    fn read<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        offset: u64,
        length: usize,
    ) -> FileAnswer<'a, Vec<u8>> {
        self.0.read(folder, path, offset, length)
    }

    fn info<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, FileInfo> {
        self.0.info(folder, path)
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        after: Option<&'a str>,
    ) -> FileAnswer<'a, Vec<String>> {
        self.0.list(folder, path, after)
    }

    fn write<'a>(&'a self, folder: &'a str, _: &'a str, _: Vec<u8>) -> FileAnswer<'a, ()> {
        let known = self.is_folder(folder);
        Box::pin(ready(if known {
            Ok(())
        } else {
            Err(FileError::UnknownFolder(folder.to_owned()))
        }))
    }

    fn remove<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, ()> {
        Box::pin(async move { self.0.info(folder, path).await.map(drop) })
    }
}

/// Talks to nobody.
struct Silent(Arc<dyn Connect>);

impl Connect for Silent {
    fn is_service(&self, name: &str) -> bool {
        self.0.is_service(name)
    }

    fn exchange<'a>(
        &'a self,
        service: &'a str,
        steps: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>> {
        if !self.is_service(service) {
            return self.0.exchange(service, steps);
        }
        Box::pin(ready(Err(ConnectError::Unavailable(
            "a simulation talks to no other program".to_owned(),
        ))))
    }
}
