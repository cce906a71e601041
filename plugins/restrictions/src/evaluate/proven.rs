//! The restrictions that go by what the client proved: a login, the key of a certificate.

use facteur_plugin::lookup::{self, Manner};
use facteur_plugin::session;

use super::{By, Evaluation, Ruling};
use crate::restriction::Logins;
use crate::texts::What;

/// Whether an authority of the operator's vouches for the client's certificate.
pub(super) fn is_verified() -> bool {
    session::fact("tls.client-verified").as_deref() == Some("true")
}

/// By what tables know the client's certificate: its fingerprint, and that of its key. None where
/// it showed none.
pub(super) fn fingerprints() -> impl Iterator<Item = String> {
    ["tls.client-fingerprint", "tls.client-key-fingerprint"].into_iter().filter_map(session::fact)
}

impl Evaluation<'_> {
    /// Permits a certificate that the tables of `relay-clientcerts` have, whoever vouches for it.
    pub(super) fn listed_certificate(&mut self, of: What, warn: bool) -> Ruling {
        // One question for each: a table of patterns is asked the first key only.
        for print in fingerprints() {
            match lookup::find_in(&self.settings.relay_clientcerts, &[print]) {
                Ok(None) => {}
                Ok(Some(_)) => return Ruling::Permit(By::Client),
                Err(error) => return self.broken_table("relay-clientcerts", &error, of, warn),
            }
        }
        Ruling::Dunno
    }

    /// Refuses a sender that isn't this client's to use. The null sender is everybody's.
    pub(super) fn sender_login(&mut self, logins: Logins, warn: bool) -> Ruling {
        if self.sender().is_none() {
            return Ruling::Dunno;
        }
        let login = session::login();
        match (logins, &login) {
            (Logins::Authenticated, None) | (Logins::Unauthenticated, Some(_)) => {
                return Ruling::Dunno;
            }
            _ => {}
        }
        let owners = match lookup::find_sender(&self.settings.sender_logins, Manner::Address) {
            Ok(found) => found.map(|found| found.value),
            Err(error) => return self.lookup_failure(What::Sender, &error.explain()),
        };
        let why = match (login, owners) {
            (None, None) => return Ruling::Dunno,
            (Some(_), None) if logins == Logins::Known => return Ruling::Dunno,
            (Some(login), Some(owners)) if owns(&login, &owners) => return Ruling::Dunno,
            (Some(login), _) => format!("not owned by user {login}"),
            (None, Some(_)) => "not logged in".to_owned(),
        };
        self.reject(What::Sender, warn, 553, "5.7.1", &why)
    }
}

/// Whether the login is one of these, which stand in a table with commas or blanks between them.
fn owns(login: &str, owners: &str) -> bool {
    let parted = |c: char| c == ',' || c.is_whitespace();
    let mut owners = owners.split(parted).filter(|owner| !owner.is_empty());
    owners.any(|owner| owner.to_lowercase() == login.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::owns;

    #[test]
    fn owners_stand_with_commas_or_blanks_between_them() {
        assert!(owns("ann@x.test", "louen, Ann@X.test"));
        assert!(owns("louen", "louen\tann"));
        assert!(!owns("lou", "louen, ann"));
        assert!(!owns("louen", " , "));
    }
}
