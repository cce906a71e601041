//! Where mail comes out on the site of a student network: the rows of its table, by their numbers.

use std::os::unix::fs::MetadataExt;

use facteur_tests::{
    Clamd, Client, Facteur, Machine, Mail, SATELLITE, STRANGER, SULFURA, Site, SmtpSink, TRUSTED,
    letter, machine, maildir, until,
};

const HOST: &str = "sulfura.via.ecp.fr";
const SENDER: &str = "somebody@example.org";

/// All recipients of some mails, sorted.
fn recipients(mails: &[Mail]) -> Vec<&str> {
    let mut all: Vec<&str> =
        mails.iter().flat_map(|mail| mail.recipients.iter().map(String::as_str)).collect();
    all.sort_unstable();
    all
}

#[test]
fn row_01_own_clients_relay_by_mx() {
    machine(|machine| {
        let site = Site::new(machine);
        // The better exchanger, mx1, is down.
        let outside = site.hop("mx2.example.org");
        let facteur = site.sulfura();
        let id =
            site.trusted().deliver("louen@via.ecp.fr", &["someone@example.org"], &letter("row 1"));
        let mail = outside.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            ("louen@via.ecp.fr", &["someone@example.org".to_owned()][..])
        );
        mail.must_be(&letter("row 1"), HOST);
        let received = mail.header("Received").unwrap();
        assert!(received.starts_with("from client.example.net ("), "{received}");
        assert!(received.contains(&format!("[{TRUSTED}])")), "{received}");
        assert!(
            received.contains(" with ESMTP") && received.contains(" for <someone@example.org>;"),
            "{received}"
        );
        facteur.wait_until_empty();
        facteur.wait_for_log(&id);
    });
}

#[test]
fn row_03_a_local_user_has_a_mailbox() {
    machine(|machine| {
        let site = Site::new(machine);
        let facteur = site.sulfura();
        site.stranger().deliver(SENDER, &["louen@sulfura.via.ecp.fr"], &letter("row 3"));
        let mail = maildir("/var/mail/louen", 1).remove(0);
        mail.must_be(&letter("row 3"), HOST);
        assert_eq!(
            (mail.sender.as_str(), mail.recipients[0].as_str()),
            (SENDER, "louen@sulfura.via.ecp.fr")
        );
        let louen = std::fs::read_to_string("/etc/passwd").unwrap();
        let uid = louen
            .lines()
            .find_map(|line| line.strip_prefix("louen:x:")?.split(':').next())
            .unwrap();
        let file = std::fs::read_dir("/var/mail/louen/new").unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().uid().to_string(), uid, "the mail must be louen's");
        assert_eq!(file.metadata().unwrap().mode() & 0o077, 0, "nobody else may read it");
        facteur.wait_until_empty();
    });
}

#[test]
fn row_04_an_alias_in_any_case_goes_to_the_origin_s_server() {
    machine(|machine| {
        let site = Site::new(machine);
        let (zen, mailboxes) = site.facteur_hop("zen.via.ecp.fr", "via.ecp.fr");
        let facteur = site.sulfura();
        let mut client = site.stranger();
        let given = [
            "Prenom.Nom@sulfura.via.ecp.fr",
            "prenom.nom@sulfura.via.ecp.fr",
            "PRENOM.NOM@SULFURA.VIA.ECP.FR",
        ];
        for address in given {
            client.deliver(SENDER, &[address], &letter(address));
        }
        let mut subjects = Vec::new();
        for mail in maildir(&mailboxes.join("louen").display().to_string(), given.len()) {
            let subject = mail.header("Subject").unwrap();
            mail.must_be(&letter(&subject), "zen.via.ecp.fr");
            assert_eq!(
                (mail.sender.as_str(), mail.recipients[0].as_str()),
                (SENDER, "louen@via.ecp.fr")
            );
            subjects.push(subject);
        }
        subjects.sort();
        let mut wanted = given.to_vec();
        wanted.sort_unstable();
        assert_eq!(subjects, wanted);
        facteur.wait_until_empty();
        zen.wait_until_empty();
        assert!(
            !std::path::Path::new("/var/mail/louen").exists(),
            "louen of this machine got mail for louen@via.ecp.fr"
        );
    });
}

