//! facteur against Postfix 3.7: the same settings, the same clients, the same DNS, the same
//! dialogues; every reply is compared, code, enhanced code and text.
//!
//! One Postfix and one facteur serve all cases of a test, each case at a port of its own. Where
//! facteur means to differ, the case says what each says and why; a difference that isn't there any
//! more fails as one that isn't expected does.

mod access;
mod actions;
mod check;
mod extensions;
mod pipelining;
mod protocol;
mod proven;
mod restrictions;
mod setting;
mod tls;

use std::fmt::Write as _;

use facteur_tests::{Authority, Client, Dns, Facteur, Machine, Postfix, Reply};

/// A client in the trusted network.
const TRUSTED: &str = "198.51.100.10";
/// A client somewhere in the world, with a name.
const STRANGER: &str = "203.0.113.25";
/// Clients without a name; with one that leads elsewhere; whose address, or whose name, the DNS
/// can't resolve now.
const NAMELESS: &str = "203.0.113.26";
const LIAR: &str = "203.0.113.27";
const UNRESOLVED: &str = "203.0.113.28";
const LOST: &str = "203.0.113.29";
const BOTH: &[&str] = &[TRUSTED, STRANGER];

const FACTEUR: &str = "192.0.2.1";
const POSTFIX: &str = "192.0.2.2";
/// Where the first case is served.
const FIRST_PORT: usize = 3000;

const NAMES: &str = "
client.trusted.example      A    198.51.100.10
10.100.51.198.in-addr.arpa  PTR  client.trusted.example
stranger.example.net        A    203.0.113.25
25.113.0.203.in-addr.arpa   PTR  stranger.example.net
liar.example.net            A    203.0.113.99
27.113.0.203.in-addr.arpa   PTR  liar.example.net
28.113.0.203.in-addr.arpa   SERVFAIL
29.113.0.203.in-addr.arpa   PTR  lost.example.net
lost.example.net            SERVFAIL
known.example               MX   10 mx.known.example
mx.known.example            A    192.0.2.77
deep.sub.known.example      A    192.0.2.77
address.example             A    192.0.2.78
six.example                 AAAA 2001:db8::5
nullmx.example              MX   0 .
dangling.example            MX   10 mx.nowhere.example
alias.of.example            CNAME known.example
broken.example              SERVFAIL
silent.example              SILENCE
half.example                SERVFAIL MX
half.example                A    192.0.2.79
other-half.example          SERVFAIL A
below.nothing.example       A    192.0.2.80
";

/// Postfix's settings but for the lists; the domains are those of [`DOMAINS`].
const MAIN: &str = "\
myhostname = mail.example.net
mydomain = example.net
myorigin = local.example
mydestination = local.example, localhost
mynetworks = 198.51.100.0/24
relay_domains = relay.example
virtual_alias_domains = alias.example
virtual_mailbox_domains = mailbox.example
local_recipient_maps = texthash:/etc/tables/users
virtual_alias_maps = texthash:/etc/tables/virtual
virtual_mailbox_maps = texthash:/etc/tables/users
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_error_sleep_time = 0
in_flow_delay = 0
";

/// facteur's for the same.
const DOMAINS: &str = r#"
hostname = "mail.example.net"
[domains]
origin = "local.example"
local = ["local.example", "localhost"]
virtual-alias = ["alias.example"]
virtual-mailbox = ["mailbox.example"]
relay = ["relay.example", ".relay.example"]
[mailboxes]
users = "table:users"
path = "/var/mail/{domain}/{user}/"
owner = "louen"
[networks]
trusted = ["198.51.100.0/24"]
[dns]
servers = ["127.0.0.1"]
timeout = "1s"
[spool]
path = "/var/spool/facteur"
[[plugin]]
name = "aliases"
component = "builtin:aliases"
settings = { virtual = ["virtual"] }
grants = { lookup = ["virtual"] }
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
settings = { tables = ["transport"] }
grants = { lookup = ["transport"] }
"#;

/// `relay`, where a case doesn't say otherwise: neither server lets the world relay, whatever the
/// other lists say.
const RELAY: (&str, &str) = ("relay", "permit_mynetworks, reject_unauth_destination");

/// A table that lists may name, as `table:NAME`.
struct Table {
    name: &'static str,
    /// texthash, regexp or cidr, to either server.
    format: &'static str,
    text: &'static str,
}

const USERS: &str = "louen x\npostmaster x\nbox@mailbox.example x\n";
const VIRTUAL: &str = "known@alias.example louen@local.example\n";

