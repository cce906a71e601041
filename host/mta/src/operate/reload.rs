//! Puts a changed configuration in force while the program runs, as a whole or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use facteur_policy::Runtime;
use tokio::sync::Mutex;

use super::descriptors;
use crate::config::{Config, ConfigError};
use crate::delivery::Deliverer;
use crate::services::Shared;
use crate::snapshot::{InForce, Purpose, Snapshot};

/// What a reload needs. Cheap to clone.
#[derive(Clone)]
pub struct Reloader {
    /// What is read; none: nothing can be.
    pub file: Option<PathBuf>,
    /// What loads plugins.
    pub runtime: Runtime,
    /// What belongs to the program, whatever is in force.
    pub shared: Shared,
    /// What is in force.
    pub in_force: InForce,
    /// Who delivers.
    pub deliverer: Arc<Deliverer>,
    /// How many descriptors there may be.
    pub descriptors: usize,
    /// One reload at a time.
    pub reloading: Arc<Mutex<()>>,
}

impl Reloader {
    /// Reads the configuration anew and puts it in force, if all of it is right.
    ///
    /// # Errors
    /// All that is wrong; the old one stays in force then.
    pub async fn reload(&self) -> Result<(), Vec<String>> {
        let _one = self.reloading.lock().await;
        let result = self.try_reload().await;
        match &result {
            Ok(()) => tracing::info!("reloaded"),
            Err(errors) => errors
                .iter()
                .for_each(|error| tracing::error!(error, "not reloaded: the old one stays")),
        }
        result
    }

    async fn try_reload(&self) -> Result<(), Vec<String>> {
        let Some(file) = &self.file else {
            return Err(vec!["there is no configuration file to load".into()]);
        };
        let file = file.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(&file)).await;
        let config = read.map_err(|error| vec![error.to_string()])?;
        let mut config = config.map_err(|errors| lines(&errors))?;
        // As at the start. What isn't in the configuration stays as it is.
        descriptors::fit(&mut config, self.descriptors).map_err(|error| vec![error.to_string()])?;
        let before = self.in_force.load_full();
        if let Some(what) = needs_restart(&before.config, &config) {
            return Err(vec![format!("{what} has changed: that needs a restart")]);
        }
        let (runtime, shared) = (&self.runtime, &self.shared);
        let snapshot =
            Snapshot::load(config, runtime, shared, Some(before.clone()), Purpose::Reload).await?;
        for section in waiting_for_restart(&before.config, &snapshot.config) {
            tracing::warn!(section, "changed, and in force after a restart only");
        }
        snapshot.tables.watch().map_err(|error| vec![error.to_string()])?;
        snapshot.tls.watch().map_err(|error| vec![error.to_string()])?;
        snapshot.client_tls.watch().map_err(|error| vec![error.to_string()])?;
        snapshot.delivery.logins.watch().map_err(|error| vec![error.to_string()])?;
        self.deliverer.configure(snapshot.delivery.clone());
        self.in_force.store(Arc::new(snapshot));
        Ok(())
    }
}

/// What can't be exchanged while the program runs.
fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
    let addresses = |config: &Config| {
        config.listen.iter().map(|listen| listen.name.clone()).collect::<Vec<_>>()
    };
    if addresses(old) != addresses(new) {
        Some("[[listen]]")
    } else if old.spool.path != new.spool.path {
        Some("[spool]")
    } else if old.admin.socket != new.admin.socket {
        Some("[admin]")
    } else {
        None
    }
}

/// What is taken over at a start, and has changed.
fn waiting_for_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let at_start = |config: &Config| -> Vec<_> {
        let listeners = config.listen.iter();
        listeners
            .map(|listen| {
                (
                    listen.limits.clone(),
                    (listen.bare_newline, listen.greet_wait),
                    (listen.kind, listen.auth, listen.hide_client, listen.helo_required),
                )
            })
            .collect()
    };
    let sections = [
        ("[[listen]]", at_start(old) == at_start(new)),
        ("[queue]", old.queue == new.queue),
        ("[dns]", old.dns == new.dns),
        ("[log]", old.log == new.log),
        ("[decisions]", old.decisions == new.decisions),
        ("[spool]", old.spool == new.spool),
        ("[policy]", old.policy == new.policy),
        ("[tls] handshakes", old.tls.handshakes == new.tls.handshakes),
        ("[verify] concurrency", old.verify.concurrency == new.verify.concurrency),
    ];
    sections.into_iter().filter(|(_, same)| !same).map(|(section, _)| section).collect()
}

fn lines(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ConfigError::one_line).collect()
}
