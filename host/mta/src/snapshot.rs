//! What is in force: one configuration with its tables, mailboxes and plugins, exchanged as a
//! whole.
//!
//! A reload makes a new one beside it and swaps a pointer; sessions under way finish on the old
//! one. If anything of the new one is wrong, the old one stays and every error is told.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use facteur_policy::{Chain, Memos, Mode, Policy, PolicyConfig, Runtime, Services};
use tokio::runtime::Handle;

use crate::auth::Authenticator;
use crate::builtin;
use crate::config::{self, Component, Config};
use crate::delivery::{self, DeliveryTls, Logins};
use crate::services::connect::Connector;
use crate::services::counters::Counters;
use crate::services::dns::ATTEMPT_PATIENCE;
use crate::services::files::Folders;
use crate::services::scanner::AllScanners;
use crate::services::verify::{Ask, Verifier};
use crate::services::{Lent, Shared};
use crate::tables::{Mailboxes, Tables};
use crate::tls::{ClientTls, Tls};
use crate::whole;

/// No component is larger than this: those of the largest language runtimes have some 20 MiB.
const MAX_COMPONENT: u64 = 256 << 20;

/// The configuration in force: one pointer, swapped by a reload.
pub type InForce = Arc<ArcSwap<Snapshot>>;

/// One configuration in force.
pub struct Snapshot {
    /// What the operator wrote.
    pub config: Config,
    /// The tables, watched.
    pub tables: Arc<Tables>,
    /// TLS of the listeners.
    pub tls: Arc<Tls>,
    /// TLS of delivery.
    pub client_tls: Arc<ClientTls>,
    /// What delivery knows of it.
    pub delivery: delivery::Settings,
    /// What the plugins are lent.
    pub services: Lent,
    /// Who knows who a client is.
    pub authenticator: Arc<Authenticator>,
    /// The plugins.
    pub policy: Arc<Policy>,
    chains: HashMap<String, Chain>,
}

/// What it is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be told what is wrong: a broken table or certificate is an error, and nothing is written,
    /// not even compiled code.
    Check,
    /// A start must not fail for a table that comes a second later: a broken one is "try later"
    /// until it is good. Without a good certificate STARTTLS is, too.
    Start,
    /// What is in force is better than what is broken.
    Reload,
}

