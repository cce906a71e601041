//! The last step before the store: a message that was accepted gets its Received: header and its
//! final recipients.
//!
//! Nothing is decided here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};
use facteur_policy::{
    Actions, ClientCertificate, Content, FinalRecipient, Outgoing, SessionFacts, TlsFacts,
    Unavailable, header_line,
};
use facteur_smtp::{Address, BodyType, MailParameters, Notify, RcptParameters, Reply, ReversePath};
use facteur_spool::{
    Client, Hold, MessageHead, MessageId, NewBody, NewMessage, QueueId, Queued, RecipientHead,
    SpoolError, Target, Timestamp,
};

use crate::queue::entry;
use crate::receive::bodies;
use crate::receive::mta::Mta;
use crate::recipient;

/// An accepted message, before it is stored.
pub struct Accepted<'a> {
    /// Who handed it in.
    pub session: &'a SessionFacts,
    /// EHLO.
    pub esmtp: bool,
    /// The envelope sender; none is the null sender.
    pub sender: ReversePath,
    /// Of MAIL.
    pub parameters: &'a MailParameters,
    /// Of each accepted RCPT.
    pub recipients: &'a [RcptParameters],
    /// The trace header says nothing of the client.
    pub hide_client: bool,
    /// What policy made of the envelope.
    pub outgoing: Outgoing,
    /// What was received.
    pub body: NewBody,
}

/// Stores it, and hands it to the queue. Returns once it is on the disk.
///
/// # Errors
/// The reply for the client; nothing was stored then, or may have been if the spool failed just
/// now.
pub async fn accept(mta: &Mta, accepted: Accepted<'_>) -> Result<Option<Queued>, Reply> {
    let Accepted { session, esmtp, sender, parameters, recipients, .. } = accepted;
    let Accepted { hide_client, outgoing, body, .. } = accepted;
    let sender = outgoing.sender.unwrap_or(sender);
    let client = Client {
        address: session.client_ip().to_string(),
        name: session.known_name().unwrap_or("unknown").to_owned(),
        helo: session.helo().unwrap_or_default(),
        protocol: protocol(session, esmtp, parameters.smtputf8),
        login: session.login().map(str::to_owned),
    };
    if outgoing.discard || outgoing.recipients.is_empty() {
        tracing::info!(sender = %entry::shown(sender.as_ref()), "discarded");
        return Ok(None);
    }
    let snapshot = mta.in_force.load();
    let sole = (outgoing.recipients.len() == 1).then(|| &outgoing.recipients[0].original);
    let mut header = BytesMut::with_capacity(512);
    for (name, value) in &outgoing.actions.headers {
        header.put_slice(&header_line(name, value));
    }
    let queue_id = mta.spool.queue_id();
    if let Some(origin) = session.origin() {
        tracing::info!(id = %queue_id, origin, "forwarded");
    }
    let own = header.len();
    let shown = (!hide_client).then_some((&client, session.tls()));
    let word = &client.protocol;
    received(&mut header, shown, word, &snapshot.config.hostname, queue_id, sole);
    let trace = own..header.len();
    let body = match &outgoing.edited {
        None => body,
        Some(edited) => {
            let (prefix, body) = bodies::store(&mta.spool, edited, body).await?;
            header.put_slice(&prefix);
            body
        }
    };
    let utf8 = parameters.smtputf8
        && (!header[..trace.start].is_ascii()
            || !header[trace.end..].is_ascii()
            || are_international(&*bodies::content(body.body()))
                .map_err(|error| bodies::unreadable(&error))?);
    let head = MessageHead {
        id: MessageId::random().map_err(|error| SpoolError::from(error).reply())?,
        queue_id,
        sender,
        received_at: Timestamp::now(),
        header: header.freeze(),
        client,
        utf8,
        eight_bit: parameters.body == BodyType::EightBitMime,
        ret: parameters.ret,
        envid: parameters.envid.clone(),
        tags: outgoing.tags,
    };
    let new = NewMessage {
        head,
        body,
        hold: hold(outgoing.actions),
        recipients: received_recipients(outgoing.recipients, recipients),
    };
    let queued = mta.queue.insert(new).await.map_err(|error| {
        tracing::error!(%error, kind = error.label(), "not queued");
        error.reply()
    })?;
    Ok(Some(queued))
}

/// What keeps it in the queue: quarantine, where both were asked for.
fn hold(actions: Actions) -> Option<Hold> {
    actions.quarantine.map(Hold::Quarantine).or(actions.hold.map(Hold::Hold))
}

/// The same with what the client said at the RCPT that each came from. Where an address stood for
/// others, its sender hears of the success of that address, and of none of them.
fn received_recipients(
    all: Vec<FinalRecipient>,
    parameters: &[RcptParameters],
) -> Vec<RecipientHead> {
    let mut aliases: BTreeMap<usize, FinalRecipient> = BTreeMap::new();
    for one in &all {
        if let Some(number) = one.rcpt.filter(|_| one.address != one.original) {
            let alias = aliases.entry(number).or_insert_with(|| one.clone());
            alias.sender = alias.sender.take().or_else(|| one.sender.clone());
        }
    }
    let received = |one: FinalRecipient| {
        let alias = one.rcpt.is_some_and(|number| aliases.contains_key(&number));
        match one.rcpt.and_then(|number| parameters.get(number)) {
            Some(given) if alias => {
                recipient::new(one, given.notify.map(Notify::without_success), given.orcpt.clone())
            }
            Some(given) => recipient::new(one, given.notify, given.orcpt.clone()),
            // A copy that a plugin added is nobody's to be told about.
            None => recipient::new(one, Some(Notify::NEVER), None),
        }
    };
    let mut recipients: Vec<RecipientHead> = all.into_iter().map(received).collect();
    for (number, alias) in aliases {
        let Some(given) = parameters.get(number) else { continue };
        if given.notify.is_some_and(|notify| notify.success) {
            recipients.push(RecipientHead {
                address: alias.original.clone(),
                target: if alias.sender.is_some() { Target::List } else { Target::Alias },
                sender: None,
                refusal: None,
                // It stands for the address itself, which came by no alias.
                tags: Vec::new(),
                ..recipient::new(alias, given.notify, given.orcpt.clone())
            });
        }
    }
    recipients
}

