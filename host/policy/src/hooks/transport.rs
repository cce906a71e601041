//! Where a recipient goes next: the transport hook, its answer checked, and kept for as long as it
//! may be.
//!
//! Asked at RCPT (an error route refuses there) and whenever a recipient becomes active. Every
//! plugin that exports `transport` is asked in file order, whatever the listener, since the queue
//! has none. What they come to is used again, for the narrowest scope that any of them named, until
//! a table changes. A plugin that fails defers the recipient: nothing is ever bounced because of
//! it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use facteur_smtp::{Address, Reply, status};
use parking_lot::Mutex;
use wasmtime::component::Resource;

use crate::asker::{Asker, Matter, Question};
use crate::contract::bindings::transport::exports::facteur::policy::transport;
use crate::contract::bindings::{RecipientHandle, TransactionHandle};
use crate::contract::verdict::check_reply;
use crate::domains::{Class, Domains};
use crate::facts::{EnvelopeFacts, RecipientFacts};
use crate::hooks::next_hop::{SMTP_PORT, SmtpRoute};
use crate::policy::Policy;
use crate::run::Run;
use crate::services::Services;
use crate::story::{Story, Told};
use crate::tags::Tags;

/// Answers kept: some MiB at most. When it is full it starts anew.
const KEPT_ROUTES: usize = 20_000;

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
struct Answer(Option<Route>, transport::Scope);

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

/// Answers that may be used again.
#[derive(Default)]
pub(crate) struct RouteCache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    /// By domain, for the scope `domain`.
    domains: HashMap<String, Route>,
    /// By address, for the scope `recipient`.
    recipients: HashMap<Address, Route>,
}

impl RouteCache {
    fn get(&self, generation: u64, address: &Address) -> Option<Route> {
        let mut kept = self.0.lock();
        if kept.generation != generation {
            *kept = Kept { generation, ..Kept::default() };
        }
        kept.recipients.get(address).or_else(|| kept.domains.get(address.domain())).cloned()
    }

    fn put(&self, generation: u64, address: &Address, scope: transport::Scope, route: &Route) {
        let mut kept = self.0.lock();
        if kept.generation != generation {
            return;
        }
        if kept.domains.len() + kept.recipients.len() >= KEPT_ROUTES {
            *kept = Kept { generation, ..Kept::default() };
        }
        match scope {
            transport::Scope::Domain => {
                drop(kept.domains.insert(address.domain().to_owned(), route.clone()));
            }
            transport::Scope::Recipient => {
                drop(kept.recipients.insert(address.clone(), route.clone()));
            }
            transport::Scope::Message => {}
        }
    }
}

/// A recipient as the queue knows it: there is no session any more.
#[derive(Debug, Clone, Copy)]
pub struct Consignment<'a> {
    /// The envelope sender; none is the null sender.
    pub sender: Option<&'a Address>,
    /// The notes that plugins left.
    pub tags: &'a Tags,
    /// Whether SMTPUTF8 is needed.
    pub utf8: bool,
    /// Where it goes.
    pub address: &'a Address,
    /// As accepted at RCPT.
    pub original: &'a Address,
}

impl Consignment<'_> {
    /// The same for plugins.
    pub(crate) fn facts(&self, domains: &Domains) -> Arc<EnvelopeFacts> {
        let facts = EnvelopeFacts {
            utf8: self.utf8,
            ..EnvelopeFacts::new(domains, self.sender.cloned(), false)
        };
        facts.changing.lock().tags = self.tags.clone();
        facts.add(RecipientFacts::new(domains, self.address.clone(), self.original.clone(), false));
        Arc::new(facts)
    }
}

impl Policy {
    /// The route of one recipient.
    ///
    /// # Errors
    /// The 4yz to defer the recipient with, if a plugin couldn't say.
    pub async fn next_hop(
        self: &Arc<Self>,
        of: Consignment<'_>,
        story: &Arc<Story>,
    ) -> Result<Route, Reply> {
        self.next_hop_with(of, &self.services, Run::Live, story).await
    }

