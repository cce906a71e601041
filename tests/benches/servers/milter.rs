//! A milter (Sendmail's filter protocol, version 6) that lets everything pass: what it costs
//! Postfix to ask somebody.
//!
//! It wants to hear of every step, as a filter with a callback for each does, and answers each with
//! "continue".

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The most that a step may bring, in octets: Postfix sends bodies in parts of 65,535.
const LARGEST: usize = 128 * 1024;
/// The version that Postfix speaks.
const VERSION: u32 = 6;

/// Answers on this address as long as the process lives.
pub fn serve(address: &str) {
    let listener = TcpListener::bind(address).expect("an address of the machine");
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || converse(connection));
        }
    });
}

fn converse(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut negotiated = [0; 13];
    negotiated[0] = b'O';
    // After the version: no changes, and no step left out.
    negotiated[1..5].copy_from_slice(&VERSION.to_be_bytes());
    loop {
        match read(&mut connection)? {
            b'O' => write(&mut connection, &negotiated)?,
            // Macros, and the end of a message that comes to nothing, want no answer.
            b'D' | b'A' | b'K' => {}
            b'Q' => return Ok(()),
            _ => write(&mut connection, b"c")?,
        }
    }
}

/// Reads a step; returns which it is.
fn read(connection: &mut TcpStream) -> io::Result<u8> {
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(1..=LARGEST).contains(&length) {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut step = vec![0; length];
    connection.read_exact(&mut step)?;
    Ok(step[0])
}

fn write(connection: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    let length = u32::try_from(answer.len()).unwrap_or(u32::MAX);
    connection.write_all(&[&length.to_be_bytes(), answer].concat())
}
