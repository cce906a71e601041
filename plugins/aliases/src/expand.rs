//! One step: virtual tables first, then aliases.

use facteur_plugin::lookup::{self, Manner};
use facteur_plugin::{During, Expanded, Expansion, Failure, MailAddress, Target, log, recipient};

use crate::rhs;
use crate::settings::Settings;
use crate::virtual_map;

/// The contract's limit for one expansion; more would count as a trap.
const TARGETS_LIMIT: usize = 10_000;

/// What the recipient stands for.
///
/// # Errors
/// A table can't be asked, or its entry can't be read: the recipient waits, since tables can be
/// mended.
pub fn expand(settings: &Settings) -> Result<Expansion, Failure> {
    let address = &recipient::address();
    let Some(found) = virtual_targets(settings, address)? else {
        let Some(alias) = alias(settings, address)? else { return Ok(Expansion::NoOpinion) };
        return finish(address, alias);
    };
    // An address that stands for itself, alone or among others, goes on to the aliases.
    let Some(place) = found.iter().position(|target| is_itself(address, target)) else {
        return rewritten(address, found);
    };
    let Some(mut alias) = alias(settings, address)? else {
        return rewritten(address, found);
    };
    let mut targets: Vec<Target> = found.into_iter().map(Target::Address).collect();
    targets.splice(place..=place, alias.targets);
    alias.targets = targets;
    finish(address, alias)
}

/// `postmaster@example.test postmaster` means the alias of that name, whether the domain is the
/// origin or not.
fn is_itself(address: &MailAddress, target: &MailAddress) -> bool {
    target == address
        || target.domain.is_empty() && target.local.eq_ignore_ascii_case(&address.local)
}

fn virtual_targets(
    settings: &Settings,
    address: &MailAddress,
) -> Result<Option<Vec<MailAddress>>, Failure> {
    let tables = &settings.virtual_;
    let Some(found) = lookup::find_recipient(tables, Manner::Address).during(names(tables))? else {
        return Ok(None);
    };
    let user = if found.without_extension { lookup::user(&address.local) } else { None };
    let extension = user.map_or("", |user| &address.local[user.len()..]);
    let value = virtual_map::read(address, extension, &found.value, |text| log::warn(text));
    value.map(Some).map_err(|why| Failure::transient(format!("virtual tables: {why}")))
}

/// What the alias tables have for the recipient. Aliases are names of this machine only.
fn alias(settings: &Settings, address: &MailAddress) -> Result<Option<Expanded>, Failure> {
    let tables = &settings.aliases;
    let Some(found) = lookup::find_recipient(tables, Manner::Alias).during(names(tables))? else {
        return Ok(None);
    };
    let mut targets = rhs::parse(&found.value, |why| {
        log::warn(format!("alias tables: ignored for {address}: {why}"));
    });
    if targets.is_empty() {
        return Err(Failure::transient(format!("alias tables: nothing for {address}")));
    }
    for target in &mut targets {
        if let Target::Address(target) = target {
            keep_alias(settings, address, target)?;
        }
    }
    let user = if found.without_extension { lookup::user(&address.local) } else { None };
    let owner = owner(settings, &user.unwrap_or_else(|| address.local.clone()))?;
    Ok(Some(Expanded { targets, owner }))
}

/// The owner of a list: the bare name `owner-list`, if that is an alias too.
fn owner(settings: &Settings, list: &str) -> Result<Option<MailAddress>, Failure> {
    let owner = format!("owner-{list}");
    let there = is_alias(settings, std::slice::from_ref(&owner))?;
    Ok(there.then(|| MailAddress::new(owner, "")))
}

/// A bare name that is another alias means that one, whatever the origin: it keeps the domain of
/// the address it came from, so that it is asked about next. (Postfix gives it the origin first,
/// and where that is no domain of this machine never sees the alias.)
fn keep_alias(
    settings: &Settings,
    of: &MailAddress,
    target: &mut MailAddress,
) -> Result<(), Failure> {
    if !target.domain.is_empty() || target.local.eq_ignore_ascii_case(&of.local) {
        return Ok(());
    }
    let mut keys = vec![target.local.clone()];
    keys.extend(lookup::user(&target.local));
    if is_alias(settings, &keys)? {
        target.domain.clone_from(&of.domain);
    }
    Ok(())
}

