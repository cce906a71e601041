use bytes::Bytes;
use facteur_smtp::{Notify, Reply, status};
use facteur_spool::{Message, Timestamp};
use jiff::tz::TimeZone;

use super::{Action, Notice, Report, Returned, Written, date};
use crate::delivery::fixtures::{NOW, address, message, recipient};

fn write(message: &Message, reports: &[Report], returned: Returned) -> Written {
    let to = message.sender.clone().unwrap();
    Notice {
        hostname: "mx.here.example",
        origin: "here.example",
        now: Timestamp(NOW.0 + 60_000),
        zone: &TimeZone::fixed(jiff::tz::offset(1)),
        id: "0123abcd",
        to: &to,
        message,
        reports,
        returned,
    }
    .write()
}

fn text(written: &Written) -> String {
    let text = String::from_utf8(written.content.to_vec()).unwrap();
    assert!(text.lines().all(|line| line.len() <= 998), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
    text
}

/// The parts between the boundaries: header and content of each.
fn parts(text: &str) -> Vec<(String, String)> {
    let boundary = text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let mut parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.pop(), Some("--\r\n"));
    let part = |part: &str| {
        let (header, content) = part.strip_prefix("\r\n").unwrap().split_once("\r\n\r\n").unwrap();
        (header.to_owned(), content.strip_suffix("\r\n").unwrap().to_owned())
    };
    parts.into_iter().skip(1).map(part).collect()
}

const ORIGINAL: &str = "Received: from x\r\n\tby y; z\r\nSubject: x\r\n\r\nhello\r\n";

#[test]
fn a_bounce() {
    let mut letter = message("s@there.example", "");
    letter.envid = Some("QQ314159".into());
    let mut alias = recipient("louen@elsewhere.example");
    alias.original = address("boss@here.example");
    alias.orcpt = Some("rfc822;BOSS@here.example".into());
    let plain = recipient("nobody@none.example");
    let said = Reply::new(550, status::BAD_MAILBOX, "no such user\nhere");
    let ours = Reply::new(550, status::NO_ROUTE, "Host or domain name not found");
    let reports = [
        Report {
            recipient: alias.clone(),
            action: Action::Failed,
            reply: said.clone(),
            remote: Some("mx.elsewhere.example[192.0.2.1]:25".into()),
        },
        Report {
            recipient: plain.clone(),
            action: Action::Failed,
            reply: ours.clone(),
            remote: None,
        },
    ];
    let written =
        write(&letter, &reports, Returned::Whole(Bytes::from_static(ORIGINAL.as_bytes())));
    assert!(!written.utf8 && !written.eight_bit);
    let text = text(&written);
    let header = text.split_once("\r\n\r\n").unwrap().0;
    assert_eq!(
        header,
        "From: Mail Delivery System <MAILER-DAEMON@here.example>\r\nTo: <s@there.example>\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nDate: Fri, 13 Nov 2026 15:01:00 +0100\r\n\
         Message-ID: <0123abcd@mx.here.example>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: \
         1.0\r\n\
         Content-Type: multipart/report; \
         report-type=delivery-status;\r\n\tboundary=\"=_0123abcd\"\r\n\
         Content-Transfer-Encoding: 7bit"
    );
    let parts = parts(&text);
    assert_eq!(parts.len(), 3);
    assert!(parts[0].0.contains("text/plain; charset=us-ascii"));
    assert!(parts[0].1.starts_with("This is the mail system at host mx.here.example.\r\n"));
    let unfolded = parts[0].1.replace("\r\n    ", " ");
    assert!(
        unfolded.contains(
            "<louen@elsewhere.example> (expanded from <boss@here.example>): host \
             mx.elsewhere.example[192.0.2.1] said: \
             550 5.1.1 no such user here\r\n<nobody@none.example>: Host or domain name not \
             found\r\n"
        ),
        "{unfolded}"
    );
    assert!(parts[1].0.contains("Content-Type: message/delivery-status\r\n"));
    assert_eq!(
        parts[1].1,
        "Reporting-MTA: dns; mx.here.example\r\nOriginal-Envelope-Id: QQ314159\r\n\
         X-Facteur-Queue-ID: 6FEE36C37B\r\n\
         X-Facteur-Sender: rfc822; s@there.example\r\nArrival-Date: Fri, 13 Nov 2026 15:00:00 \
         +0100\r\n\r\n\
         Original-Recipient: rfc822;BOSS@here.example\r\nFinal-Recipient: rfc822; \
         louen@elsewhere.example\r\n\
         Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.elsewhere.example\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such user here\r\n\r\n\
         Final-Recipient: rfc822; nobody@none.example\r\nAction: failed\r\nStatus: 5.4.4\r\n\
         Diagnostic-Code: x-facteur; 550 5.4.4 Host or domain name not found\r\n"
    );
    assert!(parts[2].0.contains("Content-Type: message/rfc822\r\n"));
    assert_eq!(parts[2].1, ORIGINAL);
}

