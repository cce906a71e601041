//! Where a recipient goes next: the transport hook, its answer checked.
//!
//! Asked at RCPT (an error route refuses there) and whenever a recipient becomes active. Every
//! plugin that exports `transport` is asked in file order, whatever the listener, since the queue
//! has none. A plugin that fails defers the recipient: nothing is ever bounced because of it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use facteur_smtp::{Address, Reply, status};

use crate::contract::bindings::facteur::policy::types::{self, Scope, TlsLevel};
use crate::contract::checks::{Broken, check_reply};
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::subject::Subject;
use crate::contract::text::printable;
use crate::dispatch::{Dispatch, Hook};
use crate::domains::Class;
use crate::facts::RecipientFacts;
use crate::next_hop::{RouteTls, SMTP_PORT, SmtpRoute};
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
pub(crate) struct Answer(Option<Route>, Scope);

impl Told for Answer {
    fn told(&self) -> Cow<'static, str> {
        self.0.as_ref().map_or("no opinion".into(), |route| route.to_string().into())
    }

    fn refuses(&self) -> bool {
        matches!(self.0, Some(Route::Error(_)))
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

/// Where this recipient goes.
struct Asked(Arc<RecipientFacts>);

impl Hook for Asked {
    type Raw = types::NextHop;
    type Answer = Answer;

    fn name(&self) -> HookName {
        HookName::Transport
    }

    fn subject(&self) -> Subject {
        Subject::Recipient(self.0.clone())
    }

    fn check(&self, _: &Plugin, _: &mut Context, raw: types::NextHop) -> Result<Answer, Broken> {
        check(raw, &self.0.address)
    }
}

/// What the plugins come to for a recipient; none if none has an opinion. And
/// what that depends on: as much as any answer on the way to it.
///
/// # Errors
/// The 4yz to defer the recipient with, if a plugin couldn't say.
pub(crate) async fn ask(
    dispatch: &Dispatch,
    recipient: Arc<RecipientFacts>,
) -> Result<(Option<Route>, Scope), Reply> {
    let mut depends_on = Scope::Domain;
    let asked = Asked(recipient);
    for number in 0..dispatch.chain().len() {
        match dispatch.ask(number, &asked).await {
            Ok(None) => {}
            Ok(Some(Answer(route, scope))) => {
                depends_on = narrower(depends_on, scope);
                if route.is_some() {
                    return Ok((route, depends_on));
                }
            }
            Err(_) => {
                let address = &asked.0.address;
                let text = format!("<{address}>: The route is undecided, try again later");
                return Err(Reply::new(451, status::MISCONFIGURED, text));
            }
        }
    }
    Ok((None, depends_on))
}

/// The one that lets an answer be used again less often.
fn narrower(one: Scope, other: Scope) -> Scope {
    use Scope::{Domain, Message, Recipient};
    match (one, other) {
        (Message, _) | (_, Message) => Message,
        (Recipient, _) | (_, Recipient) => Recipient,
        (Domain, Domain) => Domain,
    }
}

/// The same for one recipient at most.
pub(crate) fn of_recipient(scope: Scope) -> Scope {
    narrower(scope, Scope::Recipient)
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

fn check(answer: types::NextHop, address: &Address) -> Result<Answer, Broken> {
    let raw = match answer {
        types::NextHop::NoOpinion(scope) => return Ok(Answer(None, scope)),
        types::NextHop::Fail(types::Refusal { reply, scope }) => {
            let codes = if reply.code < 500 { 400..=499 } else { 500..=599 };
            let reply = check_reply(reply, codes)?;
            return Ok(Answer(Some(Route::Error(reply)), scope));
        }
        types::NextHop::Send(raw) => raw,
    };
    if let Some((name, _)) = raw.options.first() {
        let name = printable(name);
        return Err(Broken(format!("the route has the option {name:?}, which this host hasn't")));
    }
    let route = match raw.transport.as_str() {
        "maildir" => Route::Maildir,
        "discard" => Route::Discard,
        "smtp" | "relay" => {
            let tls = raw.tls.map(level).transpose()?;
            let source = raw.source.map(|text| text.parse::<IpAddr>()).transpose();
            let source =
                source.map_err(|_| Broken("a source that isn't an IP address".to_owned()))?;
            let port = raw.port.unwrap_or(SMTP_PORT);
            let route = SmtpRoute::to(address.domain());
            let route = SmtpRoute { port, mx: !raw.no_mx, source, tls, ..route };
            Route::Smtp(match raw.host {
                Some(text) => SmtpRoute::parse(&text, &route).map_err(Broken)?,
                None => route,
            })
        }
        other => {
            return Err(Broken(format!("there is no transport {:?}", printable(other))));
        }
    };
    Ok(Answer(Some(route), raw.scope))
}

/// The level of TLS of a route.
fn level(level: TlsLevel) -> Result<RouteTls, Broken> {
    Ok(match level {
        TlsLevel::None => RouteTls::None,
        TlsLevel::May => RouteTls::May,
        TlsLevel::Encrypt => RouteTls::Encrypt,
        TlsLevel::Verify => RouteTls::Verify,
        TlsLevel::Dane => {
            return Err(Broken(
                "the route asks for DANE, which this facteur doesn't know yet".into(),
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tls: Option<TlsLevel>) -> Result<String, String> {
        let route = types::Route {
            transport: "smtp".into(),
            host: Some("[a.example], b.example".into()),
            port: Some(587),
            no_mx: false,
            tls,
            source: None,
            options: Vec::new(),
            scope: Scope::Domain,
        };
        let address = "x@there.example".parse().unwrap();
        let Answer(route, _) =
            check(types::NextHop::Send(route), &address).map_err(|Broken(why)| why)?;
        let Some(Route::Smtp(route)) = route else { panic!("no route") };
        let levels: Vec<String> = route.hops().map(|hop| format!("{:?}", hop.tls)).collect();
        Ok(levels.join(" "))
    }

    #[test]
    fn each_next_hop_has_the_tls_that_the_route_asks_for() {
        assert_eq!(told(None).unwrap(), "None None");
        assert_eq!(told(Some(TlsLevel::Verify)).unwrap(), "Some(Verify) Some(Verify)");
        assert!(told(Some(TlsLevel::Dane)).unwrap_err().contains("DANE"));
    }
}