impl Snapshot {
    /// Opens the tables and loads the plugins: on a thread of its own, since files are read and
    /// components compiled, and sessions go on meanwhile.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub async fn load(
        config: Config,
        runtime: &Runtime,
        shared: &Shared,
        before: Option<Arc<Snapshot>>,
        purpose: Purpose,
    ) -> Result<Self, Vec<String>> {
        let (runtime, shared, here) = (runtime.clone(), shared.clone(), Handle::current());
        let load = move || {
            here.block_on(Self::load_here(config, &runtime, &shared, before.as_deref(), purpose))
        };
        tokio::task::spawn_blocking(load).await.unwrap_or_else(|error| Err(vec![error.to_string()]))
    }

    /// The same on this thread, which it blocks.
    async fn load_here(
        config: Config,
        runtime: &Runtime,
        shared: &Shared,
        before: Option<&Snapshot>,
        purpose: Purpose,
    ) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let (tables, table_errors) =
            Tables::open(&config.tables, before.map(|snapshot| &*snapshot.tables));
        for error in table_errors {
            if purpose == Purpose::Start {
                tracing::error!(%error, "the table is \"try later\" until it is good");
            } else {
                errors.push(error.to_string());
            }
        }
        let opened = Tls::open(&config.tls, &shared.tickets, before.map(|snapshot| &*snapshot.tls));
        let (tls, mut faults) = opened.map_err(|error| vec![format!("TLS: {error}")])?;
        let before_tls = before.map(|snapshot| &*snapshot.client_tls);
        let opened = ClientTls::open(&config.delivery.tls, before_tls);
        let (client_tls, more) = opened.map_err(|error| vec![format!("TLS: {error}")])?;
        faults.extend(more);
        if purpose != Purpose::Start {
            errors.extend(faults.iter().map(ToString::to_string));
        }
        if purpose == Purpose::Check {
            let remarks = tls.remarks().into_iter().chain(client_tls.remarks());
            errors.extend(remarks.map(|remark| remark.to_string()));
        }
        let mailboxes =
            Arc::new(Mailboxes::new(&config.mailboxes, config.domains.clone(), tables.clone()));
        if let Err(error) = mailboxes.check() {
            errors.push(error);
        }
        for (name, folder) in config.folders.iter().filter(|(_, folder)| !folder.path.is_dir()) {
            let error = format!("folder \"{name}\": {} is no folder", folder.path.display());
            if purpose == Purpose::Check {
                errors.push(error);
            } else {
                tracing::error!(error, "it can't be used until it is there");
            }
        }
        let folder = (purpose != Purpose::Check).then_some(&*config.spool.path);
        let authenticator = Authenticator::new(&config.auth, &tables, &shared.auth, folder);
        // A broken entry of a user is that user's trouble alone.
        match &authenticator {
            Ok(authenticator) if purpose == Purpose::Check => errors.extend(authenticator.check()),
            Ok(_) => {}
            Err(error) => errors.push(error.clone()),
        }
        let delivery_tls = DeliveryTls::new(
            client_tls.clone(),
            config.delivery.tls.policy.clone(),
            config.delivery.tls.table.as_ref(),
            &tables,
        );
        let (logins, wrong) = Logins::open(
            config.delivery.credentials.as_deref(),
            before.map(|snapshot| &snapshot.delivery.logins),
        );
        // As for a table: mail waits at a start, and finds what it needs when it is good.
        for error in delivery_tls.check().into_iter().chain(wrong) {
            if purpose == Purpose::Start {
                tracing::error!(error, "mail for this destination waits until it is mended");
            } else {
                errors.push(error);
            }
        }
        let delivery = delivery::Settings {
            hostname: config.hostname.clone(),
            listening: config.listen.iter().map(|listen| listen.address).collect(),
            smtp: config.smtp.clone(),
            tls: delivery_tls,
            logins,
            logins_in_the_clear: config.delivery.credentials_in_the_clear,
            plain_after: config.queue.minimal_backoff,
            mailboxes: mailboxes.clone(),
            names: shared.resolver.clone(),
            lookups: config.dns.timeout * ATTEMPT_PATIENCE,
        };
        let services = Lent {
            tables: tables.clone(),
            mailboxes: mailboxes.clone(),
            resolver: shared.resolver.clone(),
            scanners: Arc::new(AllScanners::new(
                &config.scanners,
                before.map(|snapshot| &*snapshot.services.scanners),
            )),
            folders: Arc::new(Folders::new(
                &config.folders,
                before.map(|snapshot| &*snapshot.services.folders),
            )),
            connector: Arc::new(Connector::new(
                &config.services,
                before.map(|snapshot| &*snapshot.services.connector),
            )),
            // Those that are new may have to be read from the disk.
            counters: Arc::new(shared.counters.view(&config.counters)),
            verifier: Arc::new(Verifier::new(
                shared.answers.clone(),
                config.verify.clone(),
                callouts(&config, delivery.clone()),
            )),
        };
        let lent = Services::from(services.clone());
        let (mut policy, unreadable) = policy_config(&config);
        errors.extend(unreadable);
        shared.memos.limit(config.policy.memo);
        policy.memos.clone_from(&shared.memos);
        policy.code = (purpose != Purpose::Check).then(|| config.policy.cache.clone());
        for plugin in policy.plugins.iter_mut().filter(|plugin| plugin.mode == Mode::Shadow) {
            plugin.services = Some(in_the_shadow(&config, &lent));
        }
        match (Policy::load(runtime, policy, lent).await, authenticator) {
            (Ok(policy), Ok(authenticator)) if errors.is_empty() => {
                let chain = |listen: &config::Listen| {
                    (listen.name.clone(), policy.chain(Some(&listen.chain)))
                };
                let chains: HashMap<_, _> = config.listen.iter().map(chain).collect();
                let alone = config.auth.source == config::AuthSource::Plugins;
                for listen in config.listen.iter().filter(|listen| listen.auth && alone) {
                    if !chains.get(&listen.name).is_some_and(Policy::authenticates) {
                        errors.push(format!(
                            "nobody can log in at {}: name the users with [auth] users, or \
                             Dovecot, or a plugin with the hook authenticate in its chain",
                            listen.name
                        ));
                    }
                }
                let authenticator = Arc::new(authenticator);
                if errors.is_empty() {
                    Ok(Self {
                        config,
                        tables,
                        tls,
                        client_tls,
                        delivery,
                        services,
                        authenticator,
                        policy,
                        chains,
                    })
                } else {
                    Err(errors)
                }
            }
            (Ok(_), _) => Err(errors),
            (Err(more), _) => {
                errors.extend(more.iter().map(ToString::to_string));
                Err(errors)
            }
        }
    }

    /// The plugins that this listener asks. A listener that the configuration in force doesn't know
    /// any more asks none, and so relays nothing: it ends with the next restart.
    pub fn chain(&self, listener: &str) -> Chain {
        self.chains.get(listener).cloned().unwrap_or_else(|| self.policy.chain(Some(&[])))
    }
}