#[test]
fn delays_and_successes_bring_the_headers() {
    let letter = message("s@there.example", "");
    let to = recipient("a@there.example");
    let headers = Returned::Headers(Bytes::from_static(b"Subject: x\r\n"));
    let reply = Reply::plain(450, "busy");
    let until = Timestamp(NOW.0 + 5 * 86_400_000);
    let delayed = Report {
        recipient: to.clone(),
        action: Action::Delayed { until },
        reply: reply.clone(),
        remote: None,
    };
    let text1 = text(&write(&letter, &[delayed], headers.clone()));
    assert!(text1.contains("\r\nSubject: Delayed Mail (still being retried)\r\n"));
    let status = &parts(&text1)[1].1;
    assert!(status.contains("Action: delayed\r\nStatus: 4.0.0\r\n"));
    assert!(status.ends_with("Will-Retry-Until: Wed, 18 Nov 2026 15:00:00 +0100\r\n"));
    assert!(parts(&text1)[2].0.contains("text/rfc822-headers"));

    let reply = Reply::new(250, status::UNDEFINED, "delivered to maildir");
    for (action, word) in [
        (Action::Delivered, "delivered"),
        (Action::Relayed, "relayed"),
        (Action::Expanded, "expanded"),
    ] {
        let report = Report { recipient: to.clone(), action, reply: reply.clone(), remote: None };
        let text = text(&write(&letter, &[report], headers.clone()));
        assert!(text.contains("\r\nSubject: Successful Mail Delivery Report\r\n"));
        assert!(parts(&text)[1].1.contains(&format!("Action: {word}\r\nStatus: 2.0.0\r\n")));
    }
}

#[test]
fn what_others_wrote_stays_in_its_place() {
    let mut letter = message("s@there.example", "");
    letter.envid = Some("a\r\nReporting-MTA: dns; evil".into());
    let mut to = recipient("a@there.example");
    to.orcpt = Some("rfc822;x\r\n\r\nAction: delivered".into());
    let reply =
        Reply::plain(550, format!("r\r\n--=_0123abcd--\r\né\u{1b}[31m {}", "x".repeat(3000)));
    let report = Report {
        recipient: to.clone(),
        action: Action::Failed,
        reply: reply.clone(),
        remote: Some("mx[192.0.2.1]:25".into()),
    };
    let original =
        Bytes::from_static(b"Subject: x\r\n\r\n--=_0123abcd\r\n\r\n--=_0123abcd_--\r\nno line end");
    let written = write(&letter, &[report], Returned::Whole(original.clone()));
    assert!(written.eight_bit && !written.utf8);
    let text = text(&written);
    assert!(!text.contains('\u{1b}'));
    let parts = parts(&text);
    assert_eq!(parts.len(), 3);
    let status = &parts[1].1;
    assert!(status.is_ascii());
    let lines_with = |name: &str| status.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        (lines_with("Reporting-MTA:"), lines_with("Action:"), lines_with("Final-Recipient:")),
        (1, 1, 1)
    );
    assert_eq!(status.matches("\r\n\r\n").count(), 1);
    assert_eq!(parts[2].1.as_bytes(), original);
}

