//! Aliases and lists by the real program: what stands in them, what becomes of each member, what
//! is sent on, and that nothing is lost because it couldn't be found out at once.

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, Mail, Sink, letter, machine, maildir, until,
};

const HOP: &str = "127.0.0.2:25";
const SENDERS: &str = "127.0.0.3:25";
const SENDER: &str = "me@sender.test";

struct Post {
    facteur: Facteur,
    hop: Sink,
    senders: Sink,
    _dns: Dns,
}

/// A gateway with these aliases and this virtual table; hop.test is everyone's next hop.
fn post(machine: &Machine, aliases: &str, virtual_: &str) -> Post {
    post_with(machine, aliases, virtual_, "")
}

fn post_with(machine: &Machine, aliases: &str, virtual_: &str, queue: &str) -> Post {
    let dns = Dns::start("127.0.0.1", "");
    let (hop, senders) = (Sink::start(HOP), Sink::start(SENDERS));
    let file = machine.write("/etc/post/aliases", aliases);
    let more = format!(
        r#"
[queue]
{queue}
[tables.aliases]
file = "{}"
format = "aliases"
[tables.virtual]
inline = {{ {virtual_} }}
[[plugin]]
name = "aliases"
component = "builtin:aliases"
[plugin.settings]
aliases = ["aliases"]
virtual = ["virtual"]
[plugin.grants]
lookup = ["aliases", "virtual"]
include = ["/etc/lists"]
"#,
        file.display()
    );
    let routes = [("hop.test", "smtp:[127.0.0.2]:25"), ("sender.test", "smtp:[127.0.0.3]:25")];
    let config = Gateway { routes: &routes, more: &more, ..Gateway::default() };
    let facteur = Facteur::start(machine, &config.write(machine, "post"));
    Post { facteur, hop, senders, _dns: dns }
}

fn client() -> Client {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client
}

fn send(to: &[&str]) -> String {
    client().deliver(SENDER, to, &letter("aliases"))
}

fn recipients(mail: &[Mail]) -> Vec<String> {
    let mut all: Vec<String> = mail.iter().flat_map(|one| one.recipients.clone()).collect();
    all.sort();
    all
}

impl Post {
    /// Waits until so many recipients have got it at the next hop.
    fn taken(&self, count: usize) -> Vec<String> {
        until(&format!("{count} recipients at the next hop"), || {
            let found = recipients(&self.hop.taken());
            assert!(found.len() <= count, "{} of {count}: {found:?}", found.len());
            (found.len() == count).then_some(found)
        })
    }
}

#[test]
fn a_list_that_is_missing_for_a_moment_is_read_later() {
    machine(|machine| {
        let post = post(machine, "news: :include:/etc/lists/news, c@hop.test\n", "");
        let id = send(&["news@local.test"]);
        // Who is known gets it at once, and only once.
        assert_eq!(post.taken(1), ["c@hop.test"]);
        let waiting = post.facteur.wait_until_deferred(&id, 1);
        assert_eq!(waiting.recipients.len(), 1, "{waiting:?}");
        post.facteur.wait_for_log("/etc/lists/news");
        post.facteur.queue(&["flush", "--all"]);
        post.facteur.wait_until_deferred(&id, 2);
        machine.write("/etc/lists/news", "a@hop.test\nb@hop.test\n");
        post.facteur.queue(&["flush", "--all"]);
        assert_eq!(post.taken(3), ["a@hop.test", "b@hop.test", "c@hop.test"]);
        post.facteur.wait_until_empty();
        assert_eq!(post.senders.count(), 0);
    });
}

#[test]
fn a_list_that_stays_away_is_told_without_its_file() {
    machine(|machine| {
        let aliases = "news: :include:/etc/lists/news, c@hop.test\n";
        let post = post_with(machine, aliases, "", "lifetime = \"1s\"\nminimal-backoff = \"1s\"");
        send(&["news@local.test"]);
        let notice = post.senders.one().text();
        assert!(notice.contains("news@local.test"), "{notice}");
        assert!(!notice.contains("/etc/lists"), "a stranger is shown a file: {notice}");
        post.facteur.wait_until_empty();
    });
}

