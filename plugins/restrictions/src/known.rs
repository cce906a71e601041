//! Whether a name is in the DNS.

use facteur_plugin::{Error, dns};

/// What the DNS says about a name.
pub enum Known {
    Yes,
    No,
    /// It takes no mail (RFC 7505).
    NullMx,
    /// It can't say now.
    Later,
    /// It isn't granted.
    NotAsked(String),
}

/// A mail domain has an MX record or an address. A failure counts unless the other question is
/// answered.
pub fn mail_domain(name: &str) -> Known {
    match mx(dns::mail_exchangers(name)) {
        Known::No => addresses(dns::addresses(name)),
        Known::Later => match addresses(dns::addresses(name)) {
            Known::No => Known::Later,
            known => known,
        },
        known => known,
    }
}

/// A host has an address or an MX record.
pub fn host(name: &str) -> Known {
    match addresses(dns::addresses(name)) {
        Known::No => mx(dns::mail_exchangers(name)),
        Known::Later => match mx(dns::mail_exchangers(name)) {
            Known::No => Known::Later,
            known => known,
        },
        known => known,
    }
}

fn mx(answer: Result<Vec<dns::MailExchanger>, Error>) -> Known {
    match answer {
        Ok(records) => match records.as_slice() {
            [] => Known::No,
            [only] if only.host == "." => Known::NullMx,
            _ => Known::Yes,
        },
        Err(error) => failed(&error),
    }
}

fn addresses(answer: Result<Vec<String>, Error>) -> Known {
    match answer {
        Ok(found) if found.is_empty() => Known::No,
        Ok(_) => Known::Yes,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Known {
    match error {
        Error::NotGranted(line) => Known::NotAsked(line.clone()),
        error if error.is_transient() => Known::Later,
        _ => Known::No,
    }
}
