use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use facteur_policy::Route;
use facteur_spool::{Body, End, Message};

use super::unique_name;
use crate::delivery::fixtures::{ROOM, Told, message, recipient, settings};
use crate::delivery::{Attempt, Deliverer, Outcome};

/// A folder like /var/mail: everybody may enter it, and only its owner may write to it.
fn spool() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn deliver(spool: &Path, message: &Message, to: &str) -> Outcome {
    let deliverer = Deliverer::new(settings(Told::default(), &[], spool), ROOM);
    let mut recipient = recipient(to);
    recipient.original = "alias@here.example".parse().unwrap();
    let recipients = [&recipient];
    let sender = message.sender.as_ref();
    let attempt =
        Attempt { message, sender, alias: None, recipients: &recipients, route: &Route::Maildir };
    let attempted = deliverer.attempt(&attempt).await;
    assert!(attempted.reached);
    attempted.outcomes.into_iter().next().unwrap()
}

fn mail(spool: &Path, user: &str) -> Vec<String> {
    let new = spool.join(user).join("new");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.unwrap().path()).unwrap()
    };
    let mut mail: Vec<String> = std::fs::read_dir(new).unwrap().map(read).collect();
    assert_eq!(
        std::fs::read_dir(spool.join(user).join("tmp")).unwrap().count(),
        0,
        "drafts are left"
    );
    mail.sort();
    mail
}

#[track_caller]
fn assert_refused(outcome: &Outcome, code: &str, text: &str) {
    let reply = outcome.reply().to_string();
    assert!(reply.starts_with(code) && reply.contains(text), "{reply}");
    assert_eq!(matches!(outcome, Outcome::Failed { .. }), code.starts_with('5'), "{outcome:?}");
}

#[tokio::test]
async fn a_mailbox_is_made_and_gets_its_mail() {
    let spool = spool();
    let letter = message("s@there.example", "Subject: x\r\n\r\nhello\r\n.dot\r\n");
    for _ in 0..2 {
        let outcome = deliver(spool.path(), &letter, "louen@here.example").await;
        assert!(
            matches!(&outcome, Outcome::Delivered { owed: Some(End::Delivered), remote: None, .. }),
            "{outcome:?}"
        );
    }
    let expected = "Return-Path: <s@there.example>\nX-Original-To: alias@here.example\n\
     Delivered-To: louen@here.example\n\
                    Received: from x\n\tby y; z\nSubject: x\n\nhello\n.dot\n";
    assert_eq!(mail(spool.path(), "louen"), [expected, expected]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let maildir = spool.path().join("louen");
    assert_eq!(mode(&maildir), 0o700);
    assert!(maildir.join("cur").is_dir());
    let file = std::fs::read_dir(maildir.join("new")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(mode(&file), 0o600);
    let owner =
        |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    assert_eq!(owner(&maildir), owner(&file));
    assert_ne!(owner(&file), 0, "mail was written as root");
}

#[tokio::test]
async fn the_null_sender_and_a_body_in_a_file() {
    let spool = spool();
    let body = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(20_000));
    let path = spool.path().join("body");
    std::fs::write(&path, &body).unwrap();
    // The store's files are nobody else's to read.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut letter = message("", "");
    letter.body = Body::File { path: Arc::from(path.as_path()), size: body.len() as u64 };
    let outcome = deliver(spool.path(), &letter, "lea@here.example").await;
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    let mail = mail(spool.path(), "lea");
    assert!(mail[0].starts_with("Return-Path: <>\n"));
    assert!(mail[0].ends_with(&body.replace("\r\n", "\n")));

    letter.body = Body::File { path: Arc::from(path.as_path()), size: body.len() as u64 + 1 };
    let outcome = deliver(spool.path(), &letter, "lea@here.example").await;
    assert_refused(&outcome, "451 4.3.0", "can't be read from the queue");
    assert_eq!(self::mail(spool.path(), "lea").len(), 1);
}

#[tokio::test]
async fn mail_that_was_delivered_here_before_loops() {
    let spool = spool();
    for header in ["Delivered-To: louen@here.example", "delivered-to:  LOUEN@Here.Example "] {
        let again = message("s@there.example", format!("{header}\r\nSubject: x\r\n\r\nhello\r\n"));
        let outcome = deliver(spool.path(), &again, "louen@here.example").await;
        assert_refused(&outcome, "554 5.4.6", "mail forwarding loop for louen@here.example");
    }
    let other = message(
        "s@there.example",
        "Delivered-To: lea@here.example\r\n\r\nDelivered-To: louen@here.example\r\n",
    );
    let outcome = deliver(spool.path(), &other, "louen@here.example").await;
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
}

#[tokio::test]
async fn nobody_by_that_name() {
    let spool = spool();
    let letter = message("s@there.example", "\r\n");
    for name in
        ["nobody-here@here.example", "../louen@here.example", "\"louen/../lea\"@here.example"]
    {
        assert_refused(&deliver(spool.path(), &letter, name).await, "550 5.1.1", "User unknown");
    }
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_the_system_refuses_waits_and_names_the_place() {
    let spool = spool();
    let letter = message("s@there.example", "\r\n");
    std::fs::write(spool.path().join("louen"), "not a folder").unwrap();
    let outcome = deliver(spool.path(), &letter, "louen@here.example").await;
    assert_refused(&outcome, "450 4.2.0", "/louen");
    // Another's mailbox never changes hands.
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir(spool.path().join("lea")).unwrap();
        std::fs::set_permissions(spool.path().join("lea"), std::fs::Permissions::from_mode(0o700))
            .unwrap();
        let outcome = deliver(spool.path(), &letter, "lea@here.example").await;
        assert_refused(&outcome, "450 4.2.0", "Permission denied");
        let meta = std::fs::metadata(spool.path().join("lea")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), 0);
    }
}

#[test]
fn names_of_files_are_unique_and_safe() {
    let names: std::collections::HashSet<String> =
        (0..1000).map(|_| unique_name("a/b:c")).collect();
    assert_eq!(names.len(), 1000);
    assert!(names.iter().all(|name| name.ends_with(".a\\057b\\072c") && !name.contains('/')));
}
