use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use facteur_policy::DnsError;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, NS, PTR, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::{Resolver, ascii_name};
use crate::config::Dns;

/// What the test's server says to a question.
enum Answer {
    Records(Vec<RData>),
    Code(ResponseCode),
    Nothing,
    /// Too long for UDP.
    Long(Vec<RData>),
}

type Zone = fn(&str, RecordType) -> Answer;

/// A server on loopback; what it was asked, and a resolver that asks it.
async fn resolver(zone: Zone) -> (Resolver, Arc<Mutex<Vec<String>>>) {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            if let Some(answer) = reply(&buffer[..length], zone, true, &record) {
                udp.send_to(&answer, client).await.unwrap();
            }
        }
    });
    let record = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let record = record.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.unwrap();
                    let Some(answer) = reply(&question, zone, false, &record) else { return };
                    stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    let settings = Dns { servers: vec![address], timeout: Duration::from_millis(300) };
    (Resolver::new(&settings, 8).unwrap(), asked)
}

fn reply(question: &[u8], zone: Zone, udp: bool, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    asked.lock().push(format!(
        "{} {} {}",
        if udp { "udp" } else { "tcp" },
        query.name(),
        query.query_type()
    ));
    let mut answer = Message::response(question.id, question.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let name = query.name().to_lowercase().to_ascii();
    let records = match zone(&name, query.query_type()) {
        Answer::Nothing => return None,
        Answer::Code(code) => {
            answer.metadata.response_code = code;
            Vec::new()
        }
        Answer::Long(_) if udp => {
            answer.metadata.truncation = true;
            Vec::new()
        }
        Answer::Long(records) | Answer::Records(records) => records,
    };
    for data in records {
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    Some(answer.to_vec().unwrap())
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

#[tokio::test]
async fn records_come_as_policy_and_delivery_know_them() {
    let (resolver, asked) = resolver(|name_asked, kind| match (name_asked, kind) {
        ("a.example.", RecordType::A) => Answer::Records(vec![RData::A(A::new(192, 0, 2, 1))]),
        ("a.example.", RecordType::AAAA) => {
            Answer::Records(vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))])
        }
        ("a.example.", RecordType::MX) => Answer::Records(vec![
            RData::MX(MX::new(20, name("Second.Example."))),
            RData::MX(MX::new(10, name("first.example."))),
        ]),
        ("null.example.", RecordType::MX) => {
            Answer::Records(vec![RData::MX(MX::new(0, Name::root()))])
        }
        ("a.example.", RecordType::TXT) => Answer::Records(vec![
            RData::TXT(TXT::from_bytes(vec![b"v=spf1 ", b"-all"])),
            RData::TXT(TXT::from_bytes(vec![b"\xff"])),
        ]),
        ("a.example.", RecordType::NS) => {
            Answer::Records(vec![RData::NS(NS(name("NS.a.example.")))])
        }
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => {
            Answer::Records(vec![RData::PTR(PTR(name("A.example.")))])
        }
        ("xn--mnchen-3ya.example.", RecordType::A) => {
            Answer::Records(vec![RData::A(A::new(192, 0, 2, 2))])
        }
        (_, _) => Answer::Code(ResponseCode::NXDomain),
    })
    .await;
    let mut addresses = resolver.addresses("A.example.").await.unwrap();
    addresses.sort();
    assert_eq!(
        addresses,
        ["192.0.2.1".parse::<std::net::IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
    );
    let exchangers = resolver.mail_exchangers("a.example").await.unwrap();
    let exchangers: Vec<_> = exchangers.iter().map(|one| (one.preference, &*one.host)).collect();
    assert_eq!(exchangers, [(10, "first.example"), (20, "second.example")]);
    assert_eq!(resolver.mail_exchangers("null.example").await.unwrap()[0].host, ".");
    assert_eq!(
        resolver.texts("a.example").await.unwrap(),
        [b"v=spf1 -all".to_vec(), b"\xff".to_vec()]
    );
    assert_eq!(resolver.name_servers("a.example").await.unwrap(), ["ns.a.example"]);
    assert_eq!(resolver.names_of("192.0.2.1".parse().unwrap()).await.unwrap(), ["a.example"]);
    assert_eq!(
        resolver.names_of("::ffff:192.0.2.1".parse().unwrap()).await.unwrap(),
        ["a.example"]
    );
    assert_eq!(resolver.addresses("münchen.example").await.unwrap().len(), 1);
    // Kept, so not asked again.
    let before = asked.lock().len();
    resolver.mail_exchangers("a.example").await.unwrap();
    assert_eq!(asked.lock().len(), before);
}

#[tokio::test]
async fn only_what_a_server_says_is_absence() {
    let (resolver, asked) = resolver(|name, kind| match (name, kind) {
        ("refused.example.", _) => Answer::Code(ResponseCode::Refused),
        ("broken.example.", _) => Answer::Code(ResponseCode::FormErr),
        ("silent.example.", _) => Answer::Nothing,
        ("half.example.", RecordType::A) => Answer::Records(vec![RData::A(A::new(192, 0, 2, 1))]),
        ("failing.example." | "half.example.", _) | ("doubt.example.", RecordType::A) => {
            Answer::Code(ResponseCode::ServFail)
        }
        ("nothing.example." | "doubt.example.", _) => Answer::Records(Vec::new()),
        (_, _) => Answer::Code(ResponseCode::NXDomain),
    })
    .await;
    for (name, error) in [
        ("none.example", DnsError::NoSuchName),
        ("nothing.example", DnsError::NoData),
        ("failing.example", DnsError::ServerFailure),
        ("refused.example", DnsError::ServerFailure),
        ("broken.example", DnsError::ServerFailure),
        ("silent.example", DnsError::Timeout),
        ("", DnsError::InvalidName),
        (".", DnsError::InvalidName),
        ("a..example", DnsError::InvalidName),
        ("a b.example", DnsError::InvalidName),
        ("a\\.example", DnsError::InvalidName),
    ] {
        assert_eq!(resolver.mail_exchangers(name).await, Err(error), "{name}");
        assert_eq!(resolver.addresses(name).await, Err(error), "{name}");
        assert_eq!(resolver.texts(name).await, Err(error), "{name}");
    }
    assert_eq!(resolver.addresses("half.example").await.unwrap().len(), 1);
    assert_eq!(resolver.addresses("doubt.example").await, Err(DnsError::ServerFailure));
    assert!(
        asked.lock().iter().all(|line| line.contains(".example. ")),
        "a search domain took part: {asked:?}"
    );
}

#[tokio::test]
async fn what_is_too_long_for_udp_comes_by_tcp() {
    let (resolver, asked) =
        resolver(|_, _| Answer::Long(vec![RData::TXT(TXT::from_bytes(vec![b"long"]))])).await;
    assert_eq!(resolver.texts("a.example").await.unwrap(), [b"long"]);
    assert_eq!(*asked.lock(), ["udp a.example. TXT", "tcp a.example. TXT"]);
}

#[test]
fn names_as_the_dns_has_them() {
    assert_eq!(ascii_name("Sulfura.VIA.ecp.fr.").as_deref(), Some("sulfura.via.ecp.fr"));
    assert_eq!(ascii_name("_dmarc.example").as_deref(), Some("_dmarc.example"));
    assert_eq!(
        ascii_name("1/26.2.0.192.in-addr.arpa").as_deref(),
        Some("1/26.2.0.192.in-addr.arpa")
    );
    assert_eq!(ascii_name(&"a".repeat(64)), None);
    assert_eq!(ascii_name(&"a.".repeat(130)), None);
}