/// `president` and `tresorier` are aliases themselves; nobody granted the pipe.
#[test]
fn row_05_a_group_gets_copies_and_its_pipe_bounces_singly() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let student = site.hop("mx1.student.ecp.fr");
        let senders = site.hop("mx2.example.org");
        let facteur = site.sulfura();
        site.stranger().deliver(SENDER, &["bureau@localhost.via.ecp.fr"], &letter("row 5"));
        for (hop, recipient) in
            [(&zen, "louen@via.ecp.fr"), (&student, "secretaire@student.ecp.fr")]
        {
            let mail = hop.one();
            assert_eq!(
                (mail.sender.as_str(), &*mail.recipients),
                (SENDER, &[recipient.to_owned()][..])
            );
            mail.must_be(&letter("row 5"), HOST);
        }
        let bounce = senders.one();
        assert_eq!((bounce.sender.as_str(), &*bounce.recipients), ("", &[SENDER.to_owned()][..]));
        let kind = bounce.header("Content-Type").unwrap();
        assert!(
            kind.contains("multipart/report") && kind.contains("report-type=delivery-status"),
            "{kind}"
        );
        let text = bounce.text();
        for wanted in [
            "Action: failed",
            "Status: 5.7.0",
            "delivery to a command is not granted",
            "Subject: row 5",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
        }
        assert_eq!(text.matches("Action: ").count(), 1, "one recipient failed:\n{text}");
        facteur.wait_until_empty();
        assert_eq!((zen.count(), student.count(), senders.count()), (1, 1, 1));
    });
}

#[test]
fn row_07_a_transport_in_brackets_needs_no_mx() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let facteur = site.sulfura();
        site.stranger().deliver(SENDER, &["x@via.ecp.fr"], &letter("row 7"));
        let mail = zen.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            (SENDER, &["x@via.ecp.fr".to_owned()][..])
        );
        mail.must_be(&letter("row 7"), HOST);
        facteur.wait_until_empty();
        let asked = site.dns.asked();
        for name in ["zen.via.ecp.fr MX", "via.ecp.fr MX"] {
            assert!(!asked.contains(&name.to_owned()), "{name} was asked: {asked:?}");
        }
    });
}

#[test]
fn row_08_a_subdomain_of_a_relay_domain_has_its_own_mx() {
    machine(|machine| {
        let site = Site::new(machine);
        let exchanger = site.hop("mx.sub.via.ecp.fr");
        let facteur = site.sulfura();
        site.stranger().deliver(SENDER, &["x@sub.via.ecp.fr"], &letter("row 8"));
        let mail = exchanger.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            (SENDER, &["x@sub.via.ecp.fr".to_owned()][..])
        );
        mail.must_be(&letter("row 8"), HOST);
        facteur.wait_until_empty();
    });
}

#[test]
fn row_10_a_virtual_alias_goes_by_the_mx_of_its_next_hop() {
    machine(|machine| {
        let site = Site::new(machine);
        let student = site.hop("mx1.student.ecp.fr");
        let facteur = site.sulfura();
        site.stranger().deliver(SENDER, &["prez@elfic.net"], &letter("row 10"));
        let mail = student.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            (SENDER, &["president@student.ecp.fr".to_owned()][..])
        );
        mail.must_be(&letter("row 10"), HOST);
        facteur.wait_until_empty();
        let asked = site.dns.asked();
        assert!(asked.contains(&"student-mx.ecp.fr MX".to_owned()), "{asked:?}");
    });
}

/// Rows 11 and 12: whatever the address, these two get it.
fn contact(machine: &Machine, address: &str) {
    let site = Site::new(machine);
    let zen = site.hop("zen.via.ecp.fr");
    let student = site.hop("mx1.student.ecp.fr");
    let facteur = site.sulfura();
    site.stranger().deliver(SENDER, &[address], &letter("contact"));
    for (hop, recipient) in [(&zen, "louen@via.ecp.fr"), (&student, "president@student.ecp.fr")] {
        let mail = hop.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            (SENDER, &[recipient.to_owned()][..])
        );
        mail.must_be(&letter("contact"), HOST);
    }
    facteur.wait_until_empty();
    assert_eq!((zen.count(), student.count()), (1, 1));
}