fn is_alias(settings: &Settings, keys: &[String]) -> Result<bool, Failure> {
    let tables = &settings.aliases;
    Ok(lookup::find_in(tables, keys).during(names(tables))?.is_some())
}

/// For a failure.
fn names(tables: &[String]) -> impl std::fmt::Display {
    std::fmt::from_fn(|f| write!(f, "tables {}", tables.join(", ")))
}

/// What an alias stands for.
fn finish(address: &MailAddress, alias: Expanded) -> Result<Expansion, Failure> {
    let itself = |target: &Target| matches!(target, Target::Address(other) if other == address);
    end(address, alias.targets, itself, |targets| {
        Expansion::Targets(Expanded { targets, owner: alias.owner })
    })
}

/// What a virtual table puts in its place.
fn rewritten(address: &MailAddress, targets: Vec<MailAddress>) -> Result<Expansion, Failure> {
    end(address, targets, |other| other == address, Expansion::Rewritten)
}

fn end<T>(
    address: &MailAddress,
    targets: Vec<T>,
    is_itself: impl Fn(&T) -> bool,
    make: impl FnOnce(Vec<T>) -> Expansion,
) -> Result<Expansion, Failure> {
    // Nothing but itself: as if no table had it. A mailbox may vouch for it.
    if targets.iter().all(is_itself) {
        return Ok(Expansion::NoOpinion);
    }
    if targets.len() > TARGETS_LIMIT {
        return Err(Failure::transient(format!(
            "{address} stands for {} targets; {TARGETS_LIMIT} at most: put them into a list",
            targets.len()
        )));
    }
    Ok(make(targets))
}

#[cfg(test)]
mod tests {
    use facteur_plugin::RecipientClass;
    use facteur_plugin::testing::Host;

    use super::*;

    fn site() -> (Settings, Host) {
        let settings =
            Settings { aliases: vec!["aliases".into()], virtual_: vec!["virtual".into()] };
        let host = Host::new()
            .delimiter('+')
            .table(
                "aliases",
                &[
                    ("root", "louen, admin"),
                    ("prenom.nom", "louen"),
                    ("president", "louen"),
                    ("bureau", "President, secretaire, bureau, chef@y.org"),
                    ("annonces", ":include:/etc/mail/annonces.list"),
                    ("owner-annonces", "postmaster"),
                    ("user", "elsewhere@y.org"),
                    ("broken", "\"open"),
                    ("half", "louen, @x.org"),
                ],
            )
            .table(
                "virtual",
                &[
                    ("prez@elfic.net", "president@student.ecp.fr"),
                    ("tresorier@elfic.net", "louen"),
                    ("contact@elfic.net", "prez@elfic.net, tresorier@elfic.net"),
                    ("@elfic.net", "contact@elfic.net"),
                    ("self@x.org", "self@x.org"),
                    ("president@here.org", "president@here.org, archive@x.org"),
                    ("user@here.org", "other@x.org"),
                    ("root@here.org", "root"),
                    ("louen@here.org", "louen"),
                ],
            )
            .broken_table("down");
        (settings, host)
    }

    fn ask(local: &str, domain: &str, class: RecipientClass) -> Expansion {
        let (settings, host) = site();
        let host = host.recipient(&format!("{local}@{domain}"), class);
        host.run(|| expand(&settings)).unwrap()
    }

    fn to(list: &[(&str, &str)]) -> Expansion {
        let address =
            |(local, domain): &(&str, &str)| Target::Address(MailAddress::new(*local, *domain));
        Expansion::Targets(Expanded { targets: list.iter().map(address).collect(), owner: None })
    }

