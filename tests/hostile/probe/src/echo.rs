//! Texts with what the guest sees in them: `from {sender} at {client}`.

use facteur_plugin::dns;

use crate::stage::Asked;

/// The text with its `{…}` filled in. What isn't known at this stage is `-`, what no one knows
/// stays.
pub fn fill(text: &str, asked: &Asked<'_>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next(rest) {
        filled.push_str(before);
        match fact(name, asked) {
            Some(fact) => filled.push_str(&fact),
            None => filled.extend(["{", name, "}"]),
        }
        rest = after;
    }
    filled + rest
}

fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

fn fact(name: &str, asked: &Asked<'_>) -> Option<String> {
    let (name, argument) = name.split_once(' ').unwrap_or((name, ""));
    let Asked { s, t, to, m, .. } = asked;
    let absent = || Some("-".to_owned());
    match name {
        "session" => Some(s.id()),
        "listener" => Some(s.listener()),
        "client" => Some(s.client_address()),
        "port" => Some(s.client_port().to_string()),
        "name" => Some(format!("{:?}", s.client_name())),
        "reverse" => Some(format!("{:?}", s.reverse_name())),
        "trusted" => Some(s.trusted().to_string()),
        "helo" => Some(s.helo().unwrap_or_default()),
        "esmtp" => Some(s.esmtp().to_string()),
        "login" => Some(format!("{:?}", s.login())),
        "session-tag" => Some(format!("{:?}", s.tag("probe"))),
        "sender" => t.map_or_else(absent, |t| {
            Some(format!("<{}>", t.sender().map(|it| it.to_string()).unwrap_or_default()))
        }),
        "recipients" => t.map_or_else(absent, |t| {
            let all: Vec<String> =
                t.recipients().iter().map(|to| to.address().to_string()).collect();
            Some(all.join(" "))
        }),
        "declared-size" => t.map_or_else(absent, |t| Some(format!("{:?}", t.declared_size()))),
        "utf8" => t.map_or_else(absent, |t| Some(t.utf8().to_string())),
        "tag" => t.map_or_else(absent, |t| Some(format!("{:?}", t.tag("probe")))),
        "recipient" => to.map_or_else(absent, |to| Some(to.address().to_string())),
        "original" => to.map_or_else(absent, |to| Some(to.original().to_string())),
        "class" => to.map_or_else(absent, |to| Some(format!("{:?}", to.address_class()))),
        "routed" => to.map_or_else(absent, |to| Some(to.routed().to_string())),
        "listed" => to.map_or_else(absent, |to| Some(format!("{:?}", to.listed()))),
        "size" => m.map_or_else(absent, |m| Some(m.size().to_string())),
        "body-offset" => m.map_or_else(absent, |m| Some(m.body_offset().to_string())),
        "body" => m.map_or_else(absent, |m| {
            Some(format!("{:?}", String::from_utf8_lossy(&m.read(m.body_offset(), 200))))
        }),
        "headers" => m.map_or_else(absent, |m| Some(m.headers(0).len().to_string())),
        "addresses" => Some(format!("{:?}", dns::addresses(argument))),
        "mx" => Some(format!("{:?}", dns::mail_exchangers(argument))),
        "texts" => Some(format!("{:?}", dns::texts(argument))),
        "name-servers" => Some(format!("{:?}", dns::name_servers(argument))),
        "names-of" => Some(format!("{:?}", dns::names_of(argument))),
        _ => None,
    }
}