/// RFC 3848, RFC 6531 section 4.3. There is no word for HELO under TLS.
fn protocol(session: &SessionFacts, esmtp: bool, utf8: bool) -> String {
    let word = match (esmtp, utf8) {
        (_, true) => "UTF8SMTP",
        (true, false) => "ESMTP",
        (false, false) => return "SMTP".to_owned(),
    };
    let tls = if session.tls().is_some() { "S" } else { "" };
    let login = if session.login().is_some() { "A" } else { "" };
    [word, tls, login].concat()
}

/// What was agreed on, as Postfix writes it (`smtpd_tls_received_header`).
fn comment(tls: &TlsFacts) -> String {
    let TlsFacts { version, cipher, bits, .. } = tls;
    let exchange = tls.key_exchange.map(|name| format!("\r\n\t key-exchange {name}"));
    let client = match &tls.client {
        Some(ClientCertificate { subject, issuer, verified, .. }) => {
            let verified = if *verified { "verified OK" } else { "not verified" };
            format!("\r\n\t(Client CN \"{subject}\",\r\n\t Issuer \"{issuer}\" ({verified}))")
        }
        None if tls.asked => "\r\n\t(Client did not present a certificate)".to_owned(),
        None => "\r\n\t(No client certificate requested)".to_owned(),
    };
    format!(
        "\r\n\t(using {version} with cipher {cipher} ({bits}/{bits} bits){})",
        exchange.unwrap_or_default()
    ) + &client
}

/// Trace information (RFC 5321 section 4.4); without a client, nothing is told of it.
fn received(
    header: &mut BytesMut,
    client: Option<(&Client, Option<&TlsFacts>)>,
    protocol: &str,
    hostname: &str,
    id: QueueId,
    sole: Option<&Address>,
) {
    let now = jiff::Zoned::now();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S %z (%Z)");
    // An alias may lead from a local part that isn't ASCII to a server that can't take one.
    let sole = sole.filter(|to| !to.needs_smtputf8());
    // Writing to a BytesMut can't fail: it grows.
    let _ = match client {
        Some((client, tls)) => {
            let helo = if client.helo.is_empty() { &client.name } else { &client.helo };
            let tls = tls.map(comment).unwrap_or_default();
            let address = bracketed(&client.address);
            write!(header, "Received: from {helo} ({} {address}){tls}", client.name)
        }
        None => write!(header, "Received: from hidden"),
    };
    let _ = write!(header, "\r\n\tby {hostname} (facteur) with {protocol} id {id}");
    let _ = match sole {
        Some(to) => write!(header, "\r\n\tfor <{}>; {date}\r\n", to.wire()),
        None => write!(header, ";\r\n\t{date}\r\n"),
    };
}

/// An address literal (RFC 5321 section 4.1.3).
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[IPv6:{address}]") } else { format!("[{address}]") }
}

/// Whether the headers hold what only SMTPUTF8 allows there (RFC 6531 section 3.4).
///
/// # Errors
/// The body can't be read back.
fn are_international(content: &dyn Content) -> Result<bool, Unavailable> {
    Ok(!content.headers()?.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_success_of_an_alias_is_told_and_none_of_its_members() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let to = |text: &str, rcpt: usize, sender: Option<&str>| FinalRecipient {
            address: address(text),
            original: address(["team@here.test", "list@here.test", "box@here.test"][rcpt]),
            rcpt: Some(rcpt),
            class: facteur_policy::Class::Local,
            sender: sender.map(address),
            refusal: None,
            alias: None,
            list: None,
        };
        let all = vec![
            to("a@here.test", 0, None),
            to("team@here.test", 0, None),
            to("b@there.test", 1, Some("owner-list@here.test")),
            to("box@here.test", 2, None),
        ];
        let given = RcptParameters { notify: "SUCCESS,DELAY".parse().ok(), orcpt: None };
        let told: Vec<String> = received_recipients(all, &[given.clone(), given.clone(), given])
            .iter()
            .map(|one| {
                let notify = one.notify.unwrap_or(Notify::NEVER);
                let from = one.sender.clone().flatten().is_some();
                format!("{} {notify} {:?} {from}", one.address, one.target)
            })
            .collect();
        let expected = [
            "a@here.test DELAY Address false",
            "team@here.test DELAY Address false",
            "b@there.test DELAY Address true",
            "box@here.test SUCCESS,DELAY Address false",
            "team@here.test SUCCESS,DELAY Alias false",
            "list@here.test SUCCESS,DELAY List false",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn only_headers_make_a_message_international() {
        let text = |text: &str| are_international(&text.as_bytes().to_vec()).unwrap();
        assert!(text("From: a\r\nSubject: é\r\n\r\nx\r\n"));
        assert!(!text("From: a\r\nSubject: e\r\n\r\né\r\n"));
    }
}