/// Settings and a dialogue.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Lists of restrictions as in main.cf, by their stage.
    lists: &'static [(&'static str, &'static str)],
    /// smtpd_delay_reject = no.
    early: bool,
    /// No EHLO.
    silent: bool,
    clients: &'static [&'static str],
    /// The commands. Where none greets, EHLO comes first; where none begins with MAIL, there is one
    /// before the first RCPT. After a positive reply to DATA comes a message. [`HANDSHAKE`], with
    /// the name of a certificate to show after a blank, is no command.
    say: &'static [&'static str],
    /// Said before all of them, once: how a client proves who it is.
    proof: &'static [&'static str],
    /// Said before all that, which is then said again after each of them.
    each: &'static [&'static str],
    differs: &'static [Difference],
}

/// A reply that differs on purpose.
#[derive(Clone, Copy)]
struct Difference {
    /// The command.
    to: &'static str,
    /// To this client only.
    client: Option<&'static str>,
    facteur: &'static str,
    postfix: &'static str,
    why: &'static str,
}

/// What facteur and Postfix answer to a command, and why.
const fn differs(
    to: &'static str,
    facteur: &'static str,
    postfix: &'static str,
    why: &'static str,
) -> Difference {
    Difference { to, client: None, facteur, postfix, why }
}

impl Difference {
    const fn only_to(self, client: &'static str) -> Self {
        Self { client: Some(client), ..self }
    }
}

const fn case(
    name: &'static str,
    lists: &'static [(&'static str, &'static str)],
    say: &'static [&'static str],
) -> Case {
    Case {
        name,
        lists,
        early: false,
        silent: false,
        clients: BOTH,
        say,
        proof: &[],
        each: &[],
        differs: &[],
    }
}

impl Case {
    /// Asked early, not at RCPT.
    const fn early(self) -> Self {
        Self { early: true, ..self }
    }

    /// Without EHLO.
    const fn silent(self) -> Self {
        Self { silent: true, ..self }
    }

    const fn from(self, clients: &'static [&'static str]) -> Self {
        Self { clients, ..self }
    }

    const fn each(self, each: &'static [&'static str]) -> Self {
        Self { each, ..self }
    }

    const fn differs(self, differs: &'static [Difference]) -> Self {
        Self { differs, ..self }
    }
}

/// Said in a dialogue: the handshake, after a positive reply to STARTTLS.
const HANDSHAKE: &str = "(handshake)";
/// The name in the certificate of the two.
const NAME: &str = "mail.example.net";

/// What a test sets besides, for all of its cases.
#[derive(Clone, Copy, Default)]
struct More<'a> {
    /// In each `[[listen]]`.
    listen: &'a str,
    /// In the settings of the plugin.
    settings: &'a str,
    /// In `[domains]` and `[mailboxes]`.
    domains: &'a str,
    mailboxes: &'a str,
    /// Sections of facteur.toml.
    sections: &'a str,
    /// In main.cf.
    main: &'a str,
}

/// Where mail goes that was accepted: transports of the two.
struct Transports {
    facteur: &'static str,
    postfix: &'static str,
}

const DISCARD: Transports = Transports { facteur: "discard:", postfix: "discard" };

/// The two servers, and the DNS they ask.
struct Servers {
    dns: Dns,
    facteur: Facteur,
    postfix: Postfix,
}

impl Servers {
    /// Starts them with a port for each case.
    fn start(
        machine: &Machine,
        cases: &[Case],
        tables: &[Table],
        to: &Transports,
        more: More<'_>,
    ) -> Self {
        machine.addresses(&[FACTEUR, POSTFIX, TRUSTED, STRANGER, NAMELESS, LIAR, UNRESOLVED, LOST]);
        // What doesn't answer shall not take the test's time.
        machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        machine.write("/etc/tables/users", USERS);
        machine.write("/etc/tables/virtual", VIRTUAL);
        machine.write("/etc/tables/transport", &format!("* {}\n", to.facteur));
        for table in tables {
            machine.write(&format!("/etc/tables/{}", table.name), table.text);
        }
        let dns = Dns::start("127.0.0.1", NAMES);
        let mut main_cf = format!("{MAIN}{}", more.main);
        for class in ["local", "relay", "virtual", "default"] {
            let _ = writeln!(main_cf, "{class}_transport = {}", to.postfix);
        }
        let mut master_cf = String::new();
        let mut config = DOMAINS
            .replace("[domains]\n", &format!("[domains]\n{}\n", more.domains))
            .replace("[mailboxes]\n", &format!("[mailboxes]\n{}\n", more.mailboxes));
        for name in ["users", "virtual", "transport"] {
            let _ = writeln!(config, "[tables.{name}]\nfile = \"/etc/tables/{name}\"");
        }
        for Table { name, format, .. } in tables {
            let _ = writeln!(
                config,
                "[tables.{name}]\nfile = \"/etc/tables/{name}\"\nformat = \"{format}\""
            );
        }
        for (number, case) in cases.iter().enumerate() {
            let port = FIRST_PORT + number;
            master_cf += &case.master_cf(port, tables);
            config += &case.plugin(port, tables, more);
        }
        config += more.sections;
        let config = machine.write("/etc/facteur/facteur.toml", &config);
        let postfix =
            Postfix::start(machine, "postfix", &format!("{POSTFIX}:25"), &main_cf, &master_cf);
        let facteur = Facteur::start(machine, &config);
        Self { dns, facteur, postfix }
    }
}

