//! What is wrong with a file of TLS, and what helps.

use std::path::{Path, PathBuf};

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct TlsFault {
    file: PathBuf,
    what: What,
}

/// What may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum What {
    #[error("{0}")]
    Unreadable(String),
    #[error("this is no PEM: {0}; write the file anew")]
    Pem(String),
    #[error(
        "no certificate is in it; it must hold the server's (-----BEGIN CERTIFICATE-----), then \
         those of the authorities between it and the root"
    )]
    NoCertificate,
    #[error("no private key is in it (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    #[error(
        "the key is encrypted, and nobody is there to say the passphrase; write it without one: \
         openssl pkey -in OLD -out NEW"
    )]
    EncryptedKey,
    #[error("the key can't be used ({0}); make an ECDSA key on P-256, or an RSA key of 2048 bits")]
    Key(String),
    #[error("the certificate can't be used ({0}); have it issued anew")]
    Certificate(String),
    #[error(
        "the key in {} belongs to another certificate; name those that were made together",
        key.display()
    )]
    OtherKey { key: PathBuf },
    #[error("the server's certificate isn't the first; put it there, its issuer's after it")]
    NotFirst,
    #[error("the certificate expired on {0}; renew it")]
    Expired(String),
    #[error("the certificate isn't valid before {0}; have it issued anew, or set the clock")]
    Early(String),
    #[error("every user of the machine can read the key: chmod o= {}", .0.display())]
    Open(PathBuf),
}

impl TlsFault {
    pub(super) fn new(file: &Path, what: What) -> Self {
        Self { file: file.to_owned(), what }
    }
}
