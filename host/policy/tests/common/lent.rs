//! What only plugins ask, in memory.

use std::sync::Arc;

use facteur_policy::{Content, ScanError, Scanned, Scanners};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Memory;

impl Scanners for Memory {
    fn is_scanner(&self, name: &str) -> bool {
        self.scanners.contains_key(name)
    }

    fn scan<'a>(&'a self, scanner: &'a str, content: Arc<dyn Content>) -> BoxFuture<'a, Result<Scanned, ScanError>> {
        let virus = self.scanners[scanner].as_bytes();
        let bytes = content.read(0, 1 << 20).expect("it is in memory");
        ready(match virus {
            b"down" => Err(ScanError::Unavailable("nobody is there".to_owned())),
            b"small" => Err(ScanError::TooLarge),
            _ if bytes.windows(virus.len()).any(|part| part == virus) => Ok(Scanned::Infected("Test".to_owned())),
            _ => Ok(Scanned::Clean),
        })
        .boxed()
    }
}
