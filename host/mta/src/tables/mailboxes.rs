//! Mailboxes: whether an address has one, where it is, and whose; whether the server that we relay
//! to has one.
//!
//! The system's users are asked through NSS (getpwnam), which may ask a directory service: on a
//! thread that may wait, and kept for a few seconds. A service that fails is "try later", never "no
//! such user". Root has no mailbox, since mail is never written as root: an alias says who reads
//! root's mail.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use facteur_policy::{Class, Domains, address_keys};
use facteur_smtp::Address;
use nix::unistd::User;
use parking_lot::Mutex;

use super::registry::Tables;
use crate::config::{self, MailboxPath, Users};

/// How long an answer of the system counts. Short enough that a new user's first mail comes in.
const FRESH: Duration = Duration::from_secs(5);
/// Answers that are kept at once: strangers try many names.
const MAX_KEPT: usize = 10_000;

/// A table of users says nothing of whose the mailboxes are.
const NO_OWNER: &str = "mail is never written as root: name the user that the mailboxes belong to, \
 with mailboxes.owner";

/// Somebody that can't be asked now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Where mail for an address is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The part of the path that the operator wrote: links in it are the operator's.
    pub base: Arc<Path>,
    /// The Maildir.
    pub path: PathBuf,
    /// Whom it belongs to; never root. None: whoever runs facteur.
    pub owner: Option<Owner>,
}

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The login name.
    pub name: String,
    /// The user's number, never 0.
    pub uid: u32,
    /// The number of the user's first group.
    pub gid: u32,
    /// The home folder.
    pub home: PathBuf,
}

/// What the system said of a name, and when.
struct Remembered {
    at: Instant,
    owner: Option<Owner>,
}

/// `[mailboxes]`, at work.
pub struct Mailboxes {
    users: Users,
    relay_users: Option<String>,
    path: MailboxPath,
    base: Arc<Path>,
    owner: Option<String>,
    domains: Domains,
    tables: Arc<Tables>,
    kept: Mutex<HashMap<String, Remembered>>,
}

impl Mailboxes {
    /// Asks nobody yet.
    pub fn new(config: &config::Mailboxes, domains: Domains, tables: Arc<Tables>) -> Self {
        let config::Mailboxes { users, relay_users, path, owner } = config.clone();
        let base = path.base().into();
        let kept = Mutex::default();
        Self { users, relay_users, path, base, owner, domains, tables, kept }
    }

