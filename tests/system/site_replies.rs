//! What clients of the site hear: the rows of its table that end at RCPT, and the classic dialogue.
//! Where the table says "as Postfix 3.7 does", a Postfix with the site's settings is asked the
//! same.

use facteur_tests::{Client, STRANGER, SULFURA, Site, TRUSTED, crlf, machine};

/// Plays RCPTs to the server, one transaction each.
fn replies(site: &Site<'_>, rows: &[(&str, &str)]) {
    let mut client = site.stranger();
    for (recipient, wanted) in rows {
        client.expect("MAIL FROM:<somebody@example.org>", 250);
        assert_eq!(client.send(&format!("RCPT TO:<{recipient}>")), *wanted, "to {recipient}");
        client.expect("RSET", 250);
    }
}

#[test]
fn row_02_strangers_may_not_relay() {
    machine(|machine| {
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        replies(
            &site,
            &[("someone@example.org", "554 5.7.1 <someone@example.org>: Relay access denied")],
        );
        let mut client = site.stranger();
        client.expect("MAIL FROM:<>", 250);
        client.expect("RCPT TO:<someone@example.org>", 554);
        assert_eq!(client.send("DATA"), "554 5.5.1 Error: no valid recipients");
    });
}

#[test]
fn row_06_unknown_users_are_refused() {
    const UNKNOWN: &str = "Recipient address rejected: User unknown in local recipient table";
    machine(|machine| {
        let refused = |address: &str| format!("550 5.1.1 <{address}>: {UNKNOWN}");
        let addresses = [
            "nobody-here@sulfura.via.ecp.fr",
            "Prenom.Nom+x@sulfura.via.ecp.fr",
            "louen+x@localhost",
        ];
        let rows: Vec<_> = addresses.iter().map(|address| (*address, refused(address))).collect();
        let rows: Vec<_> = rows.iter().map(|(address, reply)| (*address, reply.as_str())).collect();
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        replies(&site, &rows);
    });
}

#[test]
fn row_09_routes_in_an_address_are_not_relayed() {
    machine(|machine| {
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        replies(
            &site,
            &[
                (
                    "x%elsewhere.org@via.ecp.fr",
                    "554 5.7.1 <x%elsewhere.org@via.ecp.fr>: Relay access denied",
                ),
                (
                    "x@elsewhere.org@via.ecp.fr",
                    "554 5.7.1 <x@elsewhere.org@via.ecp.fr>: Relay access denied",
                ),
                ("@via.ecp.fr:x@elsewhere.org", "554 5.7.1 <x@elsewhere.org>: Relay access denied"),
            ],
        );
    });
}

#[test]
fn row_13_an_error_route_is_refused_at_rcpt() {
    machine(|machine| {
        let reply =
            "550 5.1.2 <x@gala-centrale.com>: Recipient address rejected: this domain has moved";
        let site = Site::new(machine);
        let _facteur = site.sulfura();
        replies(&site, &[("x@gala-centrale.com", reply)]);
    });
}

#[test]
fn row_20_the_classic_session() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let _facteur = site.sulfura();
        let mut client = Client::connect(STRANGER, SULFURA);
        assert_eq!(client.greeting, "220 sulfura.via.ecp.fr ESMTP facteur");
        assert_eq!(client.send("HELO toto.plop.com"), "250 sulfura.via.ecp.fr");
        assert_eq!(client.send("MAIL FROM: <toto@plop.com>"), "250 2.1.0 Ok");
        assert_eq!(client.send("RCPT TO: <prenom.nom@sulfura.via.ecp.fr>"), "250 2.1.5 Ok");
        assert_eq!(client.send("DATA"), "354 End data with <CR><LF>.<CR><LF>");
        client.write(&crlf("Subject: essai\n\nbonjour\n.\n"));
        let reply = client.reply();
        let id = reply.queue_id().to_owned();
        assert_eq!(reply, format!("250 2.0.0 Ok: queued as {id}").as_str());
        assert!(
            id.len() >= 10 && id.chars().all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c)),
            "{id}"
        );
        assert_eq!(client.send("quit"), "221 2.0.0 Bye");
        client.must_close();
        let mail = zen.one();
        assert_eq!(mail.body(), b"bonjour\n");
        let received = mail.header("Received").unwrap();
        assert!(
            received.starts_with("from toto.plop.com (") && received.contains(" with SMTP"),
            "{received}"
        );
    });
}

/// What Postfix answers on this site, facteur answers.
#[test]
fn replies_are_those_of_postfix() {
    const POSTFIX: &str = "138.195.128.46:25";
    const RECIPIENTS: [&str; 24] = [
        "someone@example.org",
        "louen@sulfura.via.ecp.fr",
        "LOUEN@sulfura.via.ecp.fr",
        "prenom.nom@sulfura.via.ecp.fr",
        "bureau@localhost.via.ecp.fr",
        "nobody-here@sulfura.via.ecp.fr",
        "Prenom.Nom+x@sulfura.via.ecp.fr",
        "x@via.ecp.fr",
        "x@sub.via.ecp.fr",
        "x%elsewhere.org@via.ecp.fr",
        "x@elsewhere.org@via.ecp.fr",
        "@via.ecp.fr:x@elsewhere.org",
        "elsewhere.org!x@via.ecp.fr",
        "x%elsewhere.org@sulfura.via.ecp.fr",
        "prez@elfic.net",
        "contact@elfic.net",
        "anything@elfic.net",
        "x@gala-centrale.com",
        "x@sub.gala-centrale.com",
        "annonces@sulfura.via.ecp.fr",
        "postmaster",
        "louen",
        "\"jean du bde\"@bde-ecp.com",
        "x@[192.0.2.66]",
    ];
    machine(|machine| {
        let site = Site::new(machine);
        machine.addresses(&["138.195.128.46"]);
        let _postfix = site.postfix(POSTFIX);
        let _facteur = site.sulfura();
        let mut differ = Vec::new();
        // Postfix looks behind a % in the local part for clients that may relay; facteur relays no
        // such address for anybody.
        let only_for_strangers = "x%elsewhere.org@sulfura.via.ecp.fr";
        for from in [STRANGER, TRUSTED] {
            let mut ours = Client::connect(from, SULFURA);
            let mut theirs = Client::connect(from, POSTFIX);
            for client in [&mut ours, &mut theirs] {
                client.ehlo();
                client.expect("MAIL FROM:<somebody@example.org>", 250);
            }
            for recipient in RECIPIENTS {
                if from == TRUSTED && recipient == only_for_strangers {
                    continue;
                }
                let command = format!("RCPT TO:<{recipient}>");
                let (our, their) = (ours.send(&command), theirs.send(&command));
                if our != their {
                    differ
                        .push(format!("{from} {recipient}\n  facteur: {our}\n  Postfix: {their}"));
                }
            }
        }
        assert!(differ.is_empty(), "{}", differ.join("\n"));
    });
}
