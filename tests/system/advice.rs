//! What plugins advise after an attempt, by the real program: other times, other recipients, no
//! notices.

use std::time::{Duration, Instant};

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, Mail, Sink, letter, machine, maildir, probe_plugin,
    until,
};

const HOP: &str = "127.0.0.2:25";
const SENDERS: &str = "127.0.0.3:25";
const SENDER: &str = "me@sender.test";

/// A gateway whose probe says this of each attempt, by the recipient's address.
fn advised(machine: &Machine, advice: &[(&str, &str)], queue: &str) -> Facteur {
    let words: Vec<String> =
        advice.iter().map(|(to, word)| format!("\"{to}\" = \"{word}\"")).collect();
    let more = format!(
        "[queue]\n{queue}\n[[plugin]]\nname = \"probe\"\ncomponent = \"{}\"\n[plugin.settings]\n\
         delivery = {{ {} }}\n",
        probe_plugin().display(),
        words.join(", ")
    );
    let routes = [("hop.test", "smtp:[127.0.0.2]:25"), ("sender.test", "smtp:[127.0.0.3]:25")];
    let config =
        Gateway { routes: &routes, more: &more, ..Gateway::default() }.write(machine, "advice");
    Facteur::start(machine, &config)
}

fn send(to: &[&str]) -> String {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client.deliver(SENDER, to, &letter("advice"))
}

#[test]
fn another_attempt_comes_when_it_is_advised() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let hop = Sink::start(HOP);
        hop.answer("RCPT TO:<slow@", "450 4.2.0 not yet");
        hop.answer("RCPT TO:<hard@", "550 5.1.1 never");
        // By itself it would come again in five minutes, or never.
        let facteur = advised(
            machine,
            &[("slow@hop.test", "retry-after:1"), ("hard@hop.test", "retry-after:1")],
            "",
        );
        let began = Instant::now();
        let id = send(&["slow@hop.test", "hard@hop.test"]);
        facteur.wait_until_deferred(&id, 3);
        assert!(
            began.elapsed() >= Duration::from_secs(2),
            "less than a second between two attempts"
        );
        hop.answer_as_usual();
        let mut taken: Vec<String> = until("both", || {
            let all: Vec<String> =
                hop.taken().into_iter().flat_map(|mail| mail.recipients).collect();
            (all.len() == 2).then_some(all)
        });
        taken.sort();
        assert_eq!(taken, ["hard@hop.test", "slow@hop.test"]);
        facteur.wait_until_empty();
    });
}

#[test]
fn no_advice_outlives_a_message() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (hop, senders) = (Sink::start(HOP), Sink::start(SENDERS));
        hop.answer("RCPT TO:", "450 4.2.0 not yet");
        let advice = [("slow@hop.test", "retry-after:86400000"), ("never@hop.test", "fail")];
        let facteur = advised(machine, &advice, "lifetime = \"2s\"");
        // One is given up at once, the other at the end of its time; the sender hears of both.
        send(&["slow@hop.test", "never@hop.test"]);
        let mut told: Vec<String> = senders.mail(2).iter().map(Mail::text).collect();
        told.sort_by_key(|text| text.contains("slow@hop.test"));
        assert!(
            told[0].contains("<never@hop.test>") && told[1].contains("<slow@hop.test>"),
            "{told:#?}"
        );
        assert!(senders.taken().iter().all(|mail| mail.sender.is_empty()));
        facteur.wait_until_empty();
    });
}

#[test]
fn somebody_else_gets_what_is_redirected() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (hop, senders) = (Sink::start(HOP), Sink::start(SENDERS));
        hop.answer("RCPT TO:<gone@", "550 5.1.1 no such user");
        hop.answer("RCPT TO:<away@", "450 4.2.0 not yet");
        let advice = [
            ("gone@hop.test", "redirect:louen@local.test"),
            ("away@hop.test", "redirect:other@hop.test"),
            ("good@hop.test", "redirect:other@hop.test"),
        ];
        let facteur = advised(machine, &advice, "");
        send(&["gone@hop.test", "away@hop.test", "good@hop.test"]);
        let mail = &maildir("/var/mail/louen", 1)[0];
        assert!(
            mail.text().contains("advice") && mail.text().contains("Received: "),
            "{}",
            mail.text()
        );
        // What was delivered is not redirected.
        let mut taken: Vec<String> =
            hop.mail(2).into_iter().flat_map(|mail| mail.recipients).collect();
        taken.sort();
        assert_eq!(taken, ["good@hop.test", "other@hop.test"]);
        facteur.wait_until_empty();
        assert_eq!(senders.count(), 0, "the sender is told nothing");
        facteur.wait_for_log("advice to redirect to other@hop.test what was delivered");
    });
}

#[test]
fn a_circle_of_redirections_ends() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (hop, senders) = (Sink::start(HOP), Sink::start(SENDERS));
        hop.answer("RCPT TO:", "550 5.1.1 no such user");
        let facteur = advised(
            machine,
            &[("a@hop.test", "redirect:b@hop.test"), ("b@hop.test", "redirect:a@hop.test")],
            "",
        );
        send(&["a@hop.test"]);
        // The sender hears of the address that it wrote to.
        let told = senders.one().text();
        assert!(told.contains("<b@hop.test>") && told.contains("<a@hop.test>"), "{told}");
        facteur.wait_until_empty();
        facteur.wait_for_log("not redirected");
        assert_eq!(facteur.log().matches("redirected").count(), 6, "five, and the one that wasn't");
    });
}

#[test]
fn nobody_is_told_where_that_is_advised() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (hop, senders) = (Sink::start(HOP), Sink::start(SENDERS));
        hop.answer("RCPT TO:<quiet@", "550 5.1.1 no such user");
        hop.answer("RCPT TO:<trap@", "550 5.1.1 no such user");
        let facteur = advised(
            machine,
            &[("quiet@hop.test", "no-notification"), ("trap@hop.test", "trap")],
            "",
        );
        send(&["quiet@hop.test"]);
        facteur.wait_until_empty();
        // A plugin that fails changes nothing.
        send(&["trap@hop.test"]);
        let told = senders.one().text();
        assert!(told.contains("<trap@hop.test>") && !told.contains("quiet"), "{told}");
        facteur.wait_until_empty();
    });
}