    /// Whether there is somebody to own the mailboxes. May wait for the system's user service.
    ///
    /// # Errors
    /// What is wrong, and the mend.
    pub fn check(&self) -> Result<(), String> {
        let Some(owner) = &self.owner else {
            let right = self.users == Users::System || !rustix::process::geteuid().is_root();
            return if right { Ok(()) } else { Err(NO_OWNER.to_owned()) };
        };
        match ask_system(owner) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!(
                "mailboxes.owner: there is no user \"{owner}\" but root on this system; make one, \
                 or name another"
            )),
            Err(Unavailable(reason)) => Err(format!("mailboxes.owner: {reason}")),
        }
    }

    /// Whether the address has a mailbox: one of ours, or for the class `relay`, one elsewhere.
    ///
    /// # Errors
    /// Whoever knows can't be asked now: try later.
    pub async fn exists(&self, address: &Address) -> Result<bool, Unavailable> {
        if self.domains.class_of(address) == Class::Relay {
            let Some(table) = &self.relay_users else { return Ok(true) };
            let found = self.tables.find(table, &address_keys(&self.domains, address));
            return Ok(found.map_err(|error| Unavailable(error.to_string()))?.is_some());
        }
        Ok(self.find(address.local(), address.domain()).await?.is_some())
    }

    /// The mailbox of an address, if it has one. The local part counts in lower case, as in
    /// Postfix; one with an extension is the user of that very name, else the one before it.
    ///
    /// # Errors
    /// Whoever knows can't be asked now, or the configured owner isn't there: try later.
    pub async fn find(&self, local: &str, domain: &str) -> Result<Option<Mailbox>, Unavailable> {
        let local = facteur_smtp::local_key(local);
        let user = self.domains.delimiter().split(&local).map(|(user, _)| user);
        let found = match &self.users {
            Users::System => self.in_system(&local, user, domain).await?,
            Users::Table(table) => self.in_table(table, &local, user, domain)?,
            Users::Any => self.path.of(&local, domain).map(|path| (path, None)),
        };
        let Some((path, user)) = found else { return Ok(None) };
        let owner = match &self.owner {
            None if user.is_none() && rustix::process::geteuid().is_root() => {
                return Err(Unavailable(NO_OWNER.to_owned()));
            }
            None => user,
            Some(name) => match self.system_user(name).await? {
                Some(owner) => Some(owner),
                None => {
                    return Err(Unavailable(format!(
                        "the owner of the mailboxes, \"{name}\", is no user of the system"
                    )));
                }
            },
        };
        Ok(Some(Mailbox { base: self.base.clone(), path, owner }))
    }

    /// The path, and whose it is.
    async fn in_system(
        &self,
        local: &str,
        user: Option<&str>,
        domain: &str,
    ) -> Result<Option<(PathBuf, Option<Owner>)>, Unavailable> {
        for name in [Some(local), user].into_iter().flatten() {
            let Some(path) = self.path.of(name, domain) else { continue };
            if let Some(owner) = self.system_user(name).await? {
                return Ok(Some((path, Some(owner))));
            }
        }
        Ok(None)
    }

    /// As [`Self::in_system`]; a table says nothing of whose it is.
    fn in_table(
        &self,
        table: &str,
        local: &str,
        user: Option<&str>,
        domain: &str,
    ) -> Result<Option<(PathBuf, Option<Owner>)>, Unavailable> {
        let names = || [Some(local), user].into_iter().flatten();
        let mut keys: Vec<(String, &str)> =
            names().map(|name| (format!("{name}@{domain}"), name)).collect();
        // A name that holds an @ would pass for an address of another domain.
        keys.extend(names().filter(|name| !name.contains('@')).map(|name| (name.into(), name)));
        keys.push((format!("@{domain}"), user.unwrap_or(local)));
        let texts: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        let found =
            self.tables.find(table, &texts).map_err(|error| Unavailable(error.to_string()))?;
        let name = found.and_then(|found| keys.get(found.key)).map(|(_, name)| *name);
        Ok(name.and_then(|name| self.path.of(name, domain)).map(|path| (path, None)))
    }

    async fn system_user(&self, name: &str) -> Result<Option<Owner>, Unavailable> {
        if let Some(Remembered { at, owner }) = self.kept.lock().get(name)
            && at.elapsed() < FRESH
        {
            return Ok(owner.clone());
        }
        let asked = name.to_owned();
        let answer = tokio::task::spawn_blocking(move || ask_system(&asked)).await;
        let owner = answer.unwrap_or_else(|error| Err(Unavailable(error.to_string())))?;
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(name.to_owned(), Remembered { at: Instant::now(), owner: owner.clone() });
        Ok(owner)
    }
}

