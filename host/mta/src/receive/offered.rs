//! What a listener offers to a client: the machine's configuration for its session.
//!
//! The client's address decides: what it isn't offered (`discard-ehlo-keywords`, and the table of
//! `discard-ehlo-keyword-addresses`), and whether it may speak for others.

use std::net::IpAddr;

use facteur_smtp::{Discarded, Reply, ServerConfig, ServerLimits, StartTls, status};

use crate::config::{self, Listen, TlsMode};
use crate::snapshot::Snapshot;

/// The configuration for a client; `listen` is the listener as it was at the start, which its
/// limits are of. In stress a session ends at its first error, as Postfix has it.
///
/// # Errors
/// It can't be told now what the client is offered: the session is to end with this reply.
pub(super) fn to(
    client: IpAddr,
    snapshot: &Snapshot,
    listen: &Listen,
    stress: bool,
) -> Result<ServerConfig, Reply> {
    let hostname = &snapshot.config.hostname;
    let current = snapshot.config.current(listen);
    let discarded = discarded(client, snapshot, current).map_err(|()| {
        Reply::new(421, status::SYSTEM, format!("{hostname} Server local data error"))
    })?;
    Ok(ServerConfig {
        hostname: hostname.clone(),
        limits: ServerLimits {
            command_line: listen.limits.line,
            recipients: listen.limits.recipients,
            message_size: listen.limits.message_size,
            errors: if stress { 1 } else { listen.limits.errors },
            junk_commands: if stress { 1 } else { listen.limits.junk_commands },
            ..ServerLimits::default()
        },
        bare_newline: listen.bare_newline,
        helo_required: listen.helo_required,
        start_tls: match current.tls {
            TlsMode::None | TlsMode::Implicit => StartTls::No,
            TlsMode::May => StartTls::Offered,
            TlsMode::Encrypt => StartTls::Required,
        },
        discarded,
        disable_vrfy: current.disable_vrfy,
        xclient: config::contains(&current.xclient, client),
        xforward: config::contains(&current.xforward, client),
    })
}

/// What the table says of the client, or else what the listener says of all.
fn discarded(client: IpAddr, snapshot: &Snapshot, listen: &Listen) -> Result<Discarded, ()> {
    let all = listen.discard_ehlo_keywords;
    let Some(table) = &listen.discard_ehlo_keyword_addresses else { return Ok(all) };
    let client = client.to_canonical();
    let found = snapshot.tables.find(table, &[client.to_string()]).map_err(|error| {
        tracing::error!(%error, table, "it can't be told what a client is offered");
    })?;
    Ok(found.map_or(all, |found| Discarded::list(&found.value)))
}
