//! Both with the same settings for all that come, and dialogues that are played to them: the same
//! certificate, the same tables, the same octets.

use facteur_tests::Key;

use super::*;

/// What one of the two offers, and the other doesn't know.
const OFFERED_BY_ONE: [&str; 4] = ["SMTPUTF8", "HELP", "LIMITS", "ETRN"];

/// How the two are set up, and what is said to them.
pub(super) struct Setting {
    /// More of `[[listen]]`.
    pub facteur: &'static str,
    /// More of main.cf.
    pub postfix: &'static str,
    pub lists: &'static [(&'static str, &'static str)],
    pub tables: &'static [Table],
    /// Who plays all of the dialogues.
    pub clients: &'static [&'static str],
    pub dialogues: &'static [&'static [&'static str]],
    pub differs: &'static [Difference],
}

/// The usual: what isn't said of a setting.
pub(super) const SETTING: Setting = Setting {
    facteur: "",
    postfix: "",
    lists: &[],
    tables: &[],
    clients: &[STRANGER],
    dialogues: &[],
    differs: &[],
};

impl Setting {
    /// Plays all dialogues to both.
    pub(super) fn compare(&self, machine: &Machine) {
        let case = Case { differs: self.differs, ..case("setting", self.lists, &[]) };
        Authority::new(machine).issue("mx", &[NAME], Key::Ecdsa);
        let listen = format!("{}\n{}", self.facteur, Authority::sections(&["mx"]));
        let chain = "smtpd_tls_chain_files = /etc/tls/mx.key, /etc/tls/mx.pem\n";
        let main = format!("{}{chain}", self.postfix);
        let more = More { listen: &listen, main: &main, ..More::default() };
        let servers = Servers::start(machine, &[case], self.tables, &DISCARD, more);
        let (mut problems, mut seen) = (Vec::new(), vec![false; self.differs.len()]);
        for from in self.clients {
            for dialogue in self.dialogues {
                let (ours, theirs) = (play(from, FACTEUR, dialogue), play(from, POSTFIX, dialogue));
                case.judge(from, &ours, &theirs, &mut seen, &mut problems);
            }
        }
        case.all_seen(&seen, &mut problems);
        assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
        drop(servers);
    }
}

fn play(from: &str, server: &str, dialogue: &[&str]) -> Vec<(String, String)> {
    let mut client = Client::connect(from, &format!("{server}:{FIRST_PORT}"));
    let mut told = Vec::new();
    for command in dialogue {
        if *command == HANDSHAKE {
            client.secure(&Authority::client(None), NAME).unwrap();
            continue;
        }
        let sent = client.try_write(format!("{command}\r\n").as_bytes());
        let Ok(reply) = sent.and_then(|()| client.try_reply()) else {
            told.push(((*command).to_owned(), CLOSED.to_owned()));
            break;
        };
        let text = match reply.code {
            250 if command.starts_with("EHLO") => offered(&reply),
            // A greeting, which names the program.
            220 if command.starts_with("XCLIENT") => "220".to_owned(),
            _ => comparable(command, &reply),
        };
        told.push(((*command).to_owned(), completed(text)));
        if reply.code == 354 {
            told.push((
                ".".to_owned(),
                comparable(".", &client.content(b"Subject: x\r\n\r\nx\r\n")),
            ));
        }
    }
    told
}

/// What is offered, but for what only one of the two knows.
fn offered(reply: &Reply) -> String {
    let keyword = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = reply
        .text
        .lines()
        .filter(|line| !OFFERED_BY_ONE.contains(&keyword(line).as_str()))
        .collect();
    lines[1..].sort_unstable();
    format!("250 {}", lines.join(", "))
}
