//! Load: everything that goes in comes out, and nothing twice.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use facteur_tests::{
    Dns, Facteur, Gateway, SmtpSink, machine_within, output_of, peer, sized, within,
};

/// How long the whole load may take, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn what_smtp_source_sends_arrives_at_smtp_sink_once() {
    machine_within(LONG, |machine| {
        let count: usize = sized(1_000, 5_000);
        let _dns = Dns::start("127.0.0.1", "");
        let sink = SmtpSink::start(machine, "hop", "127.0.0.2:25", &[]);
        let config = Gateway { routes: &[("*", "smtp:[127.0.0.2]:25")], ..Gateway::default() }
            .write(machine, "load");
        let facteur = Facteur::start(machine, &config);

        let started = Instant::now();
        let mut source = Command::new(peer("smtp-source"));
        // -N numbers the recipients: each message is told from the others by its envelope.
        source.args([
            "-N",
            "-s",
            "20",
            "-l",
            "4096",
            "-f",
            "load@sender.test",
            "-t",
            "box@hop.test",
        ]);
        output_of(source.args(["-m", &count.to_string(), "127.0.0.1:25"])).success();
        let taken = started.elapsed();
        within(LONG, &format!("{count} messages at smtp-sink"), || {
            (sink.count() >= count).then_some(())
        });
        facteur.wait_until_empty();
        let arrived = started.elapsed();

        // Fails if there are more.
        let mails = sink.mail(count);
        let recipients: BTreeSet<&str> =
            mails.iter().flat_map(|mail| &mail.recipients).map(String::as_str).collect();
        assert_eq!(recipients.len(), count, "some came twice, and others didn't");
        assert!(mails.iter().all(|mail| mail.recipients.len() == 1 && mail.content.len() >= 4096));
        println!("{count} messages: taken after {taken:?}, delivered after {arrived:?}");
    });
}