    /// The same with other services, for another kind of run: then nothing is kept, and nothing
    /// that is kept is used.
    ///
    /// # Errors
    /// As [`Policy::next_hop`].
    pub async fn next_hop_with(
        self: &Arc<Self>,
        of: Consignment<'_>,
        services: &Arc<Services>,
        run: Run,
        story: &Arc<Story>,
    ) -> Result<Route, Reply> {
        if self.routers.is_empty() {
            return Ok(self.own_way(of.address));
        }
        if !run.may_reuse() {
            return Ok(self.ask_routers(of, services, run, story).await?.0);
        }
        // Read before the tables are: an answer made of a table that changes meanwhile is not kept.
        let generation = services.tables.generation();
        if let Some(route) = self.routes.get(generation, of.address) {
            story.host("transport", Some(of.address.to_string()), format!("{route} (kept)"));
            return Ok(route);
        }
        let (route, scope) = self.ask_routers(of, services, run, story).await?;
        // Who is asked may depend on the recipient: then so does the answer.
        let scope =
            if self.is_drawing() { narrower(scope, transport::Scope::Recipient) } else { scope };
        self.routes.put(generation, of.address, scope, &route);
        Ok(route)
    }

    /// Where it goes if no plugin has an opinion.
    fn own_way(&self, address: &Address) -> Route {
        default_route(self.domains.class_of(address), address)
    }

    /// The same, asked anew, and what it depends on: as much as any answer on the way to it.
    async fn ask_routers(
        self: &Arc<Self>,
        of: Consignment<'_>,
        services: &Arc<Services>,
        run: Run,
        story: &Arc<Story>,
    ) -> Result<(Route, transport::Scope), Reply> {
        let envelope = Some(of.facts(&self.domains));
        let chain = self.draw(&self.routers, of.address);
        let asker = Asker::new(Matter {
            policy: self.clone(),
            chain,
            session: None,
            envelope,
            services: services.clone(),
            run,
            story: story.clone(),
        });
        let mut depends_on = transport::Scope::Domain;
        for (number, plugin) in asker.chain.iter().enumerate() {
            let Some(hook) = &plugin.hooks.transport else { continue };
            let question = Question { name: "transport", about: Some(of.address) };
            let answer = asker
                .ask(number, question, async |store, instance| {
                    let t = Resource::<TransactionHandle>::new_borrow(0);
                    let to = Resource::<RecipientHandle>::new_borrow(0);
                    match hook.next_hop.call(store, instance, (t, to)).await? {
                        Ok(answer) => {
                            Ok(Ok(check(answer, of.address).map_err(wasmtime::Error::msg)?))
                        }
                        Err(failure) => Ok(Err(failure)),
                    }
                })
                .await;
            match answer {
                Ok(None) => {}
                Ok(Some(Answer(route, scope))) => {
                    depends_on = narrower(depends_on, scope);
                    if let Some(route) = route {
                        return Ok((route, depends_on));
                    }
                }
                Err(_) => {
                    let text = format!("<{}>: The route is undecided, try again later", of.address);
                    return Err(Reply::new(451, status::MISCONFIGURED, text));
                }
            }
        }
        Ok((self.own_way(of.address), depends_on))
    }
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

/// Where mail goes that no plugin has an opinion about.
fn default_route(class: Class, address: &Address) -> Route {
    match class {
        Class::Local | Class::VirtualMailbox => Route::Maildir,
        Class::VirtualAlias | Class::Relay | Class::Other => {
            Route::Smtp(SmtpRoute::to(address.domain()))
        }
    }
}

fn check(answer: transport::Answer, address: &Address) -> Result<Answer, String> {
    let raw = match answer {
        transport::Answer::NoOpinion(scope) => return Ok(Answer(None, scope)),
        transport::Answer::Error((reply, scope)) => {
            let codes = if reply.code < 500 { 400..=499 } else { 500..=599 };
            let reply = check_reply(reply, codes).map_err(|broken| broken.0)?;
            return Ok(Answer(Some(Route::Error(reply)), scope));
        }
        transport::Answer::Route(raw) => raw,
    };
    let route = match raw.transport.as_str() {
        "maildir" => Route::Maildir,
        "discard" => Route::Discard,
        "smtp" | "relay" => {
            if matches!(raw.tls, Some(level) if !matches!(level, transport::TlsLevel::None | transport::TlsLevel::May))
            {
                return Err("the route asks for TLS, which this facteur doesn't speak yet".into());
            }
            let source = raw.source.map(|text| text.parse::<IpAddr>()).transpose();
            let source = source.map_err(|_| "a source that isn't an IP address".to_owned())?;
            let port = raw.port.unwrap_or(SMTP_PORT);
            let mx = !raw.no_mx;
            Route::Smtp(match raw.host {
                Some(text) => SmtpRoute::parse(&text, port, mx, source)?,
                None => SmtpRoute { port, mx, source, ..SmtpRoute::to(address.domain()) },
            })
        }
        other => {
            return Err(format!(
                "there is no transport {:?}",
                crate::contract::imports::printable(other)
            ));
        }
    };
    Ok(Answer(Some(route), raw.scope))
}
