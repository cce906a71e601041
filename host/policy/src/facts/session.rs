//! The facts of a connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use facteur_smtp::{KnownName, XClient, XForward};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::tls::TlsFacts;
use crate::services::{Dns, DnsError};
use crate::tags::Tags;

/// The facts of one connection.
pub struct SessionFacts {
    /// Stands in each log line of the session.
    pub id: String,
    /// The listener's address, as configured.
    pub listener: String,
    /// The client.
    pub client: SocketAddr,
    /// Whether it is in a trusted network.
    pub trusted: bool,
    /// The host that speaks for it, if one does: by the PROXY protocol or by XCLIENT.
    pub proxy: Option<SocketAddr>,
    /// What TLS is between us and it; none: it is in the clear.
    tls: Option<Arc<TlsFacts>>,
    /// Who it proved to be: said once.
    login: OnceLock<String>,
    /// By which mechanism of SASL it did.
    mechanism: OnceLock<String>,
    /// It said more before it had an answer that it has to wait for (RFC 2920 section 3.1).
    unauth_pipelining: AtomicBool,
    pub(crate) hello: Mutex<Option<Hello>>,
    pub(crate) tags: Mutex<Tags>,
    /// The tags that the connection alone led to, before the client said anything.
    connected: OnceLock<Tags>,
    /// What XFORWARD says of the client that the next message came from.
    forwarded: Mutex<BTreeMap<&'static str, String>>,
    reverse: OnceCell<Result<Reverse, DnsError>>,
}

/// What HELO or EHLO said.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub name: String,
    pub esmtp: bool,
}

/// The client's name, as far as the DNS says.
#[derive(Debug, Clone)]
pub(crate) struct Reverse {
    /// From the address.
    pub name: Option<String>,
    /// The same if the name leads back to the address; an error if that can't be told now.
    pub verified: Result<Option<String>, DnsError>,
}

impl Reverse {
    /// As whoever speaks for the client says; None if that says nothing of it.
    fn said(said: &XClient) -> Option<Result<Self, DnsError>> {
        let name = said.name.as_ref();
        let reverse = match (said.reverse_name.as_ref(), name) {
            (Some(reverse), _) => reverse,
            (None, Some(name)) => name,
            (None, None) => return None,
        };
        let told = |name: &KnownName| match name {
            KnownName::Is(name) => Ok(Some(name.clone())),
            KnownName::Unavailable => Ok(None),
            KnownName::Later => Err(DnsError::ServerFailure),
        };
        let verified = name.map_or(Ok(None), told);
        Some(told(reverse).map(|name| Self { name, verified }))
    }
}

/// How many reverse names are verified before giving up: each costs a lookup.
const REVERSE_NAMES: usize = 8;

impl SessionFacts {
    /// A connection that has said nothing yet.
    pub fn new(id: String, listener: String, client: SocketAddr, trusted: bool) -> Self {
        Self {
            id,
            listener,
            client,
            trusted,
            proxy: None,
            tls: None,
            login: OnceLock::new(),
            mechanism: OnceLock::new(),
            unauth_pipelining: AtomicBool::new(false),
            hello: Mutex::default(),
            tags: Mutex::default(),
            connected: OnceLock::new(),
            forwarded: Mutex::default(),
            reverse: OnceCell::new(),
        }
    }

    /// The same connection from where it is under TLS. What the client said before, and what came
    /// of that, is forgotten (RFC 3207 section 4.2): its greeting, its login, tags.
    #[must_use]
    pub fn under_tls(&self, tls: TlsFacts) -> Self {
        let connected = self.connected.get().cloned().unwrap_or_default();
        Self {
            tls: Some(Arc::new(tls)),
            tags: Mutex::new(connected),
            connected: self.connected.clone(),
            reverse: self.reverse.clone(),
            proxy: self.proxy,
            ..Self::new(self.id.clone(), self.listener.clone(), self.client, self.trusted)
        }
    }

    /// The same connection from where it is another client's, for which whoever has spoken so far
    /// speaks. What that one said of itself is forgotten.
    #[must_use]
    pub fn on_behalf(&self, said: &XClient, trusted: impl FnOnce(IpAddr) -> bool) -> Self {
        let client = SocketAddr::new(
            said.address.unwrap_or(self.client.ip()),
            said.port.unwrap_or(self.client.port()),
        );
        let trusted = trusted(client.ip());
        let known = Self {
            proxy: self.proxy.or(Some(self.client)),
            tls: self.tls.clone(),
            ..Self::new(self.id.clone(), self.listener.clone(), client, trusted)
        };
        if let Some(name) = &said.helo {
            let hello = Hello { name: name.clone(), esmtp: said.esmtp };
            *known.hello.lock() = Some(hello);
        }
        if let Some(login) = &said.login {
            known.set_login(facteur_smtp::key(login).into_owned());
        }
        // Who doesn't say it leaves it to the DNS.
        if let Some(names) = Reverse::said(said) {
            // It is new: nobody has asked yet.
            let _ = known.reverse.set(names);
        }
        known
    }

