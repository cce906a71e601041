//! `facteur serve`, `facteur check`, `facteur demo`.

use std::path::Path;
use std::time::Duration;

use super::begin::runtime;
use super::failure::Failure;
use super::log::Log;
use super::{demo, out};
use crate::config::Config;
use crate::operate::serve;

/// How long what runs on threads of its own may still take when all else has ended.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn check(config: Config) -> Result<(), Failure> {
    let log = Log::start(&config.log, tracing::Level::WARN);
    let checked = runtime()?.block_on(serve::check(config));
    log.finish("");
    checked?;
    Ok(out::line("all is well")?)
}

/// Serves until it is told to stop, and waits no longer than [`LAST_PATIENCE`] for what then still
/// computes on a thread of its own, as a component that is compiled for a reload: nothing is lost
/// with it. Why it ended otherwise is the last line of the log, rather than something that would
/// wait for whoever reads it.
pub(super) fn run(
    config: Config,
    file: Option<&Path>,
    ready: impl FnOnce(&[std::net::SocketAddr]),
) -> Result<(), Failure> {
    let log = Log::start(&config.log, config.log.level);
    let served = runtime().map_err(Failure::from).and_then(|runtime| {
        let ended = runtime.block_on(serve::serve(config, file, ready));
        runtime.shutdown_timeout(LAST_PATIENCE);
        ended.map_err(Failure::from)
    });
    log.finish(served.as_ref().err().map_or("", |Failure(why)| why));
    served.map_err(|_| Failure(String::new()))
}

pub(super) fn try_out(folder: &Path) -> Result<(), Failure> {
    let (file, config) = demo::prepare(folder)?;
    let ready = |addresses: &[std::net::SocketAddr]| {
        if let Some(address) = addresses.first() {
            // The server runs on, whoever reads this.
            let _ = out::line(demo::what_to_try(&file, *address));
        }
    };
    run(config, Some(&file), ready)
}
