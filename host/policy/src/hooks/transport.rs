//! Where a recipient goes next: the transport hook, its answer checked.
//!
//! Asked at RCPT (an error route refuses there) and whenever a recipient becomes active. Every
//! plugin that exports `transport` is asked in file order, whatever the listener, since the queue
//! has none. A plugin that fails defers the recipient: nothing is ever bounced because of it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use facteur_smtp::{Address, Reply, status};
use wasmtime::component::{Instance, Resource};

use crate::contract::bindings::facteur::policy::types::Failure;
use crate::contract::bindings::transport::exports::facteur::policy::transport::{self, TlsLevel};
use crate::contract::bindings::{RecipientHandle, TransactionHandle};
use crate::contract::checks::{Broken, check_reply, printable};
use crate::contract::context::{Context, PluginStore};
use crate::contract::exports::{Hooks, Transport};
use crate::dispatch::{Dispatch, Hook};
use crate::domains::Class;
use crate::next_hop::{SMTP_PORT, SmtpRoute};
use crate::plugin::Plugin;
use crate::trace::Told;

/// A checked answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// To another server.
    Smtp(SmtpRoute),
    /// Into the recipient's mailbox.
    Maildir,
    /// Delivered to nobody.
    Discard,
    /// It fails (5yz) or waits (4yz).
    Error(Reply),
}

/// A checked answer of one plugin, none if it has no opinion; and what that depends on.
pub(crate) struct Answer(Option<Route>, transport::Scope);

impl Told for Answer {
    fn told(&self) -> Cow<'static, str> {
        self.0.as_ref().map_or("no opinion".into(), |route| route.to_string().into())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(route) => write!(f, "smtp to {route}"),
            Self::Maildir => f.write_str("maildir"),
            Self::Discard => f.write_str("discard"),
            Self::Error(reply) => write!(f, "error {reply}"),
        }
    }
}

/// Where this address goes.
struct Asked<'a>(&'a Address);

impl Hook for Asked<'_> {
    type Export = Transport;
    type Raw = transport::Answer;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        "transport"
    }

    fn about(&self) -> Option<&Address> {
        Some(self.0)
    }

    fn of(hooks: &Hooks) -> Option<&Transport> {
        hooks.transport.as_ref()
    }

    async fn call(
        &self,
        hook: &Transport,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> wasmtime::Result<Result<transport::Answer, Failure>> {
        let t = Resource::<TransactionHandle>::new_borrow(0);
        let to = Resource::<RecipientHandle>::new_borrow(0);
        hook.next_hop.call(store, instance, (t, to)).await
    }

    fn check(&self, _: &Plugin, _: &mut Context, raw: transport::Answer) -> Result<Answer, Broken> {
        check(raw, self.0)
    }
}

/// What the plugins come to for the one recipient of the dispatch; none if none has an opinion. And
/// what that depends on: as much as any answer on the way to it.
///
/// # Errors
/// The 4yz to defer the recipient with, if a plugin couldn't say.
pub(crate) async fn ask(
    dispatch: &Dispatch,
    address: &Address,
) -> Result<(Option<Route>, transport::Scope), Reply> {
    let mut depends_on = transport::Scope::Domain;
    for number in 0..dispatch.chain().len() {
        match dispatch.ask(number, &Asked(address)).await {
            Ok(None) => {}
            Ok(Some(Answer(route, scope))) => {
                depends_on = narrower(depends_on, scope);
                if route.is_some() {
                    return Ok((route, depends_on));
                }
            }
            Err(_) => {
                let text = format!("<{address}>: The route is undecided, try again later");
                return Err(Reply::new(451, status::MISCONFIGURED, text));
            }
        }
    }
    Ok((None, depends_on))
}

/// The one that lets an answer be used again less often.
fn narrower(one: transport::Scope, other: transport::Scope) -> transport::Scope {
    use transport::Scope::{Domain, Message, Recipient};
    match (one, other) {
        (Message, _) | (_, Message) => Message,
        (Recipient, _) | (_, Recipient) => Recipient,
        (Domain, Domain) => Domain,
    }
}

/// The same for one recipient at most.
pub(crate) fn of_recipient(scope: transport::Scope) -> transport::Scope {
    narrower(scope, transport::Scope::Recipient)
}

/// Where mail goes that no plugin has an opinion about.
pub(crate) fn default_route(class: Class, address: &Address) -> Route {
    match class {
        Class::Local | Class::VirtualMailbox => Route::Maildir,
        Class::VirtualAlias | Class::Relay | Class::Other => {
            Route::Smtp(SmtpRoute::to(address.domain()))
        }
    }
}

fn check(answer: transport::Answer, address: &Address) -> Result<Answer, Broken> {
    let raw = match answer {
        transport::Answer::NoOpinion(scope) => return Ok(Answer(None, scope)),
        transport::Answer::Error((reply, scope)) => {
            let codes = if reply.code < 500 { 400..=499 } else { 500..=599 };
            let reply = check_reply(reply, codes)?;
            return Ok(Answer(Some(Route::Error(reply)), scope));
        }
        transport::Answer::Route(raw) => raw,
    };
    let route = match raw.transport.as_str() {
        "maildir" => Route::Maildir,
        "discard" => Route::Discard,
        "smtp" | "relay" => {
            let may_be_plain = |level| matches!(level, TlsLevel::None | TlsLevel::May);
            if !raw.tls.is_none_or(may_be_plain) {
                return Err(Broken(
                    "the route asks for TLS, which this facteur doesn't speak yet".into(),
                ));
            }
            let source = raw.source.map(|text| text.parse::<IpAddr>()).transpose();
            let source =
                source.map_err(|_| Broken("a source that isn't an IP address".to_owned()))?;
            let port = raw.port.unwrap_or(SMTP_PORT);
            let mx = !raw.no_mx;
            Route::Smtp(match raw.host {
                Some(text) => SmtpRoute::parse(&text, port, mx, source).map_err(Broken)?,
                None => SmtpRoute { port, mx, source, ..SmtpRoute::to(address.domain()) },
            })
        }
        other => {
            return Err(Broken(format!("there is no transport {:?}", printable(other))));
        }
    };
    Ok(Answer(Some(route), raw.scope))
}