#[test]
fn twenty_four_groups_of_fifty_are_all_delivered() {
    machine(|machine| {
        let crowd: Vec<String> = (0..1_500).map(|member| format!("c{member}@hop.test")).collect();
        let group = |number: usize| {
            let members: Vec<String> =
                (0..50).map(|member| format!("g{number}m{member}@hop.test")).collect();
            format!("g{number}: {}\n", members.join(", "))
        };
        let names: Vec<String> = (0..24).map(|number| format!("g{number}")).collect();
        let groups: String = (0..24).map(group).collect();
        let post = post(
            machine,
            &format!("all: {}\n{groups}crowd: {}\n", names.join(", "), crowd.join(",\n ")),
            "",
        );
        send(&["all@local.test"]);
        post.taken(1_200);
        // More than Postfix's limit for a virtual table.
        send(&["crowd@local.test"]);
        post.taken(2_700);
        post.facteur.wait_until_empty();
        assert_eq!(post.senders.count(), 0);
    });
}

#[test]
fn mail_that_an_alias_sends_on_is_known_when_it_comes_back() {
    machine(|machine| {
        let aliases = "back: back@hop.test, back2@hop.test\n";
        let post = post(machine, aliases, "\"moved@local.test\" = \"moved@hop.test\"");
        send(&["back@local.test"]);
        assert_eq!(post.taken(2), ["back2@hop.test", "back@hop.test"]);
        let mail = post.hop.one();
        assert_eq!(mail.header("Delivered-To").as_deref(), Some("back@local.test"));
        // The other end sends it back. Whoever is asked says that it loops.
        let mut client = client();
        client.envelope(SENDER, &["back@local.test"]);
        let reply = client.content(&mail.content);
        assert_eq!(reply, "554 5.4.6 mail forwarding loop for back@local.test");
        post.facteur.wait_until_empty();
        assert_eq!(post.hop.count(), 1);
        // Where others get it, the sender hears of the one for whom it loops.
        client.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
        client.expect("RCPT TO:<back@local.test>", 250);
        client.expect("RCPT TO:<louen@local.test>", 250);
        client.expect("DATA", 354);
        assert_eq!(client.content(&mail.content).code, 250);
        maildir("/var/mail/louen", 1);
        post.facteur.wait_until_empty();
        let notice = post.senders.one().text();
        assert!(notice.contains("mail forwarding loop for back@local.test"), "{notice}");
        assert_eq!(post.hop.count(), 1);
        // A virtual table only rewrites.
        send(&["moved@local.test"]);
        let moved = post.hop.mail(2).remove(1);
        assert_eq!(moved.header("Delivered-To"), None);
    });
}

#[test]
fn nobody_is_told_by_which_other_alias_mail_went() {
    machine(|machine| {
        let post = post(machine, "one: x@hop.test\ntwo: y@hop.test\n", "");
        send(&["one@local.test", "two@local.test", "z@hop.test"]);
        post.taken(3);
        let mut seen: Vec<(String, Option<String>)> = post
            .hop
            .taken()
            .iter()
            .map(|mail| {
                assert_eq!(mail.recipients.len(), 1, "{mail:?}");
                (mail.recipients[0].clone(), mail.header("Delivered-To"))
            })
            .collect();
        seen.sort();
        let expected = [
            ("x@hop.test", Some("one@local.test")),
            ("y@hop.test", Some("two@local.test")),
            ("z@hop.test", None),
        ];
        let expected = expected.map(|(to, by)| (to.to_owned(), by.map(str::to_owned)));
        assert_eq!(seen, expected);
    });
}

