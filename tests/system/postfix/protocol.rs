//! The protocol itself: the same octets to both, well-formed and not; every reply is compared,
//! code, enhanced code and text.

use facteur_tests::machine;

use super::*;

/// Octets, and how many replies they get.
#[derive(Clone, Copy)]
pub(super) struct Step(pub &'static str, pub usize);

/// A dialogue.
pub(super) struct Dialogue {
    name: &'static str,
    steps: &'static [Step],
}

/// Each line is a command with one reply.
macro_rules! dialogue {
    ($name:literal, $($line:literal)+) => {
        Dialogue { name: $name, steps: &[$(Step(concat!($line, "\r\n"), 1)),+] }
    };
}

/// Each is octets and the number of replies to them.
pub(super) const fn raw(name: &'static str, steps: &'static [Step]) -> Dialogue {
    Dialogue { name, steps }
}

impl Dialogue {
    fn play(&self, server: &str) -> Vec<(String, String)> {
        let mut client = Client::connect(STRANGER, &format!("{server}:{FIRST_PORT}"));
        let mut told = Vec::new();
        for Step(octets, replies) in self.steps {
            let shown = shown(octets);
            let sent = client.try_write(octets.as_bytes()).is_ok();
            for _ in 0..*replies {
                let Some(reply) = client.try_reply().ok().filter(|_| sent) else {
                    told.push((shown, CLOSED.to_owned()));
                    return told;
                };
                told.push((shown.clone(), comparable(octets, &reply)));
            }
        }
        told
    }
}

/// The first line of what was sent, or as much of it as can be read.
fn shown(octets: &str) -> String {
    let line = octets.lines().next().unwrap_or_default();
    line.chars().take(60).collect()
}

const DIALOGUES: &[Dialogue] = &[
    dialogue!("the usual \
     one", "EHLO x" "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example>" "DATA"
        "Subject: x\r\n\r\nx\r\n." "QUIT" "NOOP"),
    dialogue!("HELO", "HELO x" "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example>" "DATA" "." "QUIT"),
    dialogue!("no greeting", "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example>" "DATA" "." "quit"),
    dialogue!("greetings", "HELO" "EHLO" "HELO  " "EHLO  x  " "EHLO x y z" "HELO <x>" "EHLO x" "helo x" "eHlO x"),
    dialogue!("unknown commands", "FOO" "FOO bar" "XCLIENT NAME=x" "XFORWARD NAME=x" "HELP" "EXPN x" "SEND FROM:<a@b>" "TURN"
        "ETRN" "ETRN local.example" "LHLO x" "AUTH" "AUTH PLAIN" "STARTTLS" "STARTTLS now" "" "  " "\t"),
    dialogue!("a command after ETRN", "EHLO x" "ETRN local.example" "NOOP"),
    dialogue!("XCLIENT by nobody's \
     leave", "EHLO x" "XCLIENT ADDR=198.51.100.10" "XFORWARD ADDR=198.51.100.10"),
    dialogue!("case and spaces", "ehlo x" "mail from:<a@known.example>" "RSET" "Mail From:<a@known.example>" "rcpt to:<louen@local.example>"
        "rset" " MAIL FROM:<a@known.example>" "RSET" "MAIL  FROM:<a@known.example>" "RSET" "MAIL FROM: <a@known.example>" "RSET"
        "MAIL FROM:   <a@known.example>  \
         " "RSET" "MAIL\tFROM:<a@known.example>" "RSET" "MAIL FROM :<a@known.example>" "RSET"
        "MAIL FROM<a@known.example>" "MAIL FROM a@known.example" "NOOP "),
    dialogue!("sequence", "EHLO x" "RCPT TO:<louen@local.example>" "DATA" "BDAT 0 LAST" "MAIL FROM:<a@known.example>"
        "MAIL FROM:<b@known.example>" "DATA" "RCPT TO:<nobody@local.example>" "DATA" "RCPT TO:<louen@local.example>"
        "EHLO x" "RCPT TO:<louen@local.example>" "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example>" "RSET" "DATA"),
    dialogue!("arguments", "EHLO x" "RSET x" "NOOP x" "QUIT x"),
    dialogue!("arguments of \
     DATA", "EHLO x" "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example>" "DATA now" "NOOP x y"
        "DATA" "." ),
    dialogue!("MAIL", "EHLO x" "MAIL" "MAIL FROM" "MAIL FROM:" "MAIL FROM: \
     " "MAIL TO:<a@known.example>" "MAIL <a@known.example>"
        "MAIL FROM:<" "MAIL FROM:>" "MAIL FROM:<a@known.example" "MAIL FROM:a@known.example>" "RSET" "MAIL FROM:<<a@known.example>>"
        "RSET" "MAIL FROM:<a@known.example> junk"),
    dialogue!("senders", "EHLO x" "MAIL FROM:<>" "RSET" "MAIL FROM:< \
     >" "RSET" "MAIL FROM:a@known.example" "RSET" "MAIL FROM:bare" "RSET"
        "MAIL FROM:<@>" "RSET" "MAIL FROM:<@known.example>" "RSET" "MAIL FROM:<a@>" "RSET" "MAIL FROM:<\"\"@known.example>" "RSET"
        "MAIL FROM:<a \
         b@known.example>" "RSET" "MAIL FROM:<\"a \
          b\"@known.example>" "RSET" "MAIL FROM:<\"a\\\"b\"@known.example>" "RSET"
        "MAIL FROM:<a\\ b@known.example>" "RSET"),
    dialogue!("more senders", "EHLO x" "MAIL FROM:<\"a@known.example>" "RSET" "MAIL FROM:<a..b@known.example>" "RSET" "MAIL FROM:<.a@known.example>"
        "RSET" "MAIL FROM:<a.@known.example>" "RSET" "MAIL FROM:<a@known..example>" "RSET" "MAIL FROM:<a@-known.example>" "RSET"
        "MAIL FROM:<a@known-.example>" "RSET" "MAIL FROM:<a@known.example.>" "RSET" "MAIL FROM:<a@.known.example>" "RSET"),
    dialogue!("domains of \
     senders", "EHLO x" "MAIL FROM:<a@under_score.example>" "RSET" "MAIL FROM:<a@123>" "RSET" "MAIL FROM:<a@1.2.3.4>" "RSET"
        "MAIL FROM:<a@[192.0.2.1]>" "RSET" "MAIL FROM:<a@[192.0.2.300]>" "RSET" "MAIL FROM:<a@[IPv6:2001:db8::1]>" "RSET"
        "MAIL FROM:<a@[2001:db8::1]>" "RSET" "MAIL FROM:<a@[]>" "RSET" "MAIL FROM:<a@[192.0.2.1>" "RSET" "MAIL FROM:<a@known,example>" "RSET"),
    dialogue!("comments and routes in \
     senders", "EHLO x" "MAIL FROM:<@relay.example:a@known.example>" "RSET"
        "MAIL FROM:<@relay.example,@b.example:a@known.example>" "RSET" "MAIL FROM:<@relay.example>" "RSET"
        "MAIL FROM:<a%b@known.example>" "RSET" "MAIL FROM:<a!b@known.example>" "RSET" "MAIL FROM:<a@b@known.example>" "RSET"
        "MAIL FROM:Name <a@known.example>" "RSET" "MAIL FROM:<a@known.example (x)>" "RSET"),
    dialogue!("RCPT", "EHLO x" "MAIL FROM:<a@known.example>" "RCPT" "RCPT TO" "RCPT TO:" "RCPT TO:<>" "RCPT TO:< >" "RCPT FROM:<louen@local.example>"
        "RCPT TO:louen@local.example" "RCPT TO:louen" "RCPT TO:<louen@local.example" "RCPT TO:louen@local.example>"
        "RCPT TO: <louen@local.example> " "RCPT TO:<louen@local.example> junk" "RCPT TO:<@>"),
    dialogue!("recipients", "EHLO x" "MAIL FROM:<a@known.example>" "RCPT TO:<\"louen\"@local.example>" "RCPT TO:<\"lou en\"@local.example>"
        "RCPT TO:<lou \
         en@local.example>" "RCPT TO:<@relay.example:louen@local.example>" "RCPT TO:<louen@local..example>"
        "RCPT TO:<louen@local.example.>" "RCPT TO:<lou\\en@local.example>" "RCPT TO:<@local.example>" "RCPT TO:<louen@>"
        "RCPT TO:<a@-dash.example>" "RCPT TO:<postmaster>" "RCPT TO:postmaster" "RCPT TO:<\"\"@local.example>"),
    dialogue!("SIZE", "EHLO x" "MAIL FROM:<a@known.example> \
     SIZE=100" "RSET" "MAIL FROM:<a@known.example> SIZE=2000000" "RSET"
        "MAIL FROM:<a@known.example> \
         SIZE=99999999999999999999999" "RSET" "MAIL FROM:<a@known.example> SIZE=" "RSET"
        "MAIL FROM:<a@known.example> \
         SIZE=-1" "RSET" "MAIL FROM:<a@known.example> \
          SIZE=1x" "RSET" "MAIL FROM:<a@known.example> SIZE" "RSET"
        "MAIL FROM:<a@known.example> size=1" "RSET" "MAIL FROM:<a@known.example> SIZE=0" "RSET"),
    dialogue!("BODY", "EHLO x" "MAIL FROM:<a@known.example> \
     BODY=8BITMIME" "RSET" "MAIL FROM:<a@known.example> body=7bit" "RSET"
        "MAIL FROM:<a@known.example> \
         BODY=BINARYMIME" "RSET" "MAIL FROM:<a@known.example> \
          BODY=" "RSET" "MAIL FROM:<a@known.example> BODY" "RSET"
        "MAIL FROM:<a@known.example> BODY=8BITMIME \
         SIZE=1" "RSET" "MAIL FROM:<a@known.example> FOO=bar" "RSET"
        "MAIL FROM:<a@known.example> \
         SMTPUTF8" "RSET" "MAIL FROM:<a@known.example> \
          AUTH=<>" "RSET" "MAIL FROM:<a@known.example>SIZE=1" "RSET"),
    dialogue!("parameters after \
     HELO", "HELO x" "MAIL FROM:<a@known.example> BODY=8BITMIME \
      SIZE=100" "RCPT TO:<louen@local.example> NOTIFY=NEVER"),
    dialogue!("RET and ENVID", "EHLO x" "MAIL FROM:<a@known.example> RET=FULL \
     ENVID=abc" "RSET" "MAIL FROM:<a@known.example> RET=hdrs" "RSET"
        "MAIL FROM:<a@known.example> \
         RET=NO" "RSET" "MAIL FROM:<a@known.example> \
          RET=" "RSET" "MAIL FROM:<a@known.example> RET=FULL RET=FULL" "RSET"
        "MAIL FROM:<a@known.example> \
         ENVID=a+2Bb" "RSET" "MAIL FROM:<a@known.example> \
          ENVID=a+ZZ" "RSET" "MAIL FROM:<a@known.example> ENVID=" "RSET"
        "MAIL FROM:<a@known.example> ENVID=a ENVID=b" "RSET"),
    dialogue!("NOTIFY", "EHLO x" "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example> \
     NOTIFY=SUCCESS,FAILURE,DELAY"
        "RCPT TO:<louen@local.example> \
         NOTIFY=NEVER" "RCPT TO:<louen@local.example> \
          notify=success" "RCPT TO:<louen@local.example> NOTIFY="
        "RCPT TO:<louen@local.example> \
         NOTIFY=NEVER,SUCCESS" "RCPT TO:<louen@local.example> NOTIFY=SOMETIMES"
        "RCPT TO:<louen@local.example> NOTIFY=SUCCESS \
         NOTIFY=DELAY" "RCPT TO:<louen@local.example> NOTIFY=SUCCESS,SUCCESS"
        "RCPT TO:<louen@local.example> NOTIFY"),
    dialogue!("ORCPT", "EHLO x" "MAIL FROM:<a@known.example>" "RCPT TO:<louen@local.example> \
     ORCPT=rfc822;x@known.example"
        "RCPT TO:<louen@local.example> \
         ORCPT=rfc822;a+2Bb@known.example" "RCPT TO:<louen@local.example> ORCPT=rfc822;a+ZZ"
        "RCPT TO:<louen@local.example> \
         ORCPT=x@known.example" "RCPT TO:<louen@local.example> \
          ORCPT=;x" "RCPT TO:<louen@local.example> ORCPT="
        "RCPT TO:<louen@local.example> \
         ORCPT=rfc822;" "RCPT TO:<louen@local.example> ORCPT=rfc822;a ORCPT=rfc822;b"
        "RCPT TO:<louen@local.example> FOO=bar" "RCPT TO:<louen@local.example> SIZE=1"),
    dialogue!("VRFY", "EHLO x" "VRFY" "VRFY louen" "VRFY louen@local.example" "VRFY <louen@local.example>" "VRFY nobody@local.example"
        "VRFY x@known.example" "VRFY <>" "VRFY a b" "VRFY postmaster"),
    raw(
        "BDAT",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 12\r\nSubject: x\r\n", 1),
            Step("BDAT 5 LAST\r\n\r\nx\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "BDAT without anything",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 0 LAST\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "BDAT of nothing, and not the last",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 0\r\n", 1),
            Step("BDAT 2 LAST\r\nx\n", 1),
            Step("NOOP\r\n", 1),
            Step("RSET\r\n", 1),
        ],
    ),
    raw(
        "BDAT and other commands",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 3\r\nx\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("DATA\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("NOOP\r\n", 1),
            Step("RSET\r\n", 1),
            Step("BDAT 3 LAST\r\nx\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
        ],
    ),
    raw(
        "BDAT without recipients",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<nobody@local.example>\r\n", 1),
            Step("BDAT 3 LAST\r\nx\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "BDAT that is too much",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 3\r\nx\r\n", 1),
            Step("RSET\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "BDAT without a number",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "BDAT with a wrong number",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT x LAST\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "BDAT with a wrong word",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 3 FIRST\r\nx\r\n", 1),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "a BDAT shorter than what follows",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<louen@local.example>\r\n", 1),
            Step("BDAT 3 LAST\r\nx\r\ny\r\nNOOP\r\n", 3),
        ],
    ),
    raw(
        "pipelined",
        &[
            Step("EHLO x\r\n", 1),
            Step(
                "MAIL FROM:<a@known.example>\r\nRCPT TO:<louen@local.example>\r\nRCPT \
                 TO:<nobody@local.example>\r\nDATA\r\n",
                4,
            ),
            Step(".\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n", 4),
            Step("NOOP\r\n", 1),
        ],
    ),
    raw(
        "DATA refused, with the message behind it",
        &[
            Step("EHLO x\r\n", 1),
            Step(
                "MAIL FROM:<a@known.example>\r\nRCPT TO:<nobody@local.example>\r\nDATA\r\n.\r\n\
                 NOOP\r\n",
                5,
            ),
        ],
    ),
    raw(
        "pipelined junk",
        &[Step(
            "EHLO x\r\nFOO\r\nMAIL\r\nRCPT TO:<louen@local.example>\r\nDATA\r\nMAIL \
             FROM:<a@known.example>\r\nNOOP\r\n",
            7,
        )],
    ),
    raw(
        "a message without DATA",
        &[Step("EHLO x\r\n", 1), Step("Subject: x\r\n", 1), Step("NOOP\r\n", 1)],
    ),
    raw("GET", &[Step("GET / HTTP/1.0\r\n", 1), Step("NOOP\r\n", 1)]),
    raw("POST", &[Step("POST / HTTP/1.0\r\n", 1), Step("NOOP\r\n", 1)]),
    raw("CONNECT", &[Step("CONNECT x:25 HTTP/1.0\r\n", 1), Step("NOOP\r\n", 1)]),
    raw("a line that begins with a digit", &[Step("220 x\r\n", 1), Step("NOOP\r\n", 1)]),
    raw("a line that begins with a bracket", &[Step("<html>\r\n", 1), Step("NOOP\r\n", 1)]),
    raw("a line that begins with a space", &[Step(" NOOP\r\n", 1), Step("NOOP\r\n", 1)]),
    raw(
        "UTF-8",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<é@known.example>\r\n", 1),
            Step("RSET\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\n", 1),
            Step("RCPT TO:<é@local.example>\r\n", 1),
            Step("NOOP é\r\n", 1),
        ],
    ),
    raw("UTF-8 as a command", &[Step("é\r\n", 1), Step("NOOP\r\n", 1)]),
    raw(
        "control characters",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a\u{1}b@known.example>\r\n", 1),
            Step("RSET\r\n", 1),
            Step("MAIL FROM:<a@known.example>\u{0}\r\n", 1),
            Step("RSET\r\n", 1),
            Step("NOOP\u{0}\r\n", 1),
        ],
    ),
    raw(
        "bare line ends",
        &[Step("EHLO x\n", 1), Step("NOOP\n", 1), Step("NOOP\rNOOP\r\n", 1), Step("NOOP\r\r\n", 1)],
    ),
];