    fn instead(list: &[(&str, &str)]) -> Expansion {
        Expansion::Rewritten(
            list.iter().map(|(local, domain)| MailAddress::new(*local, *domain)).collect(),
        )
    }

    use RecipientClass::{Local, Other, VirtualAlias};

    #[test]
    fn the_site_expands() {
        assert_eq!(ask("Prenom.Nom", "sulfura.via.ecp.fr", Local), to(&[("louen", "")]));
        assert_eq!(
            ask("prez", "elfic.net", VirtualAlias),
            instead(&[("president", "student.ecp.fr")])
        );
        assert_eq!(
            ask("anything", "elfic.net", VirtualAlias),
            instead(&[("contact", "elfic.net")])
        );
        assert_eq!(ask("louen", "via.ecp.fr", Other), Expansion::NoOpinion);
    }

    #[test]
    fn aliases_are_for_this_machine_only() {
        assert_eq!(ask("president", "student.ecp.fr", Other), Expansion::NoOpinion);
        assert_eq!(ask("root", "elsewhere.org", Other), Expansion::NoOpinion);
    }

    #[test]
    fn an_alias_that_names_another_alias_means_it() {
        let expected =
            [("President", "here.org"), ("secretaire", ""), ("bureau", ""), ("chef", "y.org")];
        assert_eq!(ask("bureau", "here.org", Local), to(&expected));
    }

    #[test]
    fn a_virtual_table_that_says_itself_leaves_it_to_the_aliases() {
        assert_eq!(ask("self", "x.org", Other), Expansion::NoOpinion);
        assert_eq!(ask("president", "here.org", Local), to(&[("louen", ""), ("archive", "x.org")]));
        assert_eq!(ask("user", "here.org", Local), instead(&[("other", "x.org")]));
        // The bare name is the alias, also where the domain is the origin.
        assert_eq!(ask("root", "here.org", Local), to(&[("louen", ""), ("admin", "")]));
        // Without an alias it is what the origin makes of it.
        assert_eq!(ask("louen", "here.org", Local), instead(&[("louen", "")]));
    }

    #[test]
    fn what_is_wrong_fails_alone() {
        assert_eq!(ask("half", "here.org", Local), to(&[("louen", "")]));
    }

    #[test]
    fn a_list_has_its_owner() {
        let owner = |local: &str, domain: &str| match ask(local, domain, Local) {
            Expansion::Targets(alias) => alias.owner,
            other => panic!("{other:?}"),
        };
        assert_eq!(owner("annonces", "here.org"), Some(MailAddress::new("owner-annonces", "")));
        assert_eq!(owner("Annonces", "here.org"), Some(MailAddress::new("owner-Annonces", "")));
        assert_eq!(owner("annonces+x", "here.org"), Some(MailAddress::new("owner-annonces", "")));
        assert_eq!(owner("owner-annonces", "here.org"), None);
        assert_eq!(owner("president", "here.org"), None);
    }

    #[test]
    fn an_extension_finds_its_user() {
        // Aliases don't hand an extension on, virtual tables do.
        assert_eq!(ask("prenom.nom+x", "here.org", Local), to(&[("louen", "")]));
        assert_eq!(
            ask("prez+x", "elfic.net", VirtualAlias),
            instead(&[("president+x", "student.ecp.fr")])
        );
        assert_eq!(ask("any+x", "elfic.net", VirtualAlias), instead(&[("contact", "elfic.net")]));
    }

    #[test]
    fn what_cant_be_asked_or_read_waits() {
        let (settings, host) = site();
        let fails = |settings: &Settings, local: &str| {
            let host = host.clone().recipient(&format!("{local}@here.org"), Local);
            host.run(|| expand(settings)).unwrap_err()
        };
        let failed = fails(&settings, "broken");
        assert!(failed.transient && failed.reason.contains("broken@here.org"), "{failed:?}");
        let settings = Settings { virtual_: vec!["down".into()], ..settings };
        let failed = fails(&settings, "root");
        assert!(failed.transient && failed.reason.contains("down"), "{failed:?}");
    }
}
