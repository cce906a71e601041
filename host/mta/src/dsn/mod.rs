//! Delivery status notifications (RFC 3461, RFC 3464): who is told what, and how it is written.

pub mod bounce;
pub mod notice;
pub mod report;
