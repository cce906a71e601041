//! Postfix's smtp-sink as a next hop: what it takes is written to files, with the envelope.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::geteuid;

use crate::client::Client;
use crate::machine::Machine;
use crate::mail::Mail;
use crate::process::Process;
use crate::programs::peer;
use crate::wait::until;

/// A running smtp-sink.
pub struct SmtpSink {
    process: Process,
    folder: PathBuf,
}

impl SmtpSink {
    /// Starts it on `ADDRESS:PORT` under a name, with more options, such as `&["-r", "RCPT"]` (see
    /// smtp-sink(1)). One that is started again under its name has the messages from before.
    pub fn start(machine: &Machine, name: &str, address: &str, options: &[&str]) -> Self {
        let folder = machine.open_folder(&format!("sink-{name}"));
        let mut command = Command::new(peer("smtp-sink"));
        if geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        command
            .arg("-h")
            .arg(name)
            .arg("-d")
            .arg(folder.join("mail."))
            .args(options)
            .args([address, "100"]);
        let mut process =
            Process::start(machine.folder(), &format!("smtp-sink-{name}"), &mut command);
        let from = if address.starts_with('[') { "::1" } else { "127.0.0.1" };
        let what = format!("smtp-sink {name} on {address}");
        until(&what, || {
            process.must_run();
            Client::try_connect(from, address).ok()
        });
        Self { process, folder }
    }

    /// Waits for so many messages, whole ones; fails if there are more. In the order of their
    /// subjects.
    pub fn mail(&self, count: usize) -> Vec<Mail> {
        let what = format!("{count} messages in {}", self.folder.display());
        let mut mail = until(&what, || {
            let files = fs::read_dir(&self.folder).expect("the folder is the test's");
            let files: Vec<_> =
                files.map(|file| file.expect("a folder can be listed").path()).collect();
            let all: Option<Vec<Mail>> =
                files.iter().map(|file| parse(&fs::read(file).ok()?)).collect();
            let all = all?;
            assert!(
                all.len() <= count,
                "{} messages instead of {count} in {}: {all:#?}",
                all.len(),
                self.folder.display()
            );
            (all.len() == count).then_some(all)
        });
        mail.sort_by_cached_key(|mail| (mail.header("Subject"), mail.recipients.clone()));
        mail
    }

    /// The one message that comes.
    pub fn one(&self) -> Mail {
        self.mail(1).remove(0)
    }

    /// How many messages it has begun to write.
    pub fn count(&self) -> usize {
        fs::read_dir(&self.folder).expect("the folder is the test's").count()
    }

    /// Ends it: from now on connections are refused.
    pub fn stop(mut self) {
        self.process.kill();
    }
}

/// A file that smtp-sink wrote; none if it is still writing: an empty line ends what is whole.
fn parse(file: &[u8]) -> Option<Mail> {
    let file = file.strip_suffix(b"\n")?;
    if !file.is_empty() && !file.ends_with(b"\n") {
        return None;
    }
    let mut mail = Mail {
        sender: String::new(),
        recipients: Vec::new(),
        arguments: Vec::new(),
        content: Vec::new(),
    };
    let mut rest = file;
    let mut own_headers = true;
    while own_headers {
        let end = rest.iter().position(|&octet| octet == b'\n')?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        if let Some(arguments) = line.strip_prefix("X-Mail-Args: ") {
            mail.sender = address(arguments);
            mail.arguments.push(arguments.to_owned());
        } else if let Some(arguments) = line.strip_prefix("X-Rcpt-Args: ") {
            mail.recipients.push(address(arguments));
            mail.arguments.push(arguments.to_owned());
        } else if line.starts_with("Received: ") {
            // Three lines of its own end its headers.
            own_headers = false;
            for _ in 0..2 {
                let end = rest.iter().position(|&octet| octet == b'\n')?;
                rest = &rest[end + 1..];
            }
        }
    }
    mail.content = rest.to_vec();
    Some(mail)
}

/// `<a@b> SIZE=1` → `a@b`.
fn address(arguments: &str) -> String {
    let inner = arguments.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    inner.map_or(arguments, |(address, _)| address).to_owned()
}