impl Case {
    fn lists(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let relay =
            Some(RELAY).filter(|(relay, _)| self.lists.iter().all(|(list, _)| list != relay));
        relay.into_iter().chain(self.lists.iter().copied())
    }

    /// The service of this case.
    fn master_cf(&self, port: usize, tables: &[Table]) -> String {
        let mut service = format!("{POSTFIX}:{port} inet n - n - - smtpd\n");
        for (list, text) in self.lists() {
            let mut text = text.to_owned();
            for Table { name, format, .. } in tables {
                text =
                    text.replace(&format!("table:{name}"), &format!("{format}:/etc/tables/{name}"));
            }
            let list = list.replace('-', "_");
            let _ = writeln!(service, "  -o {{ smtpd_{list}_restrictions = {text} }}");
        }
        if self.early {
            service.push_str("  -o smtpd_delay_reject=no\n");
        }
        service
    }

    /// The listener and the plugin of this case.
    fn plugin(&self, port: usize, tables: &[Table], more: More<'_>) -> String {
        let mut text = format!(
            "[[listen]]\naddress = \"{FACTEUR}:{port}\"\nchain = \
             [\"aliases\", \"transport-map\", \"case-{port}\"]\n{}\n\
             [[plugin]]\nname = \"case-{port}\"\ncomponent = \"builtin:restrictions\"\nearly = {}\n\
             [plugin.settings]\n{}\n",
            more.listen, self.early, more.settings,
        );
        for (list, restrictions) in self.lists() {
            let _ = writeln!(text, "{list} = [\"{restrictions}\"]");
        }
        let lookup: Vec<_> = tables.iter().map(|table| table.name).collect();
        let _ = writeln!(text, "[plugin.grants]\nrelay = true\ndns = true\nlookup = {lookup:?}");
        text
    }

