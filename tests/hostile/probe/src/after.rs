//! The hooks that the queue and AUTH ask: what follows from an attempt, and who somebody is.

use facteur_plugin::{Advice, Failure, MailAddress, attempt, credentials, recipient, transaction};

use crate::deed::{self, MEGABYTES};
use crate::settings::Settings;
use crate::stage::address as parsed;

/// Advice by the recipient's address, or `*`: `as-planned`, `retry-after:MILLISECONDS`, `fail`,
/// `no-notification`, `redirect:ADDRESS` (with `{number}`, `{code}`, `{host}` and `{planned}` of
/// the attempt), `failure`, `bad-address`, `hold` (an action where none may be), or a deed.
pub fn advise(settings: &Settings) -> Result<Advice, Failure> {
    let address = recipient::address().to_string();
    let word = settings.delivery.get(&address).or_else(|| settings.delivery.get("*"));
    let (name, text) =
        word.map_or(("as-planned", ""), |word| word.split_once(':').unwrap_or((word, "")));
    Ok(match name {
        "retry-after" => Advice::RetryAfter(text.parse().unwrap_or(0)),
        "fail" => Advice::Fail,
        "no-notification" => Advice::NoNotification,
        "redirect" => {
            let filled = text
                .replace("{number}", &attempt::number().to_string())
                .replace("{code}", &attempt::said().code.to_string())
                .replace("{host}", attempt::host().as_deref().unwrap_or("nobody"))
                .replace(
                    "{planned}",
                    if attempt::next_try().is_some() { "again" } else { "never" },
                );
            Advice::Redirect(parsed(&filled))
        }
        "failure" => return Err(Failure::transient("the guest can't advise")),
        "bad-address" => {
            Advice::Redirect(MailAddress::new("a b\r\nRCPT TO:<c@d.test>", "not a domain"))
        }
        "hold" => {
            transaction::hold("in the queue");
            Advice::AsPlanned
        }
        word => {
            deed::commit(word);
            Advice::AsPlanned
        }
    })
}

/// Who it is, by the name or the token that was given: `password:WORD` (it is who it says, if that
/// is the password), `is:LOGIN`, `fail`, `empty`, `crlf`, `long`, or a deed.
pub fn verify(settings: &Settings) -> Result<Option<String>, Failure> {
    let password = credentials::password().unwrap_or_default();
    let Some(name) = credentials::user().or_else(credentials::token) else { return Ok(None) };
    let Some(word) = settings.authenticate.get(&name) else { return Ok(None) };
    let (kind, text) = word.split_once(':').unwrap_or((word, ""));
    Ok(match kind {
        "password" => (password == text).then_some(name),
        "is" => Some(text.to_owned()),
        "fail" => return Err(Failure::transient("the guest can't tell")),
        "empty" => Some(String::new()),
        "crlf" => Some("somebody\r\n235 2.7.0 Ok".to_owned()),
        "long" => Some("x".repeat(4_096)),
        "megabytes" => Some("x".repeat(MEGABYTES)),
        word => {
            deed::commit(word);
            None
        }
    })
}