    /// What XFORWARD says of the client that the next message came from. Later words count.
    pub fn forwarded(&self, said: XForward) {
        let mut known = self.forwarded.lock();
        for (name, value) in said {
            match value {
                Some(value) => known.insert(name, value),
                None => known.remove(name),
            };
        }
    }

    /// The same as text, if anything was said: `address=203.0.113.9 name=client.test`.
    pub fn origin(&self) -> Option<String> {
        let known = self.forwarded.lock();
        let words: Vec<_> = known.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// That message is done with.
    pub fn forget_forwarded(&self) {
        let mut known = self.forwarded.lock();
        if !known.is_empty() {
            known.clear();
        }
    }

    /// A fact by its name in the contract; none where there is nothing to say.
    pub fn fact(&self, name: &str) -> Option<String> {
        let proxy = self.proxy;
        match name.split_once('.')? {
            ("proxy", "address") => proxy.map(|proxy| proxy.ip().to_canonical().to_string()),
            ("proxy", "port") => proxy.map(|proxy| proxy.port().to_string()),
            ("auth", "mechanism") => self.mechanism.get().cloned(),
            ("smtp", "unauth-pipelining") => {
                self.unauth_pipelining.load(Ordering::Relaxed).then(|| "true".to_owned())
            }
            ("forwarded", name) => self.forwarded.lock().get(name).cloned(),
            _ => self.tls.as_ref()?.fact(name).map(str::to_owned),
        }
    }

    /// The same facts, for notes of one's own.
    pub(crate) fn apart(&self) -> Self {
        let own = Self {
            proxy: self.proxy,
            tls: self.tls.clone(),
            tags: Mutex::new(self.tags.lock().clone()),
            connected: self.connected.clone(),
            reverse: self.reverse.clone(),
            ..Self::new(self.id.clone(), self.listener.clone(), self.client, self.trusted)
        };
        own.catch_up_with_client(self);
        own
    }

    /// Takes over what has become known since.
    pub(crate) fn catch_up(&self, real: &Self) {
        self.tags.lock().join(&real.tags.lock());
        self.catch_up_with_client(real);
    }

    /// What the client said since.
    fn catch_up_with_client(&self, real: &Self) {
        self.hello.lock().clone_from(&real.hello.lock());
        self.forwarded.lock().clone_from(&real.forwarded.lock());
        if let Some(login) = real.login() {
            self.set_login(login.to_owned());
        }
        if let Some(mechanism) = real.mechanism.get() {
            self.set_mechanism(mechanism.clone());
        }
        if real.unauth_pipelining.load(Ordering::Relaxed) {
            self.set_unauth_pipelining();
        }
    }

    /// Notes what is known before the client said anything.
    pub(crate) fn connected(&self) {
        // A second call changes nothing.
        let _ = self.connected.set(self.tags.lock().clone());
    }

    /// What TLS is between us and it, if any.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_deref()
    }

    /// Who it proved to be, if it did.
    pub fn login(&self) -> Option<&str> {
        self.login.get().map(String::as_str)
    }

    /// It proved to be this one. False: it was somebody before, and stays that.
    pub fn set_login(&self, login: String) -> bool {
        self.login.set(login).is_ok()
    }

    /// By which mechanism it proved that. A second call changes nothing.
    pub fn set_mechanism(&self, mechanism: String) {
        let _ = self.mechanism.set(mechanism);
    }

    /// It said more before it had an answer that it has to wait for.
    pub fn set_unauth_pipelining(&self) {
        self.unauth_pipelining.store(true, Ordering::Relaxed);
    }

    /// What HELO or EHLO said, if anything.
    pub fn helo(&self) -> Option<String> {
        self.hello.lock().as_ref().map(|hello| hello.name.clone())
    }

    /// Whether HELO or EHLO came.
    pub(crate) fn has_said_hello(&self) -> bool {
        self.hello.lock().is_some()
    }

    /// Whether it was EHLO.
    pub fn esmtp(&self) -> bool {
        self.hello.lock().as_ref().is_some_and(|hello| hello.esmtp)
    }

    /// The client's address, IPv4 as such.
    pub fn client_ip(&self) -> IpAddr {
        self.client.ip().to_canonical()
    }

    /// The verified reverse name if it has been asked for and was found.
    pub fn known_name(&self) -> Option<&str> {
        self.reverse.get()?.as_ref().ok()?.verified.as_ref().ok()?.as_deref()
    }

