//! Asks the running program, or the store where none runs.

use facteur_spool::Spool;

use super::begin::runtime;
use super::failure::Failure;
use crate::config::Config;
use crate::operate::protocol::{Request, Sink};
use crate::operate::{answer, client, serve};

/// Asks the running program; where there is none, the store itself.
pub(super) fn ask(
    config: &Config,
    request: &Request,
    sink: &mut (impl Sink + Send),
) -> Result<(), Failure> {
    let runtime = runtime()?;
    runtime.block_on(async {
        if client::ask(&config.admin.socket, request, sink).await? {
            return Ok(());
        }
        if !config.spool.path.exists() {
            return Err(Failure(format!(
                "facteur: there is no spool at {}",
                config.spool.path.display()
            )));
        }
        let spool = Spool::open(&serve::spool_settings(config))?;
        let answered = answer::answer(&spool, None, request.clone(), sink).await;
        // Also where nobody reads the answer: the end is a clean one.
        spool.close().await?;
        Ok(answered?)
    })
}
