//! Mail as it arrives somewhere.

use std::fs;
use std::path::Path;

use crate::wait::until;

/// A message and its envelope, as a next hop or a mailbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope sender, without the brackets.
    pub sender: String,
    /// The envelope recipients, without the brackets, in order. In a mailbox: the one of
    /// `Delivered-To:`.
    pub recipients: Vec<String>,
    /// The arguments of MAIL and of each RCPT as they were sent. None in a mailbox.
    pub arguments: Vec<String>,
    /// The content. Line ends are those of where it was found: CRLF in a [`crate::Sink`], LF in
    /// files.
    pub content: Vec<u8>,
}

impl Mail {
    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The header fields, unfolded.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = self.text().replace("\r\n", "\n");
        let head = text.split_once("\n\n").map_or(text.as_str(), |(head, _)| head);
        let unfolded = head.replace("\n\t", " ").replace("\n ", " ");
        let field = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        };
        unfolded.lines().filter_map(field).collect()
    }

    /// The first header field of this name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers()
            .into_iter()
            .find(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// What comes after the header, as it was found.
    pub fn body(&self) -> &[u8] {
        for end in [&b"\r\n\r\n"[..], b"\n\n"] {
            if let Some(at) = self.content.windows(end.len()).position(|window| window == end) {
                return &self.content[at + end.len()..];
            }
        }
        &[]
    }

    /// Fails unless this is what was sent (lines in CRLF), octet by octet, below header fields that
    /// servers put on top, the first of them by `server`.
    pub fn must_be(&self, sent: &[u8], server: &str) {
        let has_crlf = self.content.windows(2).any(|two| two == b"\r\n");
        let wanted = if has_crlf { sent.to_vec() } else { without_cr(sent) };
        assert!(
            self.content.ends_with(&wanted),
            "{}\n──── is not what was sent:\n{}",
            self.text(),
            String::from_utf8_lossy(sent)
        );
        let on_top = Self {
            content: self.content[..self.content.len() - wanted.len()].to_vec(),
            ..self.clone()
        };
        for (name, _) in on_top.headers() {
            let usual = ["Return-Path", "X-Original-To", "Delivered-To", "Received"];
            assert!(usual.contains(&name.as_str()), "{name}: was added:\n{}", self.text());
        }
        let received = self.header("Received").unwrap_or_default();
        assert!(received.contains(&format!("by {server} (")), "not by {server}: {received}");
    }

    /// The recipients in alphabetical order.
    pub fn sorted_recipients(&self) -> Vec<&str> {
        let mut sorted: Vec<&str> = self.recipients.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        sorted
    }
}

fn without_cr(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().filter(|&octet| octet != b'\r').collect()
}

/// Text whose lines end in LF, with CRLF.
pub fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// A small message with this subject, its lines ending in CRLF. The body says the subject again,
/// has a line that begins with a dot and one that is only a dot.
pub fn letter(subject: &str) -> Vec<u8> {
    crlf(&format!(
        "From: Somebody <somebody@example.net>\nTo: you@example.org\nDate: Mon, 2 Mar 2026 \
         10:00:00 +0100\n\
         Message-ID: <1@example.net>\nSubject: {subject}\n\n{subject}: the first line\n.second\n.\n\
         last\n"
    ))
}

/// Waits until a Maildir holds so many messages, none of them half written; returns them.
pub fn maildir(folder: &str, count: usize) -> Vec<Mail> {
    let what = format!("{count} messages in {folder}");
    until(&what, || {
        let names = fs::read_dir(Path::new(folder).join("new")).ok()?;
        let mut paths: Vec<_> =
            names.map(|entry| entry.expect("a folder can be listed").path()).collect();
        paths.sort();
        assert!(paths.len() <= count, "{} messages in {folder} instead of {count}", paths.len());
        (paths.len() == count).then(|| paths.iter().map(|path| in_mailbox(path)).collect())
    })
}

fn in_mailbox(path: &Path) -> Mail {
    let content = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mail =
        Mail { sender: String::new(), recipients: Vec::new(), arguments: Vec::new(), content };
    let sender = mail.header("Return-Path").expect("mail in a mailbox has a Return-Path:");
    let recipients = mail.header("Delivered-To").into_iter().collect();
    Mail { sender: sender.trim_matches(['<', '>']).to_owned(), recipients, ..mail }
}