#[test]
fn row_11_virtual_aliases_are_expanded_again() {
    machine(|machine| contact(machine, "contact@elfic.net"));
}

#[test]
fn row_12_the_catch_all_catches_the_rest() {
    machine(|machine| contact(machine, "anything@elfic.net"));
}

#[test]
fn row_14_a_list_has_its_owner_as_the_sender() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let bde = site.hop("mail.bde-ecp.com");
        let facteur = site.sulfura();
        site.stranger().deliver(SENDER, &["annonces@sulfura.via.ecp.fr"], &letter("row 14"));
        facteur.wait_until_empty();
        let mails = [zen.mail(zen.count()), bde.mail(bde.count())];
        assert_eq!(recipients(&mails[0]), ["louen@via.ecp.fr"]);
        assert_eq!(recipients(&mails[1]), ["\"jean du bde\"@bde-ecp.com", "president@bde-ecp.com"]);
        for mail in mails.concat() {
            assert_eq!(mail.sender, "owner-annonces@via.ecp.fr", "{:?}", mail.recipients);
            mail.must_be(&letter("row 14"), HOST);
        }
    });
}

/// Whoever sends it, and whatever else is in it.
#[test]
fn row_15_a_virus_is_named_and_never_queued() {
    machine(|machine| {
        let site = Site::new(machine);
        let _scanner = site.scanner();
        let zen = site.hop("zen.via.ecp.fr");
        let facteur = site.scanning_sulfura();
        let infected = [letter("row 15"), Clamd::virus().into_bytes(), b"\r\n".to_vec()].concat();
        for mut client in [site.stranger(), site.trusted()] {
            client.envelope(SENDER, &["louen@sulfura.via.ecp.fr", "x@via.ecp.fr"]);
            assert_eq!(
                client.content(&infected),
                "554 5.7.1 virus Eicar-Test-Signature.UNOFFICIAL found"
            );
            assert_eq!(facteur.queued().len(), 0);
            // The session goes on, and what is clean passes as it is.
            client.deliver(SENDER, &["x@via.ecp.fr"], &letter("row 15"));
            facteur.wait_until_empty();
        }
        for mail in zen.mail(2) {
            mail.must_be(&letter("row 15"), HOST);
        }
        facteur.wait_until_empty();
        assert!(!std::path::Path::new("/var/mail/louen").exists(), "louen got mail");
    });
}

#[test]
fn row_16_without_the_scanner_nothing_is_taken() {
    machine(|machine| {
        let site = Site::new(machine);
        let mut scanner = site.scanner();
        let facteur = site.scanning_sulfura();
        let mut client = site.stranger();
        scanner.kill();
        client.envelope(SENDER, &["louen@sulfura.via.ecp.fr"]);
        assert_eq!(client.content(&letter("row 16")), "451 4.3.5 Policy error, try again later");
        assert_eq!(facteur.queued().len(), 0);
        let _scanner = site.scanner();
        client.deliver(SENDER, &["louen@sulfura.via.ecp.fr"], &letter("row 16"));
        maildir("/var/mail/louen", 1)[0].must_be(&letter("row 16"), HOST);
        facteur.wait_until_empty();
    });
}

/// The next hop is the Postfix that the site has run so far.
#[test]
fn row_19_a_satellite_sends_by_its_relay_host() {
    machine(|machine| {
        let site = Site::new(machine);
        let zen = site.hop("zen.via.ecp.fr");
        let sulfura = site.postfix(SULFURA);
        let satellite = Facteur::start(machine, SATELLITE.as_ref());
        let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
        assert!(client.greeting.text.starts_with("zephyr.via.ecp.fr ESMTP"), "{}", client.greeting);
        client.ehlo();
        // A bare name, as programs on the machine send it.
        client.deliver("root", &["root@zephyr.via.ecp.fr"], &letter("row 19"));
        let mail = zen.one();
        assert_eq!(
            (mail.sender.as_str(), &*mail.recipients),
            ("root@via.ecp.fr", &["admin@via.ecp.fr".to_owned()][..])
        );
        mail.must_be(&letter("row 19"), "sulfura.via.ecp.fr");
        let hops: Vec<_> =
            mail.headers().into_iter().filter(|(name, _)| name == "Received").collect();
        assert!(
            hops.len() == 2 && hops[1].1.contains("by zephyr.via.ecp.fr (facteur)"),
            "{hops:?}"
        );
        satellite.wait_until_empty();
        assert!(sulfura.log().contains("status=sent"), "{}", sulfura.log());
    });
}

