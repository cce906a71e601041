//! SMTP (RFC 5321) without I/O: bytes in, events and bytes out.
//!
//! [`Server`] and [`Client`] are state machines. They know no socket, no clock and no thread;
//! whoever owns the connection hands them what it read, takes the events, answers those that owe a
//! reply and writes the output. So both can be tested and fuzzed byte by byte.
//!
//! The rooms, from what is small to what is made of it:
//! - **Addresses**: [`Address`], [`Path`] with its source route, and the one form of a domain
//!   ([`key`], [`ascii_domain`]).
//! - **Replies**: [`Reply`], what an enhanced [`status`] may be about, and the replies that several
//!   places give, by name.
//! - **Parameters** of MAIL and RCPT, and of the DSN extension: [`MailParameters`],
//!   [`RcptParameters`], [`Notify`], [`Ret`].
//! - **Content**: line ends ([`LineEnds`]), the headers ([`Fields`], [`HeaderSection`]), dots
//!   ([`Stuffer`]).
//! - **Proxies**: what they say of their clients, before SMTP ([`ProxyHeader`]) or in it
//!   ([`XClient`], [`XForward`]); which extensions a client is offered ([`Keyword`]).
//! - **The machines**: [`Server`] with its [`Event`]s, [`Client`] with an [`Envelope`] to send.
//!
//! Begin with [`Server`]: a session is `receive`, `poll`, `reply`, and the output.
//!
//! Invariants of the crate:
//! - No input panics and none makes a machine keep more than a bounded buffer (see
//!   [`Server::wants_input`]).
//! - Message content has CRLF line ends only, on the way in ([`Event::Body`]) and on the way out
//!   ([`Client::body`]); only CRLF.CRLF ends DATA. So no message can be smuggled through inside
//!   another.
//! - One rule says what the headers of a message are ([`Fields`]), and [`HeaderSection`] makes what
//!   comes in agree with it.
//! - However the bytes are split, the events are the same (runs of [`Event::Body`] joined, and but
//!   for how much is given of a message that can't be taken, and what comes after STARTTLS: that
//!   belongs to TLS).
//! - Syntax, sequence and limit errors are answered by the machine with the codes and texts of
//!   Postfix 3.7.
//!
//! What it does not do: TLS itself (it says when TLS begins, [`Event::StartTls`] and
//! [`ClientEvent::StartTls`]), the mechanisms of AUTH, timeouts (the owner of the socket has the
//! clock), and any decision.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod auth;
mod bdat;
mod capabilities;
mod client;
mod command;
mod config;
mod data;
mod domain;
mod envelope;
mod event;
mod fields;
mod keyword;
mod limits;
mod line;
mod line_ends;
mod neuter;
mod offer;
mod parameters;
mod path;
mod proxy;
mod replies;
mod reply;
mod reply_parser;
mod section;
mod server;
mod stage;
pub mod status;
mod stuffing;
mod transaction;
mod xclient;
mod xtext;

pub use address::{Address, AddressError, MAX_ADDRESS, ReversePath};
pub use auth::{AuthOffer, MAX_AUTH_RESPONSE, Secret};
pub use capabilities::Capabilities;
pub use client::{Client, ClientEvent, Finished, GivenReply, PIPELINE_WINDOW};
pub use config::{BareNewline, ServerConfig, StartTls};
pub use domain::{MAX_DOMAIN, MAX_LABEL, ascii as ascii_domain, ascii_key, key, local_key};
pub use envelope::{Envelope, EnvelopeRecipient};
pub use event::{AuthError, DataError, Event};
pub use fields::{Field, Fields, is_field_name};
pub use keyword::{Discarded, Keyword};
pub use limits::ServerLimits;
pub use line_ends::LineEnds;
pub use parameters::{BodyType, MailParameters, Notify, RcptParameters, Ret};
pub use path::Path;
pub use proxy::{Proxied, ProxyError, ProxyHeader};
pub use reply::{Reply, in_ascii};
pub use section::{DROPPED, HeaderSection, HeadersError, MAX_FIELDS, MAX_SECTION, Missing, Passed};
pub use server::{MAX_PENDING_INPUT, Server};
pub use stage::ClientStage;
pub use status::{EnhancedStatus, EnhancedStatusError};
pub use stuffing::{MAX_LINE, Stuffer};
pub use xclient::{KnownName, XClient, XForward};