#[test]
fn international_addresses_make_an_international_notice() {
    let letter = message("s@münchen.example", "");
    let to = recipient("a@münchen.example");
    let reply = Reply::new(550, status::BAD_MAILBOX, "no");
    let report = Report {
        recipient: to.clone(),
        action: Action::Failed,
        reply: reply.clone(),
        remote: None,
    };
    let returned = Returned::Whole(Bytes::from_static(ORIGINAL.as_bytes()));
    // A domain alone has an ASCII form.
    let written = write(&letter, std::slice::from_ref(&report), returned.clone());
    assert!(!written.utf8);
    let plain = text(&written);
    assert!(plain.contains("To: <s@xn--mnchen-3ya.example>"));
    assert!(plain.contains("Final-Recipient: rfc822; a@xn--mnchen-3ya.example\r\n"));

    // Another's address is content: only the notice's own headers need SMTPUTF8.
    let to = recipient("é@münchen.example");
    let report = Report { recipient: to.clone(), ..report };
    let written = write(&letter, std::slice::from_ref(&report), returned.clone());
    assert!(!written.utf8 && written.eight_bit);
    let plain = text(&written);
    assert!(plain.split_once("\r\n\r\n").unwrap().0.is_ascii(), "{plain}");
    assert!(plain.contains("Content-Type: message/global-delivery-status\r\n"));
    assert!(plain.contains("Final-Recipient: utf-8; é@münchen.example\r\n"));

    let mut letter = message("é@münchen.example", "");
    letter.utf8 = true;
    let written = write(&letter, &[report], returned);
    assert!(written.utf8 && written.eight_bit);
    let text = text(&written);
    assert!(text.contains("To: <é@münchen.example>\r\n"));
    assert!(text.contains("Content-Type: message/global-delivery-status\r\n"));
    assert!(text.contains("Content-Type: message/global\r\n"));
    assert!(text.contains("Final-Recipient: utf-8; é@münchen.example\r\n"));
}

#[test]
fn a_quoted_local_part_keeps_its_blanks() {
    let letter = message("s@there.example", "");
    let quoted = format!("\"bad  two{}\"@there.example", "   three".repeat(5));
    let to = recipient(&quoted);
    let said = format!("<{quoted}>: {}", "no such user ".repeat(10));
    let reply = Reply::new(550, status::BAD_MAILBOX, said.trim_end());
    let report = Report {
        recipient: to.clone(),
        action: Action::Failed,
        reply: reply.clone(),
        remote: None,
    };
    let headers = Returned::Headers(Bytes::from_static(b"Subject: x\r\n"));
    let parts = parts(&text(&write(&letter, &[report], headers)));
    assert!(parts[0].1.contains(&format!("<{quoted}>")), "{}", parts[0].1);
    // Unfolded, fields are what was said, to the blank.
    let status = parts[1].1.replace("\r\n ", " ");
    assert!(status.contains(&format!("\r\nFinal-Recipient: rfc822; {quoted}\r\n")), "{status}");
    assert!(status.contains(&format!("\r\nDiagnostic-Code: x-facteur; {reply}\r\n")), "{status}");
}

#[test]
fn blanks_alone_are_no_line() {
    let letter = message("s@there.example", "");
    let to = recipient("a@there.example");
    let reply = Reply::new(550, status::BAD_MAILBOX, format!("x{}y", " ".repeat(3000)));
    let remote = Some("mx[192.0.2.1]:25".into());
    let report =
        Report { recipient: to.clone(), action: Action::Failed, reply: reply.clone(), remote };
    let headers = Returned::Headers(Bytes::from_static(b"Subject: x\r\n"));
    let parts = parts(&text(&write(&letter, &[report], headers)));
    assert!(parts[1].1.lines().all(|line| line.is_empty() || !line.trim().is_empty()));
}

#[test]
fn who_is_told_what() {
    let said = |text: &str| Some(text.parse::<Notify>().unwrap());
    let delayed = Action::Delayed { until: NOW };
    assert!(
        Action::Failed.is_wanted(None)
            && delayed.is_wanted(None)
            && !Action::Delivered.is_wanted(None)
    );
    for action in [Action::Failed, delayed, Action::Delivered, Action::Relayed, Action::Expanded] {
        assert!(!action.is_wanted(said("NEVER")));
        assert!(action.is_wanted(said("SUCCESS,FAILURE,DELAY")));
    }
    assert!(
        !Action::Failed.is_wanted(said("SUCCESS")) && Action::Relayed.is_wanted(said("SUCCESS"))
    );
    assert!(delayed.is_wanted(said("DELAY")) && !Action::Failed.is_wanted(said("DELAY")));
}

#[test]
fn dates() {
    assert_eq!(date(Timestamp(0), &TimeZone::UTC), "Thu, 1 Jan 1970 00:00:00 +0000");
    assert_eq!(date(Timestamp(u64::MAX), &TimeZone::UTC), "Thu, 1 Jan 1970 00:00:00 +0000");
}
