//! The hooks after RCPT: what an address stands for, and where it goes.

use facteur_plugin::{
    Expanded, Expansion, Failure, MailAddress, NextHop, Refusal, Reply, Route, Scope, Target,
    recipient, status, transaction,
};

use crate::deed;
use crate::memory::remember;
use crate::settings::Settings;
use crate::stage::address;

/// An alias: targets, or one of the words `exists`, `no-opinion`, `unknown`, `remember`, `fail`,
/// `no-targets`, `many-targets`, `bad-address`, `crlf`, and the deeds. An address `grow…` stands
/// for another such, without end.
pub fn expand(settings: &Settings) -> Result<Expansion, Failure> {
    let MailAddress { local, domain } = recipient::address();
    if let Some(number) = local.strip_prefix("grow") {
        let next = number.parse::<u32>().unwrap_or(0) + 1;
        let next = MailAddress::new(format!("grow{next}"), domain);
        return Ok(to(vec![Target::Address(next)]));
    }
    let asked = format!("{local}@{domain}");
    let Some(words) = settings.alias.get(&asked) else {
        return Ok(Expansion::NoOpinion);
    };
    if let [word] = words.as_slice() {
        match word.as_str() {
            "no-opinion" => return Ok(Expansion::NoOpinion),
            "exists" => return Ok(Expansion::Exists),
            "unknown" => return Ok(Expansion::Unknown(Some("moved away".to_owned()))),
            "crlf" => return Ok(Expansion::Unknown(Some("no\r\n250 2.0.0 Ok".to_owned()))),
            "remember" => {
                return Ok(match remember(recipient::address().local) {
                    Some(before) => Expansion::Unknown(Some(format!("remembered {before}"))),
                    None => Expansion::NoOpinion,
                });
            }
            "fail" => return Err(Failure::transient("the guest can't decide")),
            "no-targets" => return Ok(to(Vec::new())),
            "many-targets" => {
                let many = (0..100_000).map(|number| {
                    Target::Address(MailAddress::new(format!("u{number}"), "x.test"))
                });
                return Ok(to(many.collect()));
            }
            "bad-address" => {
                let bad = MailAddress::new("a b\r\nRCPT TO:<c@d.test>", "not a domain");
                return Ok(to(vec![Target::Address(bad)]));
            }
            word if deed::commit(word) => return Ok(Expansion::NoOpinion),
            _ => {}
        }
    }
    let targets = words.iter().map(|word| target(word)).collect();
    Ok(Expansion::Targets(Expanded { targets, owner: owner(settings, &asked)? }))
}

/// These, without an owner.
fn to(targets: Vec<Target>) -> Expansion {
    Expansion::Targets(Expanded { targets, owner: None })
}

fn target(word: &str) -> Target {
    if let Some(command) = word.strip_prefix('|') {
        Target::Command(command.split_whitespace().map(str::to_owned).collect())
    } else if let Some(path) = word.strip_prefix(":include:") {
        Target::ListFile(path.to_owned())
    } else if word.starts_with('/') {
        Target::File(word.to_owned())
    } else {
        Target::Address(address(word))
    }
}

/// An owner: an address, `fail`, or a deed.
fn owner(settings: &Settings, of: &str) -> Result<Option<MailAddress>, Failure> {
    let Some(word) = settings.owner.get(of) else { return Ok(None) };
    match word.as_str() {
        "fail" => Err(Failure::transient("the guest can't decide")),
        word if deed::commit(word) => Ok(None),
        word => Ok(Some(address(word))),
    }
}

/// A route by domain: `transport:next-hop` (brackets: no MX; a port), `error:CODE STATUS text`,
/// `pass` (no opinion of this recipient), `fail`, `hold` (an action where none may be), `crlf`, or
/// a deed.
pub fn next_hop(settings: &Settings) -> Result<NextHop, Failure> {
    let Some(word) = settings.transport.get(&recipient::address().domain) else {
        return Ok(NextHop::NoOpinion(Scope::Domain));
    };
    let scope = Scope::Recipient;
    Ok(match word.as_str() {
        "pass" => NextHop::NoOpinion(scope),
        "fail" => return Err(Failure::permanent("the guest can't decide")),
        "crlf" => fail(Reply::new(550, "5.7.1", "no\r\nand more"), scope),
        "remember" => match remember(recipient::address().local) {
            Some(before) => fail(Reply::new(550, "5.7.1", format!("remembered {before}")), scope),
            None => NextHop::NoOpinion(Scope::Message),
        },
        "hold" => {
            transaction::hold("in the queue");
            NextHop::NoOpinion(Scope::Message)
        }
        word if deed::commit(word) => NextHop::NoOpinion(Scope::Message),
        word => {
            let (transport, rest) = word.split_once(':').unwrap_or((word, ""));
            if transport == "error" {
                let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let (status, text) = status::split(text);
                let status = status.map(str::to_owned);
                let code = code.parse().unwrap_or(0);
                return Ok(fail(Reply { code, status, text: text.to_owned() }, scope));
            }
            // `smtp:[next.test] NAME=VALUE`
            let (rest, option) = rest.split_once(' ').unwrap_or((rest, ""));
            let options = option.split_once('=').map(|(name, value)| (name.into(), value.into()));
            let options = options.into_iter().collect();
            let no_mx = rest.starts_with('[');
            let (host, port) = match rest.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()),
                None => (rest, None),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = (!host.is_empty()).then(|| host.to_owned());
            NextHop::Send(Route {
                transport: transport.to_owned(),
                host,
                port,
                no_mx,
                tls: None,
                source: None,
                options,
                scope,
            })
        }
    })
}

fn fail(reply: Reply, scope: Scope) -> NextHop {
    NextHop::Fail(Refusal { reply, scope })
}