    pub(crate) async fn reverse(&self, dns: &dyn Dns) -> Result<Reverse, DnsError> {
        let ask = || async {
            let address = self.client_ip();
            let names = match dns.names_of(address).await {
                Ok(names) => names,
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => return Ok(Reverse { name: None, verified: Ok(None) }),
            };
            let mut failure = None;
            for name in names.iter().take(REVERSE_NAMES) {
                match dns.addresses(name.as_str()).await {
                    Ok(found) if found.contains(&address) => {
                        return Ok(Reverse {
                            name: Some(name.clone()),
                            verified: Ok(Some(name.clone())),
                        });
                    }
                    Err(error) if error.is_transient() => failure = Some(error),
                    _ => {}
                }
            }
            Ok(Reverse { name: names.into_iter().next(), verified: failure.map_or(Ok(None), Err) })
        };
        self.reverse.get_or_init(ask).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::TlsFacts;
    use crate::services::Nothing;

    #[tokio::test]
    async fn a_client_that_is_spoken_for_has_nothing_of_its_speaker() {
        let speaker = "127.0.0.1:40000".parse().unwrap();
        let facts = SessionFacts::new("s".into(), "l".into(), speaker, true);
        *facts.hello.lock() = Some(Hello { name: "proxy.test".into(), esmtp: true });
        facts.set_login("proxy".into());
        facts.tags.lock().set("tag".to_owned(), "x").unwrap();
        let said = XClient {
            address: Some("203.0.113.9".parse().unwrap()),
            port: Some(4711),
            login: Some("Louen".to_owned()),
            name: Some(KnownName::Is("client.test".to_owned())),
            ..XClient::default()
        };
        let client = facts.on_behalf(&said, |address| address.is_loopback());
        assert_eq!(client.client.to_string(), "203.0.113.9:4711");
        assert!(!client.trusted && client.tags.lock().get("tag").is_none());
        assert_eq!((client.helo(), client.login()), (None, Some("louen")));
        assert_eq!(client.fact("proxy.address").as_deref(), Some("127.0.0.1"));
        assert_eq!(client.reverse(&Nothing).await.unwrap().name.as_deref(), Some("client.test"));
        assert_eq!(client.known_name(), Some("client.test"));

        // Names that aren't known are known not to be; those not spoken of are the DNS's to tell.
        let names = |name, reverse_name| {
            let said = XClient { name, reverse_name, ..XClient::default() };
            client.on_behalf(&said, |_| false)
        };
        let is = |name: &str| Some(KnownName::Is(name.to_owned()));
        let both = names(Some(KnownName::Unavailable), is("liar.test"));
        let reverse = both.reverse(&Nothing).await.unwrap();
        assert_eq!((reverse.name.as_deref(), reverse.verified), (Some("liar.test"), Ok(None)));
        for later in [names(Some(KnownName::Later), None), names(None, Some(KnownName::Later))] {
            assert!(later.reverse(&Nothing).await.unwrap_err().is_transient());
        }
        assert!(names(None, None).reverse(&Nothing).await.is_err(), "the DNS says nothing");
        assert_eq!(both.fact("proxy.address").as_deref(), Some("127.0.0.1"), "the real one");
    }

    #[test]
    fn what_a_message_was_forwarded_with_is_forgotten_with_it() {
        let client = "127.0.0.1:40000".parse().unwrap();
        let facts = SessionFacts::new("s".into(), "l".into(), client, true);
        facts.forwarded(vec![("address", Some("203.0.113.9".into())), ("helo", Some("x".into()))]);
        facts.forwarded(vec![("helo", None)]);
        assert_eq!(facts.fact("forwarded.address").as_deref(), Some("203.0.113.9"));
        assert_eq!(facts.apart().fact("forwarded.address").as_deref(), Some("203.0.113.9"));
        assert_eq!(facts.fact("forwarded.helo"), None);
        assert_eq!(facts.origin().as_deref(), Some("address=203.0.113.9"));
        facts.forget_forwarded();
        assert_eq!((facts.fact("forwarded.address"), facts.origin()), (None, None));
        assert_eq!(facts.fact("proxy.address"), None);
    }

    #[test]
    fn under_tls_nothing_is_left_of_what_was_said_before() {
        let client = "203.0.113.9:40000".parse().unwrap();
        let facts = SessionFacts::new("s".into(), "l".into(), client, true);
        let tag = |facts: &SessionFacts, key: &str| facts.tags.lock().get(key).map(str::to_owned);
        let set = |key: &str| facts.tags.lock().set(key.to_owned(), "x").unwrap();
        set("connection");
        facts.connected();
        set("greeting");
        *facts.hello.lock() = Some(Hello { name: "evil.test".into(), esmtp: true });
        facts.set_login("somebody".into());

        let tls = TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            bits: 256,
            key_exchange: None,
            sni: None,
            asked: false,
            client: None,
        };
        let after = facts.under_tls(tls);
        assert_eq!((after.helo(), after.login(), after.esmtp()), (None, None, false));
        assert_eq!(tag(&after, "connection").as_deref(), Some("x"));
        assert_eq!(tag(&after, "greeting"), None);
        assert!(after.trusted && after.client == client && after.id == "s");
        assert_eq!(after.apart().tls(), after.tls());
        assert!(after.set_login("another".into()));
    }
}
