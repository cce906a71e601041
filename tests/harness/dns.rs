//! A DNS server of the test's own: what it knows is a table, everything else doesn't exist.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Seconds that answers may be kept: none, so that a change counts at once.
const TTL: u32 = 0;
/// A chain of aliases longer than this is a loop.
const MAX_ALIASES: usize = 8;
/// The port of DNS.
const PORT: u16 = 53;

/// A running server, by UDP and TCP. It ends with the test's process.
///
/// Its table has a line for each record, `NAME TYPE VALUE`, with names relative to the root; `#`
/// begins a comment:
/// ```text
/// example.org        MX   10 mx.example.org
/// mx.example.org     A    192.0.2.1
/// broken.example     SERVFAIL          # every question about it is answered so
/// half.example       SERVFAIL MX       # only this one
/// silent.example     SILENCE           # never answered
/// ```
/// A name below which there are others exists, without records (NODATA); one that isn't there at
/// all is NXDOMAIN.
pub struct Dns {
    shared: Arc<Mutex<Zone>>,
}

impl Dns {
    /// Listens on an address of the machine, port 53.
    pub fn start(address: &str, table: &str) -> Self {
        let address = SocketAddr::new(address.parse().expect("an address"), PORT);
        let mut zone = Zone::default();
        zone.add(table);
        let shared = Arc::new(Mutex::new(zone));
        let udp = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let tcp = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let zone = shared.clone();
        std::thread::spawn(move || serve_udp(&udp, &zone));
        let zone = shared.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let zone = zone.clone();
                std::thread::spawn(move || serve_tcp(stream, &zone));
            }
        });
        Self { shared }
    }

    /// Adds to the table.
    pub fn add(&self, table: &str) {
        self.shared.lock().unwrap().add(table);
    }

    /// Removes all that is known of a name.
    pub fn remove(&self, name: &str) {
        self.shared.lock().unwrap().names.remove(&key(name));
    }

    /// Every question so far, such as "example.org MX".
    pub fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }
}

#[derive(Default)]
struct Zone {
    names: BTreeMap<String, Vec<Entry>>,
    asked: Vec<String>,
}

#[derive(Clone, PartialEq)]
enum Entry {
    Record(RData),
    /// For one type, or for all.
    ServFail(Option<RecordType>),
    Silence,
}

/// What is known about a question.
enum Found {
    Records(Vec<Record>),
    NoData(Vec<Record>),
    NoName(Vec<Record>),
    ServFail,
    Silence,
}

impl Zone {
    fn add(&mut self, table: &str) {
        for line in table.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (name, rest) =
                line.split_once(char::is_whitespace).unwrap_or_else(|| panic!("no type: {line}"));
            let (kind, value) =
                rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
            let entry = match kind {
                "SERVFAIL" => {
                    Entry::ServFail((!value.is_empty()).then(|| record_type(value.trim())))
                }
                "SILENCE" => Entry::Silence,
                _ => Entry::Record(data(kind, value.trim())),
            };
            self.names.entry(key(name)).or_default().push(entry);
        }
    }

    fn find(&self, name: &Name, kind: RecordType) -> Found {
        let mut records = Vec::new();
        let mut name = name.clone();
        for _ in 0..MAX_ALIASES {
            let wanted = key(&name.to_ascii());
            let Some(entries) = self.names.get(&wanted) else {
                let below = format!(".{wanted}");
                let exists = self.names.keys().any(|other| other.ends_with(&below));
                return if exists { Found::NoData(records) } else { Found::NoName(records) };
            };
            if entries.contains(&Entry::Silence) {
                return Found::Silence;
            }
            if entries
                .iter()
                .any(|entry| matches!(entry, Entry::ServFail(of) if of.is_none_or(|of| of == kind)))
            {
                return Found::ServFail;
            }
            let all = entries.iter().filter_map(|entry| match entry {
                Entry::Record(data) => Some(data),
                _ => None,
            });
            let matching: Vec<&RData> =
                all.clone().filter(|data| data.record_type() == kind).collect();
            if !matching.is_empty() {
                records.extend(
                    matching
                        .iter()
                        .map(|&data| Record::from_rdata(name.clone(), TTL, data.clone())),
                );
                return Found::Records(records);
            }
            let Some(RData::CNAME(alias)) =
                all.clone().find(|data| data.record_type() == RecordType::CNAME)
            else {
                return Found::NoData(records);
            };
            records.push(Record::from_rdata(name, TTL, RData::CNAME(alias.clone())));
            name = alias.0.clone();
        }
        Found::ServFail
    }

    /// The octets of the answer, at most `room` of them; none if there is none.
    fn answer(&mut self, question: &[u8], room: Option<usize>) -> Option<Vec<u8>> {
        let request = Message::from_vec(question).ok()?;
        let query = request.queries.first()?.clone();
        self.asked.push(format!("{} {}", key(&query.name().to_ascii()), query.query_type()));
        let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
        reply.metadata.recursion_desired = request.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        let (records, code) = match self.find(query.name(), query.query_type()) {
            Found::Records(records) | Found::NoData(records) => (records, ResponseCode::NoError),
            Found::NoName(records) => (records, ResponseCode::NXDomain),
            Found::ServFail => (Vec::new(), ResponseCode::ServFail),
            Found::Silence => return None,
        };
        let none = records.iter().all(|record| record.record_type() != query.query_type());
        if none && code != ResponseCode::ServFail {
            reply.add_authority(soa());
        }
        reply.metadata.response_code = code;
        reply.add_query(query);
        reply.add_answers(records);
        let mut most = 512;
        if let Some(edns) = &request.edns {
            most = usize::from(edns.max_payload());
            let mut own = Edns::new();
            own.set_max_payload(edns.max_payload());
            reply.set_edns(own);
        }
        let octets = reply.to_vec().ok()?;
        if octets.len() > room.map_or(usize::MAX, |room| room.min(most)) {
            return reply.truncate().to_vec().ok();
        }
        Some(octets)
    }
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let answer = zone.lock().unwrap().answer(&buffer[..length], Some(4096));
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_tcp(mut stream: impl Read + Write, zone: &Mutex<Zone>) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question)?;
        let answer = zone.lock().unwrap().answer(&question, None);
        let Some(answer) = answer else { continue };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&answer)?;
    }
}

/// How names are compared: lower case, without the last dot.
fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn absolute(name: &str) -> Name {
    let name = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
    Name::from_ascii(&name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn record_type(text: &str) -> RecordType {
    RecordType::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn data(kind: &str, value: &str) -> RData {
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, TXT};
    let bad = || -> ! { panic!("{kind} {value}: not understood") };
    match kind {
        "A" => RData::A(A(value.parse().unwrap_or_else(|_| bad()))),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap_or_else(|_| bad()))),
        "MX" => {
            let (preference, host) = value.split_once(char::is_whitespace).unwrap_or_else(|| bad());
            RData::MX(MX::new(preference.parse().unwrap_or_else(|_| bad()), absolute(host.trim())))
        }
        "NS" => RData::NS(NS(absolute(value))),
        "PTR" => RData::PTR(PTR(absolute(value))),
        "CNAME" => RData::CNAME(CNAME(absolute(value))),
        "TXT" => RData::TXT(TXT::new(vec![value.trim_matches('"').to_owned()])),
        _ => bad(),
    }
}

/// What says how long "no" may be kept.
fn soa() -> Record {
    let soa = SOA::new(absolute("ns.test"), absolute("root.test"), 1, 60, 60, 60, TTL);
    Record::from_rdata(Name::root(), TTL, RData::SOA(soa))
}
