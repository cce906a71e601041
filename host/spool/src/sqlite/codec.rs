//! The text in the database and the values in memory.
//!
//! What is read may have been touched by hand or by damage: anything that can't be understood is an
//! error that says what, never a panic and never a guess.

use facteur_smtp::{Address, EnhancedStatus, Notify, Reply, Ret, ReversePath};

use crate::{End, RecipientState, Target};

/// What can't be understood.
pub(super) type Unreadable = String;

/// Empty for the null sender.
pub(super) fn sender_text(sender: Option<&Address>) -> String {
    sender.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn sender(text: &str) -> Result<ReversePath, Unreadable> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

pub(super) fn address(text: &str) -> Result<Address, Unreadable> {
    text.parse().map_err(|error| format!("the address {text:?}: {error}"))
}

/// `550 5.1.1 text`; lines of text are parted as in memory.
pub(super) fn reply_text(reply: &Reply) -> String {
    match &reply.enhanced {
        Some(enhanced) => format!("{} {enhanced} {}", reply.code, reply.text),
        None => format!("{} {}", reply.code, reply.text),
    }
}

pub(super) fn reply(stored: &str) -> Result<Reply, Unreadable> {
    let (code, rest) = stored.split_once(' ').ok_or_else(|| format!("the reply {stored:?}"))?;
    let code = code.parse().map_err(|_| format!("the code of the reply {stored:?}"))?;
    let enhanced = rest
        .split_once(' ')
        .and_then(|(word, text)| Some((word.parse::<EnhancedStatus>().ok()?, text)));
    let (enhanced, text) = match enhanced {
        Some((enhanced, text)) => (Some(enhanced), text),
        None => (None, rest),
    };
    Ok(Reply { code, enhanced, text: text.to_owned() })
}

pub(super) fn ret(text: &str) -> Result<Ret, Unreadable> {
    [Ret::Full, Ret::Headers]
        .into_iter()
        .find(|ret| ret.as_str() == text)
        .ok_or_else(|| format!("RET {text:?}"))
}

pub(super) fn notify(text: &str) -> Result<Notify, Unreadable> {
    text.parse().map_err(|error| format!("NOTIFY {text:?}: {error}"))
}

pub(super) fn target_text(target: Target) -> &'static str {
    match target {
        Target::Address => "address",
        Target::Alias => "alias",
        Target::List => "list",
    }
}

pub(super) fn target(text: &str) -> Result<Target, Unreadable> {
    match text {
        "address" => Ok(Target::Address),
        "alias" => Ok(Target::Alias),
        "list" => Ok(Target::List),
        _ => Err(format!("the target {text:?}")),
    }
}

pub(super) fn state(text: &str) -> Result<RecipientState, Unreadable> {
    [
        RecipientState::Queued,
        RecipientState::Hold,
        RecipientState::Quarantine,
        RecipientState::Corrupt,
    ]
    .into_iter()
    .chain(End::ALL.map(RecipientState::Ended))
    .find(|state| state.as_str() == text)
    .ok_or_else(|| format!("the state {text:?}"))
}

/// A JSON list of pairs; none if there are no tags.
pub(super) fn tags_text(tags: &[(String, String)]) -> Option<String> {
    if tags.is_empty() {
        return None;
    }
    let pairs: serde_json::Value =
        tags.iter().map(|(name, value)| vec![name.as_str(), value]).collect();
    Some(pairs.to_string())
}

pub(super) fn tags(text: Option<&str>) -> Result<Vec<(String, String)>, Unreadable> {
    text.map_or(Ok(Vec::new()), |text| {
        serde_json::from_str(text).map_err(|error| format!("the tags {text:?}: {error}"))
    })
}
