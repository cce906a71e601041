//! A client that says what a test's script says, and reads replies.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
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

/// TCP, in the clear or under TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(octets),
            Self::Tls(tls) => tls.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A connection to a server.
pub struct Client {
    stream: Stream,
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
        let mut client = Self::silent(from, to)?;
        client.greeting = client.try_reply()?;
        Ok(client)
    }

    /// Connects where TLS begins at once, to the server of this name.
    ///
    /// # Errors
    /// Nobody listens, the handshake fails, or there is no greeting.
    pub fn connect_tls(
        from: &str,
        to: &str,
        tls: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let mut client = Self::silent(from, to)?;
        client.secure(tls, name)?;
        client.greeting = client.try_reply()?;
        Ok(client)
    }

    /// Connects, and waits for nothing.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn silent(from: &str, to: &str) -> io::Result<Self> {
        let from: IpAddr = from.parse().expect("an address to connect from");
        let to: SocketAddr = to.parse().expect("an address and port to connect to");
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), REPLY_TIMEOUT)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let greeting = Reply { code: 0, text: String::new() };
        Ok(Self { stream: Stream::Plain(stream), received: Vec::new(), greeting })
    }

    /// STARTTLS, and the handshake.
    ///
    /// # Errors
    /// The handshake fails.
    pub fn start_tls(&mut self, tls: &Arc<ClientConfig>, name: &str) -> io::Result<()> {
        self.expect("STARTTLS", 220);
        self.secure(tls, name)
    }

    /// The handshake alone.
    ///
    /// # Errors
    /// It fails.
    pub fn secure(&mut self, tls: &Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let name = ServerName::try_from(name.to_owned()).expect("a name to ask for");
        let mut connection =
            ClientConnection::new(tls.clone(), name).expect("a configuration that works");
        let mut tcp = self.stream.tcp().try_clone()?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, tcp)));
        Ok(())
    }

    /// TLS, as it was agreed on.
    pub fn tls(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Plain(_) => panic!("not under TLS"),
            Stream::Tls(tls) => &tls.conn,
        }
    }

    /// Says that nothing more will come, as TLS does, and waits for the same from the server.
    ///
    /// # Errors
    /// The server ends the connection without it.
    pub fn close_tls(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        match self.stream.read(&mut [0; 1])? {
            0 => Ok(()),
            _ => Err(io::Error::other("the server goes on")),
        }
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
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    /// Says that nothing more will be sent; replies may still come.
    pub fn end_of_input(&mut self) {
        // Who is gone already needs not be told.
        let _ = self.stream.tcp().shutdown(Shutdown::Write);
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

    /// Reads a reply, if one comes within this time.
    pub fn reply_within(&mut self, time: Duration) -> Option<Reply> {
        let tcp = self.stream.tcp();
        tcp.set_read_timeout(Some(time)).expect("a time limit can be set");
        let reply = self.try_reply();
        let set_back = self.stream.tcp().set_read_timeout(Some(REPLY_TIMEOUT));
        set_back.expect("a time limit can be set");
        reply.ok()
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
