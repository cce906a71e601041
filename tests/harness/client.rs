//! A client that says what a test's script says, and reads replies.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long a server may think about a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// A reply; lines are parted by `\n`. Compares with a string such as `"250 2.0.0 Ok"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// What comes after them.
    pub text: String,
}

impl Reply {
    /// The queue id in "250 2.0.0 Ok: queued as ID".
    pub fn queue_id(&self) -> &str {
        let id = self.text.rsplit_once("queued as ").map(|(_, id)| id);
        id.unwrap_or_else(|| panic!("no queue id in: {self}"))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

impl PartialEq<&str> for Reply {
    fn eq(&self, other: &&str) -> bool {
        let code = other.get(..3).and_then(|code| code.parse().ok());
        code == Some(self.code)
            && other.get(3..).and_then(|rest| rest.strip_prefix(' ')) == Some(&self.text)
    }
}

/// A connection to a server.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// What the server said first.
    pub greeting: Reply,
}

impl Client {
    /// Connects from an address of this machine to `ADDRESS:PORT`, and reads the greeting.
    pub fn connect(from: &str, to: &str) -> Self {
        Self::try_connect(from, to).unwrap_or_else(|error| panic!("{from} to {to}: {error}"))
    }

    /// [`Client::connect`], where it may fail.
    ///
    /// # Errors
    /// Nobody listens, or hangs up before the greeting.
    pub fn try_connect(from: &str, to: &str) -> io::Result<Self> {
        let from: IpAddr = from.parse().expect("an address to connect from");
        let to: SocketAddr = to.parse().expect("an address and port to connect to");
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), REPLY_TIMEOUT)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let greeting = Reply { code: 0, text: String::new() };
        let mut client = Self { stream, received: Vec::new(), greeting };
        client.greeting = client.try_reply()?;
        Ok(client)
    }

    /// Sends a command and reads the reply to it.
    pub fn send(&mut self, command: &str) -> Reply {
        self.write(format!("{command}\r\n").as_bytes());
        self.try_reply().unwrap_or_else(|error| panic!("after {command}: {error}"))
    }

    /// Sends a command that must be answered with this code.
    pub fn expect(&mut self, command: &str, code: u16) -> Reply {
        let reply = self.send(command);
        assert_eq!(reply.code, code, "to {command}: {reply}");
        reply
    }

    /// EHLO.
    pub fn ehlo(&mut self) -> Reply {
        self.expect("EHLO client.example.net", 250)
    }

    /// Sends octets as they are.
    pub fn write(&mut self, octets: &[u8]) {
        self.try_write(octets).expect("the server still reads");
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// The connection ended.
    pub fn try_write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    /// Says that nothing more will be sent; replies may still come.
    pub fn end_of_input(&mut self) {
        // Who is gone already needs not be told.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads a reply.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap_or_else(|error| panic!("waiting for a reply: {error}"))
    }

    /// Reads a reply, if one comes.
    ///
    /// # Errors
    /// The connection ended, or was silent for too long.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let mut text = Vec::new();
        loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Some(code), rest) = (code, line.get(3..).unwrap_or_default()) else {
                panic!("no reply: {line:?}");
            };
            text.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(Reply { code, text: text.join("\n") });
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
                self.received.drain(..end + 2);
                return Ok(line);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.received.extend_from_slice(&buffer[..length]),
            }
        }
    }

    /// Fails unless the server hangs up without another word.
    pub fn must_close(&mut self) {
        match self.line() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => panic!("the server doesn't hang up: {error}"),
            Ok(line) => panic!("the server goes on: {line}"),
        }
    }

    /// Hands over the envelope, each part of which must be accepted, up to "354".
    pub fn envelope(&mut self, sender: &str, recipients: &[&str]) {
        self.expect(&format!("MAIL FROM:<{sender}>"), 250);
        for recipient in recipients {
            self.expect(&format!("RCPT TO:<{recipient}>"), 250);
        }
        self.expect("DATA", 354);
    }

    /// Sends content whose lines end in CRLF, dots doubled, and the end of data; returns the reply.
    pub fn content(&mut self, content: &[u8]) -> Reply {
        let mut stuffed = Vec::with_capacity(content.len() + 8);
        let mut line_start = true;
        for &octet in content {
            if line_start && octet == b'.' {
                stuffed.push(b'.');
            }
            line_start = octet == b'\n';
            stuffed.push(octet);
        }
        if !line_start {
            stuffed.extend_from_slice(b"\r\n");
        }
        stuffed.extend_from_slice(b".\r\n");
        self.write(&stuffed);
        self.reply()
    }

    /// One message that must be accepted; returns its queue id.
    pub fn deliver(&mut self, sender: &str, recipients: &[&str], content: &[u8]) -> String {
        self.envelope(sender, recipients);
        let reply = self.content(content);
        assert_eq!(reply.code, 250, "{reply}");
        reply.queue_id().to_owned()
    }
}
