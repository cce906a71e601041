//! Servers on loopback that follow a script: what the tests of the client talk to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a server does, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Say(&'static str),
    /// A command that begins so must come.
    Hear(&'static str),
    /// The content up to its end must come.
    Content,
    /// Part of the content, and from then on the server is deaf.
    SomeContent,
    /// The client must close the connection.
    Gone,
    /// It does nothing any more, and keeps the connection.
    Deaf,
    /// This line again and again, faster than any time that the client gives.
    Trickle(&'static str),
}
pub use Step::{Content, Deaf, Gone, Hear, Say, SomeContent, Trickle};

pub const HELLO: [Step; 3] =
    [Say("220 mx"), Hear("EHLO mx.here.example"), Say("250-mx\r\n250-PIPELINING\r\n250 DSN")];
pub const TAKE: [Step; 8] = [
    Hear("MAIL FROM:"),
    Hear("RCPT TO:"),
    Hear("DATA"),
    Say("250 2.1.0 Ok"),
    Say("250 2.1.5 Ok"),
    Say("354 go"),
    Content,
    Say("250 2.0.0 taken"),
];
pub const BYE: [Step; 3] = [Hear("QUIT"), Say("221 bye"), Gone];

pub fn script(parts: &[&[Step]]) -> Vec<Step> {
    parts.concat()
}

/// A server that takes one connection for each script, in turn.
pub struct Server {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    pub task: JoinHandle<()>,
}

impl Server {
    pub async fn start(address: &str, scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = heard.clone();
        let task = tokio::spawn(async move {
            let mut sessions = Vec::new();
            for script in scripts {
                let (stream, client) = listener.accept().await.unwrap();
                record.lock().push(format!("[{}]", client.ip()));
                sessions.push(tokio::spawn(follow(stream, script, record.clone())));
            }
            for session in sessions {
                session.await.unwrap();
            }
        });
        Self { address, heard, task }
    }

    /// All that clients said, once every script is done.
    pub async fn end(self) -> Vec<String> {
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("the scripts are not done")
            .unwrap();
        std::mem::take(&mut self.heard.lock())
    }

    pub fn connections(&self) -> usize {
        self.heard.lock().iter().filter(|line| line.starts_with('[')).count()
    }
}

async fn follow(stream: TcpStream, script: Vec<Step>, heard: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    for step in script {
        match step {
            Say(text) => stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap(),
            Hear(expected) => {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                assert!(line.starts_with(expected), "{line:?} instead of {expected:?}");
                heard.lock().push(line.trim_end().to_owned());
            }
            Content => {
                let mut content = Vec::new();
                while !content.ends_with(b"\r\n.\r\n") {
                    assert_ne!(
                        stream.read_until(b'\n', &mut content).await.unwrap(),
                        0,
                        "the content has no end"
                    );
                }
                heard.lock().push(String::from_utf8(content).unwrap());
            }
            SomeContent => assert_ne!(stream.read(&mut [0; 1000]).await.unwrap(), 0),
            Gone => {
                let mut rest = Vec::new();
                // A reset is as good an end.
                let _ = stream.read_to_end(&mut rest).await;
                heard.lock().push(format!("end after {}", String::from_utf8_lossy(&rest)));
            }
            Deaf => std::future::pending().await,
            Trickle(text) => {
                while stream.write_all(text.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
}