/// The user of this name, unless it is root by any name.
fn ask_system(name: &str) -> Result<Option<Owner>, Unavailable> {
    let user = User::from_name(name)
        .map_err(|error| Unavailable(format!("the system's users can't be asked: {error}")))?;
    let owner = |user: User| Owner {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir,
    };
    Ok(user.filter(|user| !user.uid.is_root()).map(owner))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, TableSource};

    const TABLE: &str =
        "users = \"table:users\"\nowner = \"nobody\"\npath = \"/srv/{domain}/{user}/\"";

    fn mailboxes(section: &str) -> Mailboxes {
        let text = format!(
            "hostname = \"x.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\n[domains]\ndelimiter \
             = \"+-\"\nrelay = [\"r.org\"]\n\
             [tables.users]\ninline = {{ louen = \"\", \"admin@b.org\" = \"\", \
             \"admin@r.org\" = \"\", \"lea+x\" = \"\", lea = \"\", \"@c.org\" = \"\", \
             \"u@xn--bcher-kva.test\" = \"\" }}\n[mailboxes]\n{section}"
        );
        let config = Config::parse(Path::new("/etc/facteur.toml"), &text).unwrap();
        let (tables, errors) = Tables::open(&config.tables, None);
        assert!(errors.is_empty());
        Mailboxes::new(&config.mailboxes, config.domains.clone(), tables)
    }

    async fn exists(mailboxes: &Mailboxes, address: &str) -> Result<bool, Unavailable> {
        mailboxes.exists(&address.parse().unwrap()).await
    }

    /// Where mail for this address of the table lies.
    async fn path(local: &str, domain: &str) -> Option<PathBuf> {
        let found = mailboxes(TABLE).find(local, domain).await.unwrap();
        found.map(|mailbox| mailbox.path)
    }

    #[tokio::test]
    async fn a_table_vouches_for_its_keys() {
        let mailboxes = mailboxes(TABLE);
        let found = mailboxes.find("Louen", "a.org").await.unwrap().unwrap();
        assert_eq!(found.path, Path::new("/srv/a.org/louen/"));
        assert_eq!(found.owner.unwrap().name, "nobody");
        assert!(exists(&mailboxes, "admin@b.org").await.unwrap());
        assert!(!exists(&mailboxes, "admin@a.org").await.unwrap());
        assert!(!exists(&mailboxes, "../louen@a.org").await.unwrap());
        assert_eq!(mailboxes.check(), Ok(()));
    }

    #[tokio::test]
    async fn an_extension_leads_to_its_users_mailbox() {
        assert_eq!(path("Louen+Tag", "a.org").await, Some("/srv/a.org/louen/".into()));
        assert_eq!(path("louen-x+y", "a.org").await, Some("/srv/a.org/louen/".into()));
        assert_eq!(path("admin+../x", "b.org").await, Some("/srv/b.org/admin/".into()));
        // A mailbox of that very name comes first.
        assert_eq!(path("lea+x", "a.org").await, Some("/srv/a.org/lea+x/".into()));
        for local in ["+louen", "louenx", "owner-louen", "louen-request", "postmaster"] {
            assert_eq!(path(local, "a.org").await, None, "{local}");
        }
    }

    #[tokio::test]
    async fn a_domain_in_the_table_is_all_of_its_users() {
        assert_eq!(path("anyone", "c.org").await, Some("/srv/c.org/anyone/".into()));
        assert_eq!(path("anyone+tag", "c.org").await, Some("/srv/c.org/anyone/".into()));
        assert_eq!(path("anyone", "d.org").await, None);
        assert_eq!(path("../x", "c.org").await, None);
    }

    #[tokio::test]
    async fn a_table_vouches_for_the_users_of_other_servers() {
        let mailboxes = mailboxes("relay-users = \"table:users\"");
        for (address, there) in [
            ("admin@r.org", true),
            ("Admin+x@r.org", true),
            ("nobody@r.org", false),
            // A name of this machine is none there.
            ("louen@r.org", false),
        ] {
            assert_eq!(exists(&mailboxes, address).await, Ok(there), "{address}");
        }
        let mailboxes = Mailboxes { relay_users: None, ..mailboxes };
        assert_eq!(exists(&mailboxes, "nobody@r.org").await, Ok(true));
        let gone = Mailboxes { relay_users: Some("gone".into()), ..mailboxes };
        assert!(exists(&gone, "admin@r.org").await.is_err());
    }

    #[tokio::test]
    async fn one_mailbox_may_be_everybodys() {
        let section = "users = \"any\"\nowner = \"nobody\"\npath = \"/srv/all/{domain}/\"";
        let mailboxes = mailboxes(section);
        assert_eq!(exists(&mailboxes, "whoever@x.org").await, Ok(true));
        let mailbox = mailboxes.find("who/ever", "x.org").await.unwrap().unwrap();
        assert_eq!(mailbox.path, Path::new("/srv/all/x.org/"));
        assert_eq!(mailboxes.check(), Ok(()));
    }

    #[tokio::test]
    async fn a_name_with_an_at_sign_is_no_address_of_another_domain() {
        assert_eq!(path("admin@b.org", "a.org").await, None);
    }

    #[tokio::test]
    async fn a_key_with_a_labels_vouches_for_its_user() {
        assert_eq!(path("u", "bücher.test").await, Some("/srv/bücher.test/u/".into()));
    }

    #[tokio::test]
    async fn a_table_that_cannot_be_asked_is_no_answer() {
        let sources = BTreeMap::from([(
            "users".to_owned(),
            TableSource::File {
                path: "/nonexistent/users".into(),
                format: config::Format::Texthash,
            },
        )]);
        let mailboxes = Mailboxes {
            tables: Tables::open(&sources, None).0,
            ..mailboxes("users = \"table:users\"")
        };
        assert!(exists(&mailboxes, "louen@a.org").await.is_err());
    }

    #[tokio::test]
    async fn the_system_vouches_for_its_users_but_root() {
        // Every system has these two.
        let mailboxes = mailboxes("users = \"system\"");
        let found = mailboxes.find("nobody", "x.org").await.unwrap().unwrap();
        let found_path = Path::new("/var/mail/nobody/");
        assert_eq!(found.path, found_path);
        assert_ne!(found.owner.unwrap().uid, 0);
        assert_eq!(mailboxes.find("nobody+x", "x.org").await.unwrap().unwrap().path, found_path);
        assert!(!exists(&mailboxes, "root@x.org").await.unwrap());
        assert!(!exists(&mailboxes, "root+x@x.org").await.unwrap());
        assert!(!exists(&mailboxes, "no-such-user-here@x.org").await.unwrap());
        assert!(mailboxes.kept.lock().contains_key("nobody"));
    }

    #[tokio::test]
    async fn an_owner_that_is_not_there_is_try_later() {
        let mailboxes = mailboxes("users = \"table:users\"\nowner = \"no-such-user-here\"");
        assert!(mailboxes.find("louen", "x.org").await.is_err());
        assert!(mailboxes.check().unwrap_err().contains("no-such-user-here"));
    }
}
