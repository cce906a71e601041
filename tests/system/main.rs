//! The real binary, spoken to over real sockets. Each test has a machine of its own; see the harness.

mod harness;
