//! From the socket to the spool: a listener takes a client, a session speaks with it, intake stores
//! what was accepted.

mod admission;
pub mod bodies;
mod clients;
mod envelope;
mod handshake;
pub mod intake;
pub mod listener;
mod login;
pub mod loops;
pub mod missing;
pub mod mta;
mod observer;
mod offered;
mod patience;
pub mod pregreet;
mod proxied;
pub mod repeats;
mod seats;
pub mod session;
mod stream;