    /// The dialogue with all that goes without saying.
    fn commands(&self) -> Vec<&'static str> {
        let all: Vec<_> = match self.each {
            [] => self.say.to_vec(),
            each => {
                each.iter().flat_map(|first| [&[*first], self.say, &["RSET"]].concat()).collect()
            }
        };
        let says = |verb: &str| all.iter().any(|line| line.starts_with(verb));
        let greets = says("EHLO") || says("HELO") || self.silent;
        let mut needs_mail = !says("MAIL");
        let mut commands = Vec::new();
        if !greets {
            commands.push("EHLO client.example.net");
        }
        commands.extend(self.proof);
        for line in all {
            if needs_mail && line.starts_with("RCPT") {
                commands.push("MAIL FROM:<somebody@known.example>");
                needs_mail = false;
            }
            commands.push(line);
        }
        commands
    }

    /// What a server answers, beginning with the greeting.
    fn play(&self, from: &str, server: &str, port: usize) -> Vec<(String, String)> {
        let mut client = Client::connect(from, &format!("{server}:{port}"));
        let mut told = vec![("greeting".to_owned(), client.greeting.code.to_string())];
        for command in self.commands() {
            if let Some(own) = command.strip_prefix(HANDSHAKE) {
                let own = Some(own.trim()).filter(|own| !own.is_empty());
                client.secure(&Authority::client(own), NAME).expect("a handshake");
                continue;
            }
            let sent = client.try_write(format!("{command}\r\n").as_bytes());
            let Ok(reply) = sent.and_then(|()| client.try_reply()) else {
                told.push((command.to_owned(), CLOSED.to_owned()));
                break;
            };
            let mut text = comparable(command, &reply);
            if command == "DATA" && reply.code == 354 {
                let reply = client.content(b"Subject: x\r\n\r\nx\r\n");
                text = format!("{text}, {}", comparable(".", &reply));
            }
            told.push((command.to_owned(), text));
        }
        told
    }

    /// Compares what the two answer; what is unexpected is added to `problems`.
    fn compare(&self, port: usize, problems: &mut Vec<String>) {
        self.compare_each(&[self.proof], port, problems);
    }

    /// The same with each of these proofs.
    fn compare_each(
        &self,
        proofs: &[&'static [&'static str]],
        port: usize,
        problems: &mut Vec<String>,
    ) {
        let mut seen = vec![false; self.differs.len()];
        for (proof, from) in
            proofs.iter().flat_map(|proof| self.clients.iter().map(move |from| (proof, from)))
        {
            let case = Self { proof, ..*self };
            let ours = case.play(from, FACTEUR, port);
            let theirs: Vec<_> = case
                .play(from, POSTFIX, port)
                .into_iter()
                .map(|(to, text)| (to, completed(text)))
                .collect();
            case.judge(from, &ours, &theirs, &mut seen, problems);
        }
        self.all_seen(&seen, problems);
    }

    fn all_seen(&self, seen: &[bool], problems: &mut Vec<String>) {
        for (difference, seen) in self.differs.iter().zip(seen) {
            assert!(!difference.why.is_empty(), "{}", self.name);
            if !seen {
                problems.push(format!(
                    "{}: to {} there is no difference any more",
                    self.name, difference.to
                ));
            }
        }
    }

    fn judge(
        &self,
        from: &str,
        ours: &[(String, String)],
        theirs: &[(String, String)],
        seen: &mut [bool],
        problems: &mut Vec<String>,
    ) {
        // A reply that differs may end the one dialogue before the other.
        let missing = (String::new(), "nothing: the dialogue is over".to_owned());
        for step in 0..ours.len().max(theirs.len()) {
            let (our, their) =
                (ours.get(step).unwrap_or(&missing), theirs.get(step).unwrap_or(&missing));
            if our == their {
                continue;
            }
            let expected = self.differs.iter().position(|difference| {
                difference.to == our.0
                    && difference.client.is_none_or(|client| client == from)
                    && difference.facteur == our.1
                    && difference.postfix == their.1
            });
            match expected {
                Some(number) => seen[number] = true,
                None => problems.push(format!(
                    "{} from {from} {}: {}\n  facteur: {}\n  Postfix: {}",
                    self.name,
                    self.proof.concat(),
                    our.0,
                    our.1,
                    their.1
                )),
            }
        }
    }
}

const UNKNOWN_ANYWAY: &str = "a recipient that doesn't exist is refused at once, whatever becomes \
 of the rest: a refusal beats defer_if_permit";

/// The server hung up.
const CLOSED: &str = "the connection is closed";

/// A reply without what must differ: queue ids, and what EHLO offers.
fn comparable(command: &str, reply: &Reply) -> String {
    let text = match reply.text.split_once("queued as ") {
        Some((before, _)) => format!("{before}queued as ID"),
        None => reply.text.clone(),
    };
    if command.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("EHLO")) && reply.code == 250 {
        return "250".to_owned();
    }
    format!("{} {text}", reply.code)
}

/// A reply of Postfix as facteur has to give it. Postfix writes an address as it came; facteur has
/// one form for addresses, in replies as everywhere: with the origin, the domain in lower case.
fn completed(reply: String) -> String {
    let parts =
        reply.split_once('<').and_then(|(code, rest)| Some((code, rest.split_once(">: ")?)));
    let Some((code, (address, rest))) = parts else { return reply };
    let about_address = ["Sender address", "Recipient address", "Relay access"]
        .iter()
        .any(|what| rest.starts_with(what));
    if !about_address || address.is_empty() {
        return reply;
    }
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, "local.example"));
    format!("{code}<{local}@{}>: {rest}", domain.to_lowercase())
}

/// Plays all cases to both.
fn compare_all(machine: &Machine, cases: &[Case], tables: &[Table]) {
    let limits = More {
        listen: "limits = { errors = 1000 }",
        main: "smtpd_hard_error_limit = 1000\n",
        ..More::default()
    };
    let servers = Servers::start(machine, cases, tables, &DISCARD, limits);
    let mut problems = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        case.compare(FIRST_PORT + number, &mut problems);
    }
    assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
    assert!(!servers.dns.asked().is_empty());
    drop((servers.facteur, servers.postfix));
}
