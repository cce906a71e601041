//! The facts of TLS between a client and us.

/// What the handshake agreed on, and who the client says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// "TLSv1.3" or "TLSv1.2", as OpenSSL and Postfix write it.
    pub version: &'static str,
    /// The cipher suite by OpenSSL's name, such as "TLS_AES_256_GCM_SHA384".
    pub cipher: &'static str,
    /// The bits of its key.
    pub bits: u16,
    /// The key exchange, such as "X25519MLKEM768"; none in a session that was resumed without one.
    pub key_exchange: Option<&'static str>,
    /// The name that the client asked for (RFC 6066), in lower case.
    pub sni: Option<String>,
    /// Whether the client was asked for a certificate.
    pub asked: bool,
    /// The certificate that it has the key of.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate. The texts are the client's own: printable ASCII, 256 characters at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of all of it, as Postfix writes it: "AB:CD:…".
    pub fingerprint: String,
    /// The same of its public key (SubjectPublicKeyInfo), which outlives a renewal; empty where it
    /// can't be read.
    pub key_fingerprint: String,
    /// The common name of its subject; empty where there is none.
    pub subject: String,
    /// The common name of its issuer, or else the organisation.
    pub issuer: String,
    /// Whether an authority that the operator trusts vouches for it now.
    pub verified: bool,
}

impl TlsFacts {
    /// A fact by its name in the contract; none where there is nothing to say.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let client = self.client.as_ref();
        match name {
            "tls.version" => Some(self.version),
            "tls.cipher" => Some(self.cipher),
            "tls.sni" => self.sni.as_deref(),
            "tls.client-fingerprint" => client.map(|client| client.fingerprint.as_str()),
            "tls.client-key-fingerprint" => client
                .map(|client| client.key_fingerprint.as_str())
                .filter(|print| !print.is_empty()),
            "tls.client-subject" => client.map(|client| client.subject.as_str()),
            "tls.client-verified" => {
                client.map(|client| if client.verified { "true" } else { "false" })
            }
            _ => None,
        }
    }
}
