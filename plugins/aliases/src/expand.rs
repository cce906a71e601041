//! One step: virtual tables first, then aliases.

use facteur_plugin::lookup::{Error, Found};
use facteur_plugin::{Address, Expansion, Failure, RecipientClass, Target};

use crate::rhs;
use crate::settings::Settings;
use crate::virtual_map::Keys;

/// The contract's limit for one expansion; more would count as a trap.
const TARGETS_LIMIT: usize = 10_000;

/// What the host lends.
pub trait Tables {
    /// [`facteur_plugin::lookup::find_in`].
    fn find(&self, tables: &[String], keys: &[String]) -> Result<Option<Found>, Error>;
    /// [`facteur_plugin::lookup::user_of`].
    fn user_of(&self, local: &str) -> Option<String>;
    /// Tells the operator.
    fn warn(&self, text: &str);
}

/// What this address stands for.
///
/// # Errors
/// A table can't be asked, or its entry can't be read: the recipient waits, since tables can be
/// mended.
pub fn expand(
    settings: &Settings,
    tables: &impl Tables,
    address: &Address,
    class: RecipientClass,
) -> Result<Expansion, Failure> {
    let Some(found) = virtual_targets(settings, tables, address, class)? else {
        return finish(address, aliases(settings, tables, address, class)?.unwrap_or_default());
    };
    // An address that stands for itself, alone or among others, goes on to the aliases.
    let Some(place) = found.iter().position(|target| is_itself(address, target)) else {
        return rewritten(address, found);
    };
    let Some(alias) = aliases(settings, tables, address, class)? else {
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
pub fn owner(
    settings: &Settings,
    tables: &impl Tables,
    of: &Address,
) -> Result<Option<Address>, Failure> {
    let names = names(tables, of);
    let Some(found) = find(tables, &settings.aliases, &names)? else { return Ok(None) };
    let Some(list) = names.get(found.key as usize) else { return Ok(None) };
    let owner = format!("owner-{list}");
    let found = find(tables, &settings.aliases, std::slice::from_ref(&owner))?;
    Ok(found.map(|_| Address::new(owner, "")))
}

fn virtual_targets(
    settings: &Settings,
    tables: &impl Tables,
    address: &Address,
    class: RecipientClass,
) -> Result<Option<Vec<Address>>, Failure> {
    if settings.virtual_.is_empty() {
        return Ok(None);
    }
    let user = tables.user_of(&address.local);
    let keys = Keys::of(address, user.as_deref(), class);
    let Some(found) = find(tables, &settings.virtual_, &keys.all)? else { return Ok(None) };
    let value = keys.value(address, found.key, &found.value, |text| tables.warn(text));
    value.map(Some).map_err(|why| Failure::transient(format!("virtual tables: {why}")))
}

/// Aliases are names of this machine only.
fn aliases(
    settings: &Settings,
    tables: &impl Tables,
    address: &Address,
    class: RecipientClass,
) -> Result<Option<Vec<Target>>, Failure> {
    if class != RecipientClass::Local || settings.aliases.is_empty() {
        return Ok(None);
    }
    let Some(found) = find(tables, &settings.aliases, &names(tables, address))? else {
        return Ok(None);
    };
    let mut targets = rhs::parse(&found.value, |why| {
        tables.warn(&format!("alias tables: ignored for {address}: {why}"));
    });
    if targets.is_empty() {
        return Err(Failure::transient(format!("alias tables: nothing for {address}")));
    }
    for target in &mut targets {
        if let Target::Address(target) = target {
            keep_alias(settings, tables, address, target)?;
        }
    }
    Ok(Some(targets))
}

/// A bare name that is another alias means that one, whatever the origin: it keeps the domain of
/// the address it came from, so that it is asked about next. (Postfix gives it the origin first,
/// and where that is no domain of this machine never sees the alias.)
fn keep_alias(
    settings: &Settings,
    tables: &impl Tables,
    of: &Address,
    target: &mut Address,
) -> Result<(), Failure> {
    let other = target.domain.is_empty() && !target.local.eq_ignore_ascii_case(&of.local);
    if other && find(tables, &settings.aliases, &names(tables, target))?.is_some() {
        target.domain.clone_from(&of.domain);
    }
    Ok(())
}

/// `user+foo`, `user`
fn names(tables: &impl Tables, address: &Address) -> Vec<String> {
    let mut names = vec![address.local.clone()];
    names.extend(tables.user_of(&address.local));
    names
}

fn find(tables: &impl Tables, of: &[String], keys: &[String]) -> Result<Option<Found>, Failure> {
    if of.is_empty() {
        return Ok(None);
    }
    tables.find(of, keys).map_err(|error| Failure {
        transient: error.is_transient(),
        reason: format!("tables {}: {}", of.join(", "), error.explain()),
    })
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
    use facteur_plugin::lookup::first;

    struct Fake(Vec<(&'static str, &'static str, &'static str)>);

    impl Tables for Fake {
        fn find(&self, tables: &[String], keys: &[String]) -> Result<Option<Found>, Error> {
            first(tables, keys, |table, keys| {
                if table == "down" {
                    return Err(Error::Unavailable("it is broken".into()));
                }
                let keys = keys.iter().map(|key| key.to_lowercase()).enumerate();
                let mut hits = keys.filter_map(|(number, key)| {
                    let (_, _, value) =
                        self.0.iter().find(|(its, known, _)| *its == table && *known == key)?;
                    Some(Found { key: u32::try_from(number).unwrap(), value: (*value).to_owned() })
                });
                Ok(hits.next())
            })
        }

        fn user_of(&self, local: &str) -> Option<String> {
            local.split_once('+').map(|(user, _)| user.to_owned())
        }

        fn warn(&self, _: &str) {}
    }

    fn site() -> (Settings, Fake) {
        let settings =
            Settings { aliases: vec!["aliases".into()], virtual_: vec!["virtual".into()] };
        let fake = Fake(vec![
            ("aliases", "root", "louen, admin"),
            ("aliases", "prenom.nom", "louen"),
            ("aliases", "president", "louen"),
            ("aliases", "bureau", "President, secretaire, bureau, chef@y.org"),
            ("aliases", "annonces", ":include:/etc/mail/annonces.list"),
            ("aliases", "owner-annonces", "postmaster"),
            ("aliases", "user", "elsewhere@y.org"),
            ("aliases", "broken", "\"open"),
            ("aliases", "half", "louen, @x.org"),
            ("virtual", "prez@elfic.net", "president@student.ecp.fr"),
            ("virtual", "tresorier@elfic.net", "louen"),
            ("virtual", "contact@elfic.net", "prez@elfic.net, tresorier@elfic.net"),
            ("virtual", "@elfic.net", "contact@elfic.net"),
            ("virtual", "self@x.org", "self@x.org"),
            ("virtual", "president@here.org", "president@here.org, archive@x.org"),
            ("virtual", "user@here.org", "other@x.org"),
            ("virtual", "root@here.org", "root"),
            ("virtual", "louen@here.org", "louen"),
        ]);
        (settings, fake)
    }

    fn ask(local: &str, domain: &str, class: RecipientClass) -> Expansion {
        let (settings, fake) = site();
        expand(&settings, &fake, &Address::new(local, domain), class).unwrap()
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
        let (settings, fake) = site();
        let owner = |local: &str, domain: &str| {
            owner(&settings, &fake, &Address::new(local, domain)).unwrap()
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
        let (settings, fake) = site();
        let failed =
            expand(&settings, &fake, &Address::new("broken", "here.org"), Local).unwrap_err();
        assert!(failed.transient && failed.reason.contains("broken@here.org"), "{failed:?}");
        let settings = Settings { virtual_: vec!["down".into()], ..settings };
        let failed =
            expand(&settings, &fake, &Address::new("root", "here.org"), Local).unwrap_err();
        assert!(failed.transient && failed.reason.contains("down"), "{failed:?}");
    }
}
