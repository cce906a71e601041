//! The site while it runs: a next hop that is down, and tables that are edited.

use std::time::Duration;

use facteur_tests::{Site, letter, machine, within};

const SENDER: &str = "somebody@example.org";
/// How soon an edit counts.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn row_17_mail_waits_for_its_next_hop() {
    machine(|machine| {
        let site = Site::new(machine);
        let facteur = site.sulfura();
        let id = site.stranger().deliver(SENDER, &["x@via.ecp.fr"], &letter("row 17"));
        let entry = facteur.wait_until_deferred(&id, 1);
        let why = entry.recipients[0].last_reply.clone().unwrap();
        assert!(
            why.starts_with('4')
                && why.contains("zen.via.ecp.fr")
                && why.contains("Connection refused"),
            "{why}"
        );
        let listing = facteur.queue(&["list"]);
        for wanted in [&id, SENDER, "x@via.ecp.fr", "Connection refused"] {
            assert!(listing.contains(wanted), "{wanted:?} is not in:\n{listing}");
        }
        let zen = site.hop("zen.via.ecp.fr");
        assert_eq!(facteur.queue(&["flush", &id]).trim(), "1 message");
        let mail = zen.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            (SENDER, &["x@via.ecp.fr".to_owned()][..])
        );
        mail.must_be(&letter("row 17"), "sulfura.via.ecp.fr");
        facteur.wait_until_empty();
        assert!(facteur.queue(&["list"]).contains("The queue is empty."));
        assert_eq!(zen.count(), 1);
    });
}

/// Waits until a RCPT is answered with this code, for as long as an edit may take.
fn becomes(site: &Site<'_>, recipient: &str, code: u16) {
    within(SOON, &format!("{code} to {recipient}"), || {
        // A session each time: one with too many errors is ended.
        let mut client = site.stranger();
        client.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
        let reply = client.send(&format!("RCPT TO:<{recipient}>"));
        (reply.code == code).then_some(())
    });
}

#[test]
fn row_18_edits_of_aliases_count_at_once() {
    machine(|machine| {
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 550);
        site.edit("aliases", |text| text + "nouveau: louen\n");
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 250);
        site.edit("aliases", |text| text.replace("nouveau: louen\n", ""));
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 550);
    });
}

#[test]
fn row_18_a_file_that_is_written_in_place_counts_at_once() {
    machine(|machine| {
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 550);
        let path = "/etc/facteur/aliases";
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text + "nouveau: louen\n").unwrap();
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 250);
    });
}

#[test]
fn row_18_edits_of_virtual_aliases_count_at_once() {
    machine(|machine| {
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        becomes(&site, "anything@elfic.net", 250);
        site.edit("virtual.monassoce", |text| text.replace("@elfic.net\tcontact@elfic.net\n", ""));
        becomes(&site, "anything@elfic.net", 550);
        becomes(&site, "prez@elfic.net", 250);
    });
}

#[test]
fn row_18_edits_of_transports_count_at_once() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let other = site.hop("mx2.example.org");
        let facteur = site.sulfura();
        becomes(&site, "x@gala-centrale.com", 550);
        site.edit("transport.monassoce", |text| {
            text.replace("error:5.1.2 this domain has moved", "smtp:[zen.via.ecp.fr]")
        });
        becomes(&site, "x@gala-centrale.com", 250);

        // A route that only shows in the queue, and that was used before.
        let mut client = site.stranger();
        client.deliver(SENDER, &["x@via.ecp.fr"], &letter("old"));
        assert_eq!(zen.one().header("Subject").unwrap(), "old");
        site.edit("transport.via", |text| text.replace("[zen.via.ecp.fr]", "[mx2.example.org]"));
        // The edit is in force when the other file, changed after it, is.
        site.edit("transport.monassoce", |text| {
            text.replace("smtp:[zen.via.ecp.fr]", "error:5.1.2 moved again")
        });
        becomes(&site, "x@gala-centrale.com", 550);
        client.deliver(SENDER, &["x@via.ecp.fr"], &letter("new"));
        assert_eq!(other.one().header("Subject").unwrap(), "new");
        facteur.wait_until_empty();
        assert_eq!(zen.count(), 1);
    });
}

#[test]
fn row_18_a_broken_edit_leaves_the_last_good_table() {
    machine(|machine| {
        let site = Site::new(machine);
        let facteur = site.sulfura();
        becomes(&site, "prenom.nom@sulfura.via.ecp.fr", 250);
        site.edit("aliases", |text| text + "this is no alias\nnouveau: louen\n");
        facteur.wait_for_log("/etc/facteur/aliases");
        becomes(&site, "prenom.nom@sulfura.via.ecp.fr", 250);
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 550);
        site.edit("aliases", |text| text.replace("this is no alias\n", ""));
        becomes(&site, "nouveau@sulfura.via.ecp.fr", 250);
    });
}