const NOT_RECOGNIZED: &str = "500 5.5.2 Error: command not recognized";
const BAD_SENDER: &str = "501 5.1.7 Bad sender address syntax";
const BAD_RECIPIENT: &str = "501 5.1.3 Bad recipient address syntax";
const SENDER_OK: &str = "250 2.1.0 Ok";
const RECIPIENT_OK: &str = "250 2.1.5 Ok";
const NESTED: &str = "503 5.5.1 Error: nested MAIL command";
const HELP: &str = "214 2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS AUTH HELP QUIT";
const HELPFUL: &str = "HELP is a command of RFC 5321 that Postfix doesn't know";
const ETRN: &str = "no queue is flushed because a client asks for it";
const MALFORMED: &str = "Postfix makes something of a malformed address (often the null sender); \
 what must be guessed at is refused";
const VRFY: &str = "VRFY says 252 without asking (RFC 5321 section 3.5.3), so that nobody learns \
 from it who exists";
const UTF8: &str = "facteur speaks SMTPUTF8, which the harness turns off in Postfix";
const CONTROL: &str = "control characters are no part of any command";
const AUTH: &str = "the parameter belongs to an extension that isn't offered";
const BDAT_TEXT: &str = "the reply to the last chunk is the one to DATA";

/// In whatever dialogue.
const DIFFERENCES: &[Difference] = &[
    differs("HELP", HELP, NOT_RECOGNIZED, HELPFUL),
    differs("ETRN", NOT_RECOGNIZED, "500 Syntax: ETRN domain", ETRN),
    differs("ETRN local.example", NOT_RECOGNIZED, "459 <local.example>: service unavailable", ETRN),
    differs("MAIL FROM:>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("MAIL FROM:<a@known.example", BAD_SENDER, NESTED, MALFORMED),
    differs("MAIL FROM:a@known.example>", BAD_SENDER, NESTED, MALFORMED),
    differs("MAIL FROM:<<a@known.example>>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("MAIL FROM:<@known.example>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("MAIL FROM:<\"\"@known.example>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("MAIL FROM:<a@[192.0.2.1>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("MAIL FROM:<@relay.example>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("MAIL FROM:<a@known.example (x)>", BAD_SENDER, SENDER_OK, MALFORMED),
    differs("RCPT TO:louen@local.example>", BAD_RECIPIENT, RECIPIENT_OK, MALFORMED),
    differs("RCPT TO:<@local.example>", BAD_RECIPIENT, RECIPIENT_OK, MALFORMED),
    differs("RCPT TO:<\"\"@local.example>", BAD_RECIPIENT, RECIPIENT_OK, MALFORMED),
    differs(
        "RCPT TO:<\"lou en\"@local.example>",
        "550 5.1.1 <\"lou en\"@local.example>: Recipient address rejected: User unknown in local \
         recipient table",
        "550 5.1.1 <lou en@local.example>: Recipient address rejected: User unknown in local \
         recipient table",
        "the host writes an address with the quotes that it needs",
    ),
    differs(
        "RCPT TO:<@relay.example:louen@local.example>",
        "554 5.7.1 <louen@local.example>: Relay access denied",
        RECIPIENT_OK,
        "reject_unauth_destination refuses source routes, wherever they lead; Postfix drops them",
    ),
    differs(
        "MAIL FROM:<a@known.example> SMTPUTF8",
        SENDER_OK,
        "555 5.5.4 Unsupported option: SMTPUTF8",
        UTF8,
    ),
    differs(
        "VRFY",
        "501 5.5.4 Syntax: VRFY address [SMTPUTF8]",
        "501 5.5.4 Syntax: VRFY address",
        UTF8,
    ),
    differs(
        "MAIL FROM:<é@known.example>",
        "553 5.6.7 Must declare SMTPUTF8 to send unicode address",
        SENDER_OK,
        UTF8,
    ),
    differs(
        "RCPT TO:<é@local.example>",
        "553 5.6.7 Must declare SMTPUTF8 to send unicode address",
        "550 5.1.1 <  @local.example>: Recipient address rejected: User unknown in local recipient \
         table",
        UTF8,
    ),
    differs(
        "MAIL FROM:<a@known.example> AUTH=<>",
        "555 5.5.4 Unsupported option: AUTH=<>",
        SENDER_OK,
        AUTH,
    ),
    differs(
        "VRFY nobody@local.example",
        "252 2.0.0 nobody@local.example",
        "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
         recipient table",
        VRFY,
    ),
    differs(
        "VRFY x@known.example",
        "252 2.0.0 x@known.example",
        "554 5.7.1 <x@known.example>: Relay access denied",
        VRFY,
    ),
    differs(
        "BDAT 5 LAST",
        "250 2.0.0 Ok: queued as ID",
        "250 2.0.0 Ok: 17 bytes queued as ID",
        BDAT_TEXT,
    ),
    differs(
        "BDAT 0 LAST",
        "250 2.0.0 Ok: queued as ID",
        "250 2.0.0 Ok: 0 bytes queued as ID",
        BDAT_TEXT,
    ),
    differs(
        "BDAT 3 LAST",
        "250 2.0.0 Ok: queued as ID",
        "250 2.0.0 Ok: 3 bytes queued as ID",
        BDAT_TEXT,
    ),
    differs("MAIL FROM:<a\u{1}b@known.example>", BAD_SENDER, SENDER_OK, CONTROL),
    differs("MAIL FROM:<a@known.example>\u{0}", BAD_SENDER, SENDER_OK, CONTROL),
    differs("NOOP\u{0}", NOT_RECOGNIZED, "250 2.0.0 Ok", CONTROL),
];

/// Made here: they are long.
fn long_lines() -> Vec<Dialogue> {
    let leak = |text: String| -> &'static str { text.leak() };
    let line = |length: usize| leak(format!("NOOP {}\r\n", "x".repeat(length)));
    let recipient =
        |local: usize| leak(format!("RCPT TO:<{}@local.example>\r\n", "x".repeat(local)));
    let one = |name, steps: Vec<Step>| Dialogue { name, steps: steps.leak() };
    let errors = |name, command, count| one(name, (0..count).map(|_| Step(command, 1)).collect());
    vec![
        one("long lines", vec![Step(line(500), 1), Step(line(2000), 1), Step("NOOP\r\n", 1)]),
        one(
            "long addresses",
            vec![
                Step("EHLO x\r\n", 1),
                Step("MAIL FROM:<a@known.example>\r\n", 1),
                Step(recipient(64), 1),
                Step(recipient(65), 1),
                Step(recipient(200), 1),
            ],
        ),
        errors("too many errors", "FOO\r\n", 25),
        errors("too many refusals", "RCPT TO:<louen@local.example>\r\n", 25),
        errors("too many NOOPs", "NOOP\r\n", 125),
        errors("too many VRFYs", "VRFY postmaster\r\n", 125),
    ]
}

#[test]
fn replies_are_those_of_postfix() {
    const SETTINGS: Case = case("protocol", &[], &[]);
    machine(|machine| {
        let limits = More {
            listen: "limits = { message-size = 1_000_000 }",
            main: "message_size_limit = 1000000\n",
            ..More::default()
        };
        let long = long_lines();
        let dialogues = DIALOGUES.iter().chain(&long);
        compare(machine, SETTINGS.differs(DIFFERENCES), dialogues, limits);
    });
}

/// Plays the dialogues to both.
pub(super) fn compare<'a>(
    machine: &Machine,
    case: Case,
    dialogues: impl IntoIterator<Item = &'a Dialogue>,
    more: More<'_>,
) {
    let servers = Servers::start(machine, &[case], &[], &DISCARD, more);
    let mut problems = Vec::new();
    let mut seen = vec![false; case.differs.len()];
    for dialogue in dialogues {
        let theirs = dialogue.play(POSTFIX);
        let theirs: Vec<_> = theirs.into_iter().map(|(to, text)| (to, completed(text))).collect();
        let judge = Case { name: dialogue.name, ..case };
        judge.judge(STRANGER, &dialogue.play(FACTEUR), &theirs, &mut seen, &mut problems);
    }
    case.all_seen(&seen, &mut problems);
    assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
    drop(servers);
}

/// What EHLO offers, word for word but for what is meant to differ.
#[test]
fn ehlo_offers_what_postfix_offers() {
    machine(|machine| {
        let _servers =
            Servers::start(machine, &[case("protocol", &[], &[])], &[], &DISCARD, More::default());
        let offered = |server: &str| {
            let mut client = Client::connect(STRANGER, &format!("{server}:{FIRST_PORT}"));
            let mut lines: Vec<_> = client.ehlo().text.lines().map(str::to_owned).collect();
            lines[1..].sort();
            lines
        };
        let (mut ours, theirs) = (offered(FACTEUR), offered(POSTFIX));
        // RFC 6531 is always spoken; the harness turns it off in Postfix, which needs a table of
        // the system's for it.
        ours.retain(|line| line != "SMTPUTF8");
        // Postfix knows neither HELP nor RFC 9422.
        ours.retain(|line| line != "HELP" && line != "LIMITS RCPTMAX=1000");
        // There is no queue that is flushed for a domain because a stranger asks for it.
        let theirs: Vec<_> = theirs.into_iter().filter(|line| line != "ETRN").collect();
        assert_eq!(ours, theirs);
        let greeting =
            |server: &str| Client::connect(STRANGER, &format!("{server}:{FIRST_PORT}")).greeting;
        assert_eq!(greeting(FACTEUR), "220 mail.example.net ESMTP facteur");
        assert_eq!(greeting(POSTFIX), "220 mail.example.net ESMTP Postfix");
    });
}
