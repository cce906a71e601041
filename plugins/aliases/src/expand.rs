//! One step: virtual tables first, then aliases.

use facteur_plugin::lookup::{self, Found};
use facteur_plugin::{Address, Expansion, Failure, RecipientClass, Target, log};

use crate::rhs;
use crate::settings::Settings;
use crate::virtual_map::Keys;

/// The contract's limit for one expansion; more would count as a trap.
const TARGETS_LIMIT: usize = 10_000;

/// What this address stands for.
///
/// # Errors
/// A table can't be asked, or its entry can't be read: the recipient waits, since tables can be
/// mended.
pub fn expand(
    settings: &Settings,
    address: &Address,
    class: RecipientClass,
) -> Result<Expansion, Failure> {
    let Some(found) = virtual_targets(settings, address, class)? else {
        return finish(address, aliases(settings, address, class)?.unwrap_or_default());
    };
    // An address that stands for itself, alone or among others, goes on to the aliases.
    let Some(place) = found.iter().position(|target| is_itself(address, target)) else {
        return rewritten(address, found);
    };
    let Some(alias) = aliases(settings, address, class)? else {
        return rewritten(address, found);
    };
    let mut targets: Vec<Target> = found.into_iter().map(Target::Address).collect();
    targets.splice(place..=place, alias);
    finish(address, targets)
}

/// `postmaster@example.test postmaster` means the alias of that name, whether the domain is the
/// origin or not.
fn is_itself(address: &Address, target: &Address) -> bool {
    target == address
        || target.domain.is_empty() && target.local.eq_ignore_ascii_case(&address.local)
}

/// The owner of a list: the bare name `owner-list`, if the list is an alias and that is one too.
///
/// # Errors
/// A table can't be asked.
pub fn owner(settings: &Settings, of: &Address) -> Result<Option<Address>, Failure> {
    let names = names(of);
    let Some(found) = find(&settings.aliases, &names)? else { return Ok(None) };
    let Some(list) = names.get(found.key as usize) else { return Ok(None) };
    let owner = format!("owner-{list}");
    let found = find(&settings.aliases, std::slice::from_ref(&owner))?;
    Ok(found.map(|_| Address::new(owner, "")))
}

fn virtual_targets(
    settings: &Settings,
    address: &Address,
    class: RecipientClass,
) -> Result<Option<Vec<Address>>, Failure> {
    if settings.virtual_.is_empty() {
        return Ok(None);
    }
    let user = lookup::user(&address.local);
    let keys = Keys::of(address, user.as_deref(), class);
    let Some(found) = find(&settings.virtual_, &keys.all)? else { return Ok(None) };
    let value = keys.value(address, found.key, &found.value, |text| log::warn(text));
    value.map(Some).map_err(|why| Failure::transient(format!("virtual tables: {why}")))
}

/// Aliases are names of this machine only.
fn aliases(
    settings: &Settings,
    address: &Address,
    class: RecipientClass,
) -> Result<Option<Vec<Target>>, Failure> {
    if class != RecipientClass::Local || settings.aliases.is_empty() {
        return Ok(None);
    }
    let Some(found) = find(&settings.aliases, &names(address))? else {
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
    Ok(Some(targets))
}

/// A bare name that is another alias means that one, whatever the origin: it keeps the domain of
/// the address it came from, so that it is asked about next. (Postfix gives it the origin first,
/// and where that is no domain of this machine never sees the alias.)
fn keep_alias(settings: &Settings, of: &Address, target: &mut Address) -> Result<(), Failure> {
    let other = target.domain.is_empty() && !target.local.eq_ignore_ascii_case(&of.local);
    if other && find(&settings.aliases, &names(target))?.is_some() {
        target.domain.clone_from(&of.domain);
    }
    Ok(())
}

/// `user+foo`, `user`
fn names(address: &Address) -> Vec<String> {
    let mut names = vec![address.local.clone()];
    names.extend(lookup::user(&address.local));
    names
}

fn find(of: &[String], keys: &[String]) -> Result<Option<Found>, Failure> {
    if of.is_empty() {
        return Ok(None);
    }
    lookup::find_in(of, keys)
        .map_err(|error| Failure::from(error).during(format_args!("tables {}", of.join(", "))))
}

/// What an alias stands for.
fn finish(address: &Address, targets: Vec<Target>) -> Result<Expansion, Failure> {
    let itself = |target: &Target| matches!(target, Target::Address(other) if other == address);
    end(address, targets, itself, Expansion::Targets)
}

/// What a virtual table puts in its place.
fn rewritten(address: &Address, targets: Vec<Address>) -> Result<Expansion, Failure> {
    end(address, targets, |other| other == address, Expansion::Rewritten)
}

fn end<T>(
    address: &Address,
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
    use super::*;
    use facteur_plugin::testing::Host;

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
        host.run(|| expand(&settings, &Address::new(local, domain), class)).unwrap()
    }

    fn to(list: &[(&str, &str)]) -> Expansion {
        Expansion::Targets(
            list.iter()
                .map(|(local, domain)| Target::Address(Address::new(*local, *domain)))
                .collect(),
        )
    }

    fn instead(list: &[(&str, &str)]) -> Expansion {
        Expansion::Rewritten(
            list.iter().map(|(local, domain)| Address::new(*local, *domain)).collect(),
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
        let (settings, host) = site();
        let owner = |local: &str, domain: &str| {
            host.run(|| owner(&settings, &Address::new(local, domain))).unwrap()
        };
        assert_eq!(owner("annonces", "here.org"), Some(Address::new("owner-annonces", "")));
        assert_eq!(owner("Annonces", "here.org"), Some(Address::new("owner-Annonces", "")));
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
        let fails = |settings: &Settings, local| {
            host.run(|| expand(settings, &Address::new(local, "here.org"), Local)).unwrap_err()
        };
        let failed = fails(&settings, "broken");
        assert!(failed.transient && failed.reason.contains("broken@here.org"), "{failed:?}");
        let settings = Settings { virtual_: vec!["down".into()], ..settings };
        let failed = fails(&settings, "root");
        assert!(failed.transient && failed.reason.contains("down"), "{failed:?}");
    }
}