/// The plugins and domains of a configuration, to be loaded; and a line for each component that
/// can't be read. Reads files: never on the event loop.
pub fn policy_config(config: &Config) -> (PolicyConfig, Vec<String>) {
    let (mut plugins, mut errors) = (Vec::new(), Vec::new());
    for plugin in &config.plugins {
        match component(plugin) {
            Ok(wasm) => plugins.push(facteur_policy::PluginConfig {
                name: plugin.name.clone(),
                wasm,
                settings: plugin.settings.clone(),
                grants: plugin.grants.clone(),
                early: plugin.early,
                isolation: plugin.isolation,
                limits: plugin.limits,
                on_error: plugin.on_error,
                mode: plugin.mode,
                share: plugin.share,
                instead_of: plugin.instead_of.clone(),
                services: None,
            }),
            Err(error) => errors.push(error),
        }
    }
    let policy = PolicyConfig {
        plugins,
        domains: config.domains.clone(),
        memos: Memos::new(config.policy.memo),
        facts: config.decisions.facts,
        code: None,
    };
    (policy, errors)
}

/// Callouts by the client of `delivery`.
fn callouts(config: &Config, delivery: delivery::Settings) -> Ask {
    let (sender, delivery) = (config.verify.sender.clone(), Arc::new(delivery));
    Arc::new(move |address, route| {
        let (delivery, sender) = (delivery.clone(), sender.clone());
        Box::pin(
            async move { delivery::callout(&delivery, &route, sender.as_ref(), &address).await },
        )
    })
}

/// What a plugin in the shadow is lent: counters of its own, and nothing that others could see a
/// trace of.
fn in_the_shadow(config: &Config, services: &Services) -> Arc<Services> {
    // In memory alone: they last until the next reload.
    let counters = Counters::new(None).view(&config.counters);
    Arc::new(services.simulated(Arc::new(counters), true))
}

fn component(plugin: &config::Plugin) -> Result<Cow<'static, [u8]>, String> {
    match &plugin.component {
        Component::Builtin(name) => builtin::component(name)
            .map(Cow::Borrowed)
            .ok_or_else(|| format!("plugin \"{}\": there is no builtin \"{name}\"", plugin.name)),
        Component::File(path) => whole::read_settled(path, MAX_COMPONENT)
            .map(Cow::Owned)
            .map_err(|error| format!("plugin \"{}\": {}: {error}", plugin.name, path.display())),
    }
}