/// Where Postfix brings mail on this site, facteur brings it. Left out are the aliases that name
/// other aliases (`bureau`, `postmaster`, `owner-annonces`): Postfix 3.7 gives their bare names the
/// origin first, which isn't local here, so that `tresorier` goes to zen and never to its own
/// alias; facteur asks the alias.
#[test]
fn mail_goes_where_postfix_brings_it() {
    const POSTFIX: &str = "138.195.128.46:25";
    const GIVEN: [&str; 9] = [
        "Prenom.Nom@sulfura.via.ecp.fr",
        "postmaster",
        "president@sulfura",
        "x@via.ecp.fr",
        "x@sub.via.ecp.fr",
        "prez@elfic.net",
        "contact@elfic.net",
        "anything@elfic.net",
        "annonces@sulfura.via.ecp.fr",
    ];
    const HOSTS: [&str; 5] = [
        "zen.via.ecp.fr",
        "mx1.student.ecp.fr",
        "mail.bde-ecp.com",
        "mx.sub.via.ecp.fr",
        "mx2.example.org",
    ];

    /// Sends a message to each; returns what came out where, a line for each recipient.
    fn deliveries(
        client: &mut Client,
        hops: &[SmtpSink],
        prefix: &str,
        wait: impl Fn(),
    ) -> Vec<String> {
        client.ehlo();
        for given in GIVEN {
            client.deliver(SENDER, &[given], &letter(&format!("{prefix} {given}")));
        }
        wait();
        let mut lines = Vec::new();
        for (hop, host) in hops.iter().zip(HOSTS) {
            for mail in hop.mail(hop.count()) {
                let bounce = mail.sender.is_empty();
                let subject = mail.header("Subject").unwrap_or_default();
                // Notices are worded differently; whose they are shows in the message that they
                // bring back.
                let text = mail.text();
                let subject = if bounce {
                    text.lines()
                        .rev()
                        .find_map(|line| line.strip_prefix("Subject: "))
                        .unwrap_or_default()
                        .to_owned()
                } else {
                    subject
                };
                let Some(given) = subject.strip_prefix(prefix) else { continue };
                let what = if bounce { "a bounce" } else { "mail" };
                let copies = mail.recipients.iter();
                lines.extend(copies.map(|to| {
                    format!("{given}: {what} from <{}> to <{to}> at {host}", mail.sender)
                }));
            }
        }
        lines.sort();
        lines
    }

    machine(|machine| {
        let site = Site::new(machine);
        machine.addresses(&["138.195.128.46"]);
        let hops = HOSTS.map(|host| site.hop(host));
        let postfix = site.postfix(POSTFIX);
        let mut client = Client::connect(STRANGER, POSTFIX);
        let theirs = deliveries(&mut client, &hops, "postfix", || {
            until("Postfix's queue to be empty", || {
                postfix.run("postqueue", &["-p"]).success().contains("is empty").then_some(())
            });
        });
        let facteur = site.sulfura();
        let mut client = Client::connect(STRANGER, SULFURA);
        let ours = deliveries(&mut client, &hops, "facteur", || facteur.wait_until_empty());

        assert_eq!(ours.join("\n"), theirs.join("\n"), "left: facteur, right: Postfix");
    });
}

/// The first messages for a user come together, and make the mailbox together.
#[test]
fn the_first_messages_for_a_user_make_one_mailbox() {
    const SESSIONS: usize = 8;
    machine(|machine| {
        let site = Site::new(machine);
        let facteur = site.sulfura();
        let ready = std::sync::Barrier::new(SESSIONS);
        std::thread::scope(|scope| {
            for _ in 0..SESSIONS {
                scope.spawn(|| {
                    let mut client = site.stranger();
                    client.envelope(SENDER, &["louen@sulfura.via.ecp.fr"]);
                    ready.wait();
                    assert_eq!(client.content(&letter("together")).code, 250);
                });
            }
        });
        maildir("/var/mail/louen", SESSIONS);
        facteur.wait_until_empty();
    });
}
