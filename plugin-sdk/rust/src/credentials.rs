//! What a client brings to prove who it is: in `on_authenticate`. At most 12,288 bytes each. Log
//! nothing of them.

use crate::host::credentials as host;

/// "plain" (the client named itself and gave its password) or "bearer" (it gave a token). Answer
/// none to one that you don't know.
pub fn mechanism() -> String {
    host::mechanism()
}

/// Whom the client wants to act for. None: for itself, or whom the token names.
pub fn authorization() -> Option<String> {
    host::authorization()
}

/// Who the client says it is.
pub fn user() -> Option<String> {
    host::user()
}

/// Its password.
pub fn password() -> Option<String> {
    host::password()
}

/// Its token.
pub fn token() -> Option<String> {
    host::token()
}
