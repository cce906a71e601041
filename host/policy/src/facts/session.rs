//! The facts of a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

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
    /// The proxy that passes it on, if one does.
    pub proxy: Option<SocketAddr>,
    /// What TLS is between us and it; none: it is in the clear.
    tls: Option<Arc<TlsFacts>>,
    /// Who it proved to be: said once.
    login: OnceLock<String>,
    pub(crate) hello: Mutex<Option<Hello>>,
    pub(crate) tags: Mutex<Tags>,
    /// The tags that the connection alone led to, before the client said anything.
    connected: OnceLock<Tags>,
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
            hello: Mutex::default(),
            tags: Mutex::default(),
            connected: OnceLock::new(),
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

    /// The same facts, for notes of one's own.
    pub(crate) fn apart(&self) -> Self {
        let Self {
            id,
            listener,
            client,
            trusted,
            proxy,
            tls,
            login,
            hello,
            tags,
            connected,
            reverse,
        } = self;
        Self {
            id: id.clone(),
            listener: listener.clone(),
            client: *client,
            trusted: *trusted,
            proxy: *proxy,
            tls: tls.clone(),
            login: login.clone(),
            hello: Mutex::new(hello.lock().clone()),
            tags: Mutex::new(tags.lock().clone()),
            connected: connected.clone(),
            reverse: reverse.clone(),
        }
    }

    /// Takes over what has become known since.
    pub(crate) fn catch_up(&self, real: &Self) {
        self.hello.lock().clone_from(&real.hello.lock());
        self.tags.lock().join(&real.tags.lock());
        if let Some(login) = real.login() {
            self.set_login(login.to_owned());
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
