//! The hooks after RCPT: what an address stands for, and where it goes.

use facteur_plugin::{
    Address, Answer, Expansion, Failure, Recipient, Reply, Route, Scope, Target, Transaction,
    status,
};

use crate::deed;
use crate::memory::remember;
use crate::settings::Settings;
use crate::stage::address;

/// An alias: targets, or one of the words `exists`, `no-opinion`, `unknown`, `remember`, `fail`,
/// `no-targets`, `many-targets`, `bad-address`, `crlf`, and the deeds. An address `grow…` stands
/// for another such, without end.
pub fn expand(settings: &Settings, to: &Recipient) -> Result<Expansion, Failure> {
    let Address { local, domain } = to.address();
    if let Some(number) = local.strip_prefix("grow") {
        let next = number.parse::<u32>().unwrap_or(0) + 1;
        return Ok(Expansion::Targets(vec![Target::Address(Address::new(
            format!("grow{next}"),
            domain,
        ))]));
    }
    let Some(words) = settings.alias.get(&format!("{local}@{domain}")) else {
        return Ok(Expansion::NoOpinion);
    };
    if let [word] = words.as_slice() {
        match word.as_str() {
            "no-opinion" => return Ok(Expansion::NoOpinion),
            "exists" => return Ok(Expansion::Exists),
            "unknown" => return Ok(Expansion::Unknown(Some("moved away".to_owned()))),
            "crlf" => return Ok(Expansion::Unknown(Some("no\r\n250 2.0.0 Ok".to_owned()))),
            "remember" => {
                return Ok(match remember(to.address().local) {
                    Some(before) => Expansion::Unknown(Some(format!("remembered {before}"))),
                    None => Expansion::NoOpinion,
                });
            }
            "fail" => return Err(Failure::transient("the guest can't decide")),
            "no-targets" => return Ok(Expansion::Targets(Vec::new())),
            "many-targets" => {
                let many = (0..100_000)
                    .map(|number| Target::Address(Address::new(format!("u{number}"), "x.test")));
                return Ok(Expansion::Targets(many.collect()));
            }
            "bad-address" => {
                let bad = Address::new("a b\r\nRCPT TO:<c@d.test>", "not a domain");
                return Ok(Expansion::Targets(vec![Target::Address(bad)]));
            }
            word if deed::commit(word) => return Ok(Expansion::NoOpinion),
            _ => {}
        }
    }
    Ok(Expansion::Targets(words.iter().map(|word| target(word)).collect()))
}

fn target(word: &str) -> Target {
    if let Some(command) = word.strip_prefix('|') {
        Target::Command(command.split_whitespace().map(str::to_owned).collect())
    } else if let Some(path) = word.strip_prefix(":include:") {
        Target::Include(path.to_owned())
    } else if word.starts_with('/') {
        Target::File(word.to_owned())
    } else {
        Target::Address(address(word))
    }
}

/// An owner: an address, `fail`, or a deed.
pub fn owner(settings: &Settings, of: &Address) -> Result<Option<Address>, Failure> {
    let Some(word) = settings.owner.get(&of.to_string()) else { return Ok(None) };
    match word.as_str() {
        "fail" => Err(Failure::transient("the guest can't decide")),
        word if deed::commit(word) => Ok(None),
        word => Ok(Some(address(word))),
    }
}

/// A route by domain: `transport:next-hop` (brackets: no MX; a port), `error:CODE STATUS text`,
/// `pass` (no opinion of this recipient), `fail`, `hold` (an action where none may be), `crlf`, or
/// a deed.
pub fn next_hop(settings: &Settings, t: &Transaction, to: &Recipient) -> Result<Answer, Failure> {
    let Some(word) = settings.transport.get(&to.address().domain) else {
        return Ok(Answer::NoOpinion(Scope::Domain));
    };
    let scope = Scope::Recipient;
    Ok(match word.as_str() {
        "pass" => Answer::NoOpinion(scope),
        "fail" => return Err(Failure::permanent("the guest can't decide")),
        "crlf" => Answer::Error((Reply::new(550, "5.7.1", "no\r\nand more"), scope)),
        "remember" => match remember(to.address().local) {
            Some(before) => {
                Answer::Error((Reply::new(550, "5.7.1", format!("remembered {before}")), scope))
            }
            None => Answer::NoOpinion(Scope::Message),
        },
        "hold" => {
            t.hold("in the queue");
            Answer::NoOpinion(Scope::Message)
        }
        word if deed::commit(word) => Answer::NoOpinion(Scope::Message),
        word => {
            let (transport, rest) = word.split_once(':').unwrap_or((word, ""));
            if transport == "error" {
                let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let (status, text) = status::split(text);
                let status = status.map(str::to_owned);
                return Ok(Answer::Error((
                    Reply { code: code.parse().unwrap_or(0), status, text: text.to_owned() },
                    scope,
                )));
            }
            let no_mx = rest.starts_with('[');
            let (host, port) = match rest.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()),
                None => (rest, None),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = (!host.is_empty()).then(|| host.to_owned());
            Answer::Route(Route {
                transport: transport.to_owned(),
                host,
                port,
                no_mx,
                tls: None,
                source: None,
                scope,
            })
        }
    })
}
