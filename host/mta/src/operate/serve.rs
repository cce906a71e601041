//! The program from start to stop.
//!
//! Start: configuration, store, tables and plugins, queue, then the doors: nothing is accepted
//! before all that could refuse it is there. Stop: the doors close, sessions hear 421, what is
//! being delivered ends, the store is closed. If the store fails, the process ends at once, without
//! touching it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use facteur_policy::{Memos, Runtime};
use facteur_spool::{Spool, SpoolConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admin;
use super::descriptors::{self, Shares};
use super::reload::Reloader;
use crate::auth;
use crate::config::Config;
use crate::decisions::{self, Decisions};
use crate::delivery::{Deliverer, Room};
use crate::queue::{self, Backoff};
use crate::receive::listener::Listener;
use crate::receive::mta::Mta;
use crate::services::Shared;
use crate::services::counters::Counters;
use crate::services::dns::Resolver;
use crate::services::verify::Answers;
use crate::snapshot::{InForce, Purpose, Snapshot};
use crate::tls;

/// How long deliveries may take when the program stops that can't be broken off: those that wait
/// for the answer to a whole message. What isn't done by then is tried again after the start.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// The file of the durable counters, in the spool.
const COUNTERS: &str = "counters.sqlite";

/// Sockets to the DNS where nothing else is done.
pub const DNS_ALONE: usize = 64;

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration, the tables or the plugins: all that is wrong.
    #[error("{}", .0.join("\n"))]
    Setup(Vec<String>),
    /// The store.
    #[error(transparent)]
    Spool(#[from] facteur_spool::SpoolError),
    /// File descriptors.
    #[error(transparent)]
    Descriptors(#[from] descriptors::TooFew),
    /// An address to listen on.
    #[error("can't listen on {address}: {error}{}", mend(error))]
    Listen {
        /// As the configuration has it.
        address: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A socket, a thread, a signal.
    #[error("{place}: {error}")]
    System {
        /// What was tried.
        place: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// What helps against the usual reasons why an address can't be had.
fn mend(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program listens there; stop it, or change [[listen]]"
        }
        std::io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need root, or the capability CAP_NET_BIND_SERVICE"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            ": this machine doesn't have the address; change [[listen]]"
        }
        _ => "",
    }
}

impl ServeError {
    fn system(place: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let place = place.into();
        move |error| Self::System { place, error }
    }
}

/// Loads all that a start would load, and changes nothing.
///
/// # Errors
/// Everything that is wrong.
pub async fn check(config: Config) -> Result<(), ServeError> {
    let runtime = runtime(&config)?;
    let shared = shared(&config, None, DNS_ALONE)?;
    Snapshot::load(config, &runtime, &shared, None, Purpose::Check)
        .await
        .map_err(ServeError::Setup)?;
    Ok(())
}

/// The engine, with the room that the configuration says.
///
/// # Errors
/// It can't start.
pub fn runtime(config: &Config) -> Result<Runtime, ServeError> {
    Runtime::new(config.policy.sandboxes)
        .map_err(|error| ServeError::Setup(vec![error.to_string()]))
}

/// What belongs to the program. Without a file of counters nothing is written.
///
/// # Errors
/// The DNS is configured so that it can't be asked.
pub fn shared(
    config: &Config,
    counters: Option<PathBuf>,
    dns_sockets: usize,
) -> Result<Shared, ServeError> {
    let resolver = Resolver::new(&config.dns, dns_sockets)
        .map_err(|error| ServeError::Setup(vec![error.to_string()]))?;
    let tickets =
        tls::tickets().map_err(|error| ServeError::Setup(vec![format!("TLS: {error}")]))?;
    Ok(Shared {
        tickets,
        resolver: Arc::new(resolver),
        counters: Arc::new(Counters::new(counters)),
        answers: Answers::new(config.verify.concurrency),
        memos: Memos::new(config.policy.memo),
        auth: auth::Shared::default(),
    })
}

/// Runs until SIGTERM or SIGINT. `ready` is called once clients are taken, with the bound
/// addresses.
///
/// # Errors
/// What kept it from starting, or made it end.
pub async fn serve(
    wanted: Config,
    file: Option<&Path>,
    ready: impl FnOnce(&[std::net::SocketAddr]),
) -> Result<(), ServeError> {
    let descriptors = descriptors::raise();
    let mut config = wanted.clone();
    let shares = descriptors::fit(&mut config, descriptors)?;
    descriptors::tell(&wanted, &config, descriptors);
    let runtime = runtime(&config)?;
    let shared = shared(&config, Some(config.spool.path.join(COUNTERS)), shares.dns)?;
    let spool = open_spool(&config).await?;
    let listeners = config.listen.iter().map(|listen| {
        let address = listen.name.clone();
        Listener::bind(listen.clone()).map_err(|error| ServeError::Listen { address, error })
    });
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let door = admin::Door::open(&config.admin.socket);
    let door = door.map_err(ServeError::system(config.admin.socket.display().to_string()))?;
    let snapshot = Snapshot::load(config, &runtime, &shared, None, Purpose::Start).await;
    let snapshot = snapshot.map_err(ServeError::Setup)?;
    snapshot.tables.watch().map_err(ServeError::system("watching the tables"))?;
    snapshot.tls.watch().map_err(ServeError::system("watching the certificates"))?;
    snapshot.client_tls.watch().map_err(ServeError::system("watching the certificates"))?;
    snapshot.delivery.logins.watch().map_err(ServeError::system("watching the credentials"))?;
    let Shares { idle_connections, mailboxes, .. } = shares;
    let deliverer = Deliverer::new(snapshot.delivery.clone(), Room { idle_connections, mailboxes });
    let deliverer = Arc::new(deliverer);
    let in_force: InForce = Arc::new(ArcSwap::from_pointee(snapshot));
    let decisions = {
        let loaded = in_force.load();
        let folder = loaded.config.spool.path.join(decisions::FOLDER);
        let opened = Decisions::open(&folder, loaded.config.decisions);
        opened.map_err(ServeError::system(folder.display().to_string()))?
    };
    let queue = queue::start(parts(&spool, &in_force, &deliverer, &decisions)).await?;

    let (stop, stopping) = watch::channel(false);
    let mta = Arc::new(Mta::new(
        in_force.clone(),
        spool.clone(),
        queue.clone(),
        decisions.clone(),
        shared.auth.failures.clone(),
        stopping,
    ));
    let reloader = Reloader {
        file: file.map(Path::to_owned),
        runtime,
        shared: shared.clone(),
        in_force,
        deliverer: deliverer.clone(),
        descriptors,
        reloading: Arc::default(),
    };
    let addresses: Vec<_> =
        listeners.iter().filter_map(|listener| listener.address().ok()).collect();
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(listener.run(mta.clone()));
    }
    doors.spawn(door.run(mta.clone(), reloader.clone()));
    tracing::info!(addresses = ?addresses, "ready");
    ready(&addresses);

    let failed = until_told_to_stop(&spool, &reloader).await?;
    if let Some(error) = failed {
        // Whatever is under way is answered 4yz or nothing; nothing more is written.
        return Err(error.into());
    }
    tracing::info!("stopping");
    // Every receiver may be gone already; then there is nobody to tell.
    let _ = stop.send(true);
    while doors.join_next().await.is_some() {}
    if tokio::time::timeout(STOP_PATIENCE, queue.stop()).await.is_err() {
        tracing::warn!("deliveries are still under way: they are tried again after the next start");
    }
    let counters = shared.counters;
    // A panic in there has been told already.
    let _ = tokio::task::spawn_blocking(move || {
        counters.close();
        decisions.close();
    })
    .await;
    spool.close().await?;
    tracing::info!("stopped");
    Ok(())
}

/// The spool as the configuration has it.
pub fn spool_settings(config: &Config) -> SpoolConfig {
    SpoolConfig {
        message_limit: config.message_size(),
        reserve: config.spool.reserve,
        ..SpoolConfig::new(&config.spool.path)
    }
}

async fn open_spool(config: &Config) -> Result<Spool, ServeError> {
    let settings = spool_settings(config);
    let opened = tokio::task::spawn_blocking(move || Spool::open(&settings)).await;
    let opened = opened.map_err(|error| ServeError::Setup(vec![error.to_string()]))?;
    Ok(opened?)
}

fn parts(
    spool: &Spool,
    in_force: &InForce,
    deliverer: &Arc<Deliverer>,
    decisions: &Decisions,
) -> queue::Parts {
    let settings = &in_force.load().config.queue;
    queue::Parts {
        spool: spool.clone(),
        in_force: in_force.clone(),
        deliverer: deliverer.clone(),
        decisions: decisions.clone(),
        limits: queue::Limits {
            window: settings.active,
            deliveries: settings.deliveries,
            initial_concurrency: settings.destination_concurrency,
            concurrency: settings.destination_concurrency_limit,
        },
        recipients_per_delivery: settings.recipients_per_delivery,
        backoff: Backoff {
            minimal: settings.minimal_backoff,
            maximal: settings.maximal_backoff,
            lifetime: settings.lifetime,
            bounce_lifetime: settings.bounce_lifetime,
        },
    }
}

/// Waits for a signal to stop, reloading on SIGHUP; or for the store to fail.
async fn until_told_to_stop(
    spool: &Spool,
    reloader: &Reloader,
) -> Result<Option<facteur_spool::SpoolError>, ServeError> {
    let on = |kind| signal(kind).map_err(ServeError::system("signals"));
    let (mut term, mut int, mut hup) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    let reloads = async {
        while hup.recv().await.is_some() {
            // What went wrong has been told.
            let _ = reloader.reload().await;
        }
    };
    // Beside the others, so that a reload under way keeps nobody from stopping.
    tokio::select! {
        _ = term.recv() => Ok(None),
        _ = int.recv() => Ok(None),
        error = spool.failed() => Ok(Some(error)),
        () = reloads => Ok(None),
    }
}
