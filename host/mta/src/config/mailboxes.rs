//! `[mailboxes]`: who vouches for an address of class `local` or `virtual-mailbox`, where its mail
//! lies, and whose it is; and who vouches for one of class `relay`, whose mailbox is elsewhere.

use std::path::{Path, PathBuf};

use super::reader::{Section, Value};
use super::report::Kind;

/// Bytes of one file name (`NAME_MAX` of every Linux file system).
const MAX_FILE_NAME: usize = 255;

/// The section.
#[derive(Debug, Clone)]
pub struct Mailboxes {
    /// Who vouches for a user. Default: the system.
    pub users: Users,
    /// The table that vouches for recipients of class `relay` (`relay_recipient_maps`). It is asked
    /// "user@domain" and "@domain", a user with an extension before the one without; the value
    /// says nothing. Default: none; all are taken, and the next server may refuse some.
    pub relay_users: Option<String>,
    /// Where the Maildir of a user is. Default "/var/mail/{user}/".
    pub path: MailboxPath,
    /// The system user that all mailboxes belong to; never root. Absent: each belongs to the system
    /// user whose it is.
    pub owner: Option<String>,
}

/// Who vouches for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// The system's users (NSS: /etc/passwd, LDAP …).
    System,
    /// Every name is a user (`local_recipient_maps` that is empty): for a host that hands the mail
    /// on, or puts all of it into one mailbox.
    Any,
    /// A table, by its name. It is asked "user@domain", "user" and "@domain" in turn, a user with
    /// an extension before the one without; the value says nothing.
    Table(String),
}

/// Where a mailbox lies: a path with the placeholders `{user}` and `{domain}`. It ends in a slash,
/// which is Postfix's word for a Maildir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxPath(String);

impl MailboxPath {
    /// Default of `mailboxes.path`, as on Debian.
    const DEFAULT: &str = "/var/mail/{user}/";

    fn parse(path: &Path, users: &Users) -> Result<Self, String> {
        let text = path.to_str().ok_or("write it in UTF-8")?;
        if !text.ends_with('/') {
            return Err("end it in a slash: a mailbox is a Maildir, which is a folder".into());
        }
        if text.replace("{user}", "").replace("{domain}", "").contains(['{', '}']) {
            return Err("the placeholders are {user} and {domain}".into());
        }
        if *users == Users::System && !text.contains("{user}") {
            return Err(
                "put {user} into it: each user of the system has a mailbox of their own".into()
            );
        }
        if *users == Users::Any && text.contains("{user}") {
            return Err("take {user} out of it: every name is a user, and strangers would make a \
                        mailbox for each that they think of"
                .into());
        }
        Ok(Self(text.to_owned()))
    }

    /// The part of it that the operator wrote, up to the first placeholder; never all of it.
    pub fn base(&self) -> PathBuf {
        let whole = Path::new(&self.0);
        let written = whole
            .components()
            .take_while(|part| !part.as_os_str().as_encoded_bytes().contains(&b'{'));
        let base: PathBuf = written.collect();
        if base == *whole { base.parent().map_or(base.clone(), Path::to_owned) } else { base }
    }

    /// The mailbox of this user. None where a name that the path needs can't be a file name (empty,
    /// hidden, with a slash or a NUL, too long), so that no address ever leads out of its folder.
    pub fn of(&self, user: &str, domain: &str) -> Option<PathBuf> {
        let mut path = self.0.clone();
        for (placeholder, name) in [("{user}", user), ("{domain}", domain)] {
            if path.contains(placeholder) {
                let is_file_name = !name.is_empty()
                    && name.len() <= MAX_FILE_NAME
                    && !name.starts_with('.')
                    && !name.contains(['/', '\0', '{', '}']);
                if !is_file_name {
                    return None;
                }
                path = path.replace(placeholder, name);
            }
        }
        Some(PathBuf::from(path))
    }
}

/// Reads the section.
pub(super) fn read(section: &mut Section<'_>) -> Mailboxes {
    let users = section.or("users", Users::System, users);
    let path = section.get("path", |value| {
        let path = value.path()?;
        value.parse(|_| MailboxPath::parse(&path, &users))
    });
    if users == Users::Any && !section.has("path") {
        let help = Some("add path = \"/var/mail/all/\", a mailbox for all of them".to_owned());
        let message = "with users = \"any\" the mailbox has to be named".to_owned();
        section.report.error(section.span.clone(), message, "no path", help);
    }
    let relay_users = section.get("relay-users", |value| {
        let users = self::users(value)?;
        let Users::Table(table) = users else {
            return value.error(
                "only a table can know the users of other servers",
                "no table",
                "write \"table:NAME\"",
            );
        };
        Some(table)
    });
    let owner = section.get("owner", |value| match value.string()? {
        "root" => value.error(
            "mailboxes can't belong to root",
            "not root",
            "name a user made for it, such as \"vmail\": mail is never written as root",
        ),
        "" => value.error(
            "`mailboxes.owner` is empty",
            "no name",
            "name a user of the system, or leave the line out",
        ),
        owner => Some(owner.to_owned()),
    });
    Mailboxes {
        users,
        relay_users,
        path: path.unwrap_or_else(|| MailboxPath(MailboxPath::DEFAULT.to_owned())),
        owner,
    }
}

fn users(value: &Value<'_>) -> Option<Users> {
    let users = value.parse(|text| match text.strip_prefix("table:") {
        Some(table) if !table.is_empty() => Ok(Users::Table(table.to_owned())),
        _ if text == "system" => Ok(Users::System),
        _ if text == "any" => Ok(Users::Any),
        _ => Err("write \"system\", \"table:NAME\" or \"any\"".into()),
    })?;
    if let Users::Table(table) = &users {
        value.reference(Kind::Table, table);
    }
    Some(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_never_leads_out_of_its_folder() {
        let path = MailboxPath("/srv/{domain}/{user}/".into());
        assert_eq!(path.of("louen", "via.ecp.fr"), Some("/srv/via.ecp.fr/louen/".into()));
        for user in ["", ".", "..", "../x", "a/b", ".hidden", "nul\0", "{domain}"] {
            assert_eq!(path.of(user, "via.ecp.fr"), None, "{user}");
        }
        assert_eq!(path.of("louen", ""), None);
        let bases = [
            ("/var/mail/{user}/", "/var/mail"),
            ("/srv/{domain}/mail/{user}/Maildir/", "/srv"),
            ("/srv/of-{user}/", "/srv"),
            ("/srv/all/", "/srv"),
            ("/{user}/", "/"),
        ];
        for (path, base) in bases {
            assert_eq!(MailboxPath(path.into()).base(), Path::new(base));
        }
        assert_eq!(MailboxPath("/srv/all/".into()).of("a/b", ""), Some("/srv/all/".into()));
    }
}