#[test]
fn a_line_that_is_no_address_fails_alone_and_only_the_operator_sees_where() {
    machine(|machine| {
        machine.write(
            "/etc/lists/all",
            "\u{feff}Bob B. <b@hop.test>\na@hop.test (Alice)\n\
             d@hop.test; e@hop.test\nnot an address\n\\louen\n:include:/etc/lists/more\n\
             :include:/etc/shadow\n",
        );
        machine.write("/etc/lists/more", "c@hop.test\n:include:/etc/lists/all\n");
        let post = post(machine, "all: :include:/etc/lists/all\n", "");
        let id = send(&["all@local.test"]);
        let members = ["a", "b", "c", "d", "e"].map(|name| format!("{name}@hop.test"));
        assert_eq!(post.taken(5), members);
        assert_eq!(maildir("/var/mail/louen", 1).len(), 1);
        let notice = post.senders.one().text();
        assert!(notice.contains("all@local.test"), "{notice}");
        assert!(!notice.contains("/etc/lists"), "a stranger is shown a file: {notice}");
        let explained = post.facteur.run(&["explain", &id]).success();
        for told in [
            "/etc/lists/all:4: two words without a comma",
            "/etc/lists/all names itself",
            "the list /etc/shadow is not granted",
        ] {
            post.facteur.wait_for_log(told);
            assert!(explained.contains(told), "{told}: {explained}");
        }
        // What isn't granted can be: it waits.
        post.facteur.wait_until_deferred(&id, 1);
    });
}

/// The owner is the list itself: a notice of its failure would come back for ever.
#[test]
fn a_list_that_is_its_own_owner_ends_its_notices() {
    machine(|machine| {
        let post = post(machine, "owner-news: news\nnews: louen, gone@hop.test\n", "");
        post.hop.answer("RCPT TO:<gone", "550 5.1.1 nobody");
        send(&["news@local.test"]);
        // The mail, and the one notice to its owner.
        maildir("/var/mail/louen", 2);
        post.facteur.wait_until_empty();
        send(&["louen@local.test"]);
        maildir("/var/mail/louen", 3);
        post.facteur.wait_until_empty();
        assert_eq!((post.hop.count(), post.senders.count()), (0, 0));
    });
}

/// It may be meant, or what writes it has failed.
#[test]
fn a_list_without_members_is_told() {
    machine(|machine| {
        machine.write("/etc/lists/empty", "# nobody yet\n");
        let post = post(machine, "empty: :include:/etc/lists/empty\n", "");
        let mut client = client();
        client.envelope(SENDER, &["empty@local.test"]);
        assert_eq!(client.content(&letter("to nobody")), "250 2.0.0 Ok");
        post.facteur.wait_for_log("nobody is on the list /etc/lists/empty");
        assert_eq!((post.facteur.queued().len(), post.senders.count()), (0, 0));
    });
}

#[test]
fn lists_in_lists_are_read_up_to_twenty() {
    machine(|machine| {
        let list = |number: usize| format!("/etc/lists/{number}");
        let nest = |depth: usize| {
            for number in 1..depth {
                machine.write(&list(number), &format!(":include:{}\n", list(number + 1)));
            }
            machine.write(&list(depth), "a@hop.test\n");
        };
        let post = post(machine, "all: :include:/etc/lists/1\n", "");
        nest(20);
        send(&["all@local.test"]);
        assert_eq!(post.taken(1), ["a@hop.test"]);
        post.facteur.wait_until_empty();
        nest(21);
        let id = send(&["all@local.test"]);
        post.facteur.wait_until_deferred(&id, 1);
        post.facteur.wait_for_log("20 lists in each other");
        assert_eq!((post.hop.count(), post.senders.count()), (1, 0));
    });
}

#[test]
fn a_loop_of_aliases_says_that_it_is_one() {
    machine(|machine| {
        let aliases = "a: b, louen\nb: a\npostmaster: louen\nsecret: :include:/etc/shadow\n";
        let post = post(machine, aliases, "\"postmaster@local.test\" = \"postmaster\"");
        let id = send(&["a@local.test"]);
        let told = "alias loop: a@local.test -> b@local.test -> a@local.test";
        post.facteur.wait_for_log(told);
        let explained = post.facteur.run(&["explain", &id]).success();
        assert!(explained.contains(told), "{explained}");
        maildir("/var/mail/louen", 1);
        // The bare name in a virtual table is the alias, though the domain is the origin.
        send(&["postmaster@local.test"]);
        maildir("/var/mail/louen", 2);
        let mut client = client();
        client.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
        let reply = client.expect("RCPT TO:<secret@local.test>", 451);
        assert!(!reply.to_string().contains("shadow"), "{reply}");
    });
}
