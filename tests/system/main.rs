//! The real binary, spoken to over real sockets. Each test has a machine of its own; see the harness.

mod content;
mod harness;
mod operation;
mod reload;
mod site;
mod site_live;
mod site_replies;
