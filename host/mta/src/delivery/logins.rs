//! By what login mail goes to a server that relays for us, from a file that others can't read
//! (Postfix's `smtp_sasl_password_maps`).
//!
//! A next hop, or a server of it, has an entry `user:password`, or `XOAUTH2 user:token`. Where it
//! has one, an entry of the envelope sender takes its place: so no password ever goes to a server
//! that nobody named. The file is a table, watched as others are; what can't be read defers.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use facteur_policy::SmtpRoute;
use facteur_smtp::{Address, Reply, Secret, status};

use super::next_hop::written;
use super::targets::Target;
use crate::auth::Mechanism;
use crate::config::{Format, TableSource};
use crate::tables::Tables;

/// The table's name, in errors and in the log.
const TABLE: &str = "credentials";
/// What may be done by those who are neither the owner of the file nor in its group.
const OTHERS: u32 = 0o007;

/// The logins of one configuration. Cheap to clone.
#[derive(Clone, Default)]
pub struct Logins(Option<Arc<File>>);

/// The file, and what keeps it from being used.
struct File {
    path: PathBuf,
    table: Arc<Tables>,
    open_to_others: bool,
}

/// Who we are to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password, or the token.
    pub password: Secret,
    /// The only mechanism; none: any that takes a password.
    pub mechanism: Option<Mechanism>,
}

impl Hash for Login {
    /// Without the password, which isn't to be found by how long a look-up takes.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user.hash(state);
    }
}

impl Logins {
    /// Opens the file, and tells everything that is wrong with it. `before` is what this one takes
    /// the place of. Reads files: never on the event loop.
    pub fn open(path: Option<&Path>, before: Option<&Self>) -> (Self, Vec<String>) {
        let Some(path) = path else { return (Self::default(), Vec::new()) };
        let source = TableSource::File { path: path.to_owned(), format: Format::Texthash };
        let before = before.and_then(|before| before.0.as_ref()).map(|file| &*file.table);
        let (table, errors) = Tables::open(&BTreeMap::from([(TABLE.to_owned(), source)]), before);
        let mut errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
        let open_to_others = mode.is_ok_and(|mode| mode & OTHERS != 0);
        if open_to_others {
            errors.push(open_to(path));
        }
        // Why it can't be asked has been told.
        let _ = table.each(TABLE, &mut |key, value| {
            if let Err(wanted) = login(value) {
                errors.push(format!("{}: \"{key}\": {wanted}", path.display()));
            }
        });
        (Self(Some(Arc::new(File { path: path.to_owned(), table, open_to_others }))), errors)
    }

    /// Starts the thread that watches the file.
    ///
    /// # Errors
    /// The thread can't be had.
    pub fn watch(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |file| file.table.watch())
    }

    /// Who we are to this server of this next hop, with mail of this sender; nobody where there is
    /// no entry.
    ///
    /// # Errors
    /// The 4yz to defer with.
    pub fn find(
        &self,
        sender: Option<&Address>,
        hop: &SmtpRoute,
        target: &Target,
    ) -> Result<Option<Arc<Login>>, Reply> {
        let Some(file) = &self.0 else { return Ok(None) };
        file.find(sender, hop, target).map_err(|why| {
            tracing::error!(next_hop = %hop.host, why, "the login can't be used");
            let text = format!("the login for {} can't be used now", hop.host);
            Reply::new(451, status::MISCONFIGURED, text)
        })
    }
}

impl File {
    fn find(
        &self,
        sender: Option<&Address>,
        hop: &SmtpRoute,
        target: &Target,
    ) -> Result<Option<Arc<Login>>, String> {
        if self.open_to_others {
            return Err(open_to(&self.path));
        }
        let ask = |keys: &[String]| self.table.find(TABLE, keys).map_err(|error| error.to_string());
        let mut keys = written(hop);
        keys.push(format!("{}:{}", target.host, target.address.port()));
        keys.push(target.host.clone());
        let Some(mut found) = ask(&keys)? else { return Ok(None) };
        if let Some(sender) = sender {
            let own = [sender.as_unquoted().to_string(), format!("@{}", sender.domain())];
            found = ask(&own)?.unwrap_or(found);
        }
        login(&found.value).map(|login| Some(Arc::new(login))).map_err(str::to_owned)
    }
}

fn open_to(path: &Path) -> String {
    let path = path.display();
    format!("{path}: every user of the machine can read the passwords: chmod o= {path}")
}

/// Reads an entry. What is wrong is told without what it says.
fn login(value: &str) -> Result<Login, &'static str> {
    let (mechanism, rest) = match value.split_once(char::is_whitespace) {
        Some((word, rest)) if word.eq_ignore_ascii_case(Mechanism::Xoauth2.name()) => {
            (Some(Mechanism::Xoauth2), rest.trim_start())
        }
        _ => (None, value),
    };
    match rest.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(Login {
            user: user.to_owned(),
            password: Secret::from(password.as_bytes().to_vec()),
            mechanism,
        }),
        _ => Err("write user:password, or XOAUTH2 user:token"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn find(file: &str, sender: &str, host: &str, port: u16) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        fs::write(&path, file).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let (logins, errors) = Logins::open(Some(&path), None);
        assert_eq!(errors, [] as [String; 0]);
        let hop = SmtpRoute {
            host: host.into(),
            port,
            mx: true,
            source: None,
            tls: None,
            otherwise: None,
        };
        let target = Target {
            host: "mx.relay.example".into(),
            address: format!("192.0.2.1:{port}").parse().unwrap(),
            preference: 0,
            hop: 0,
        };
        let sender = (!sender.is_empty()).then(|| sender.parse().unwrap());
        let login = logins.find(sender.as_ref(), &hop, &target).unwrap()?;
        let password = String::from_utf8(login.password.as_bytes().to_vec()).unwrap();
        Some(format!("{} {password}", login.user))
    }

    #[test]
    fn a_next_hop_or_its_server_has_a_login_and_a_sender_changes_it() {
        let file = "[relay.example]:587 u:p:q\nmx.relay.example:26 by:port\nmx.relay.example by:name\n\
                    a@x.example own:one\n@y.example all:one\n";
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(find(file, "", "[Relay.example]", 587), some("u p:q"));
        assert_eq!(find(file, "b@x.example", "[relay.example]", 587), some("u p:q"));
        assert_eq!(find(file, "A@x.example", "[relay.example]", 587), some("own one"));
        assert_eq!(find(file, "b@y.example", "other.example", 26), some("all one"));
        assert_eq!(find(file, "", "other.example", 26), some("by port"));
        assert_eq!(find(file, "", "other.example", 25), some("by name"));
        // A stranger gets no password, whoever sends.
        assert_eq!(find("a@x.example own:one\n", "a@x.example", "other.example", 25), None);
        assert_eq!(login("xoauth2 u:t").unwrap().mechanism, Some(Mechanism::Xoauth2));
    }

    #[test]
    fn a_file_that_others_can_read_is_told_and_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        fs::write(&path, "relay.example secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let (logins, errors) = Logins::open(Some(&path), None);
        assert!(errors[0].contains("chmod o="), "{errors:?}");
        assert!(errors[1].contains("write user:password") && !errors[1].contains("secret"));
        let hop = SmtpRoute {
            host: "relay.example".into(),
            port: 25,
            mx: true,
            source: None,
            tls: None,
            otherwise: None,
        };
        let address = "192.0.2.1:25".parse().unwrap();
        let target = Target { host: "mx".into(), address, preference: 0, hop: 0 };
        let reply = logins.find(None, &hop, &target).unwrap_err();
        assert!(reply.is_transient());
    }
}
