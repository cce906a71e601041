//! The real binary, spoken to over real sockets. Each test has a machine of its own; see the
//! harness.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod addresses;
mod advice;
mod aliases;
mod backlog;
mod content;
mod crash;
mod crowds;
mod defences;
mod delivery_tls;
mod disk_full;
mod dovecot;
mod fail2ban;
mod floods;
mod harness;
mod headers;
mod hostile;
mod inspect;
mod interop;
mod lent;
mod limits;
mod load;
mod loading;
mod logins;
mod mail_programs;
mod mailboxes;
mod notices;
mod operation;
mod postfix;
mod power_loss;
mod pressure;
mod proxy;
mod queue;
mod readme;
mod relay_login;
mod reload;
mod secrets;
mod simulate;
mod site;
mod site_live;
mod site_replies;
mod smuggling;
mod submission;
mod tls;
mod tls_clients;
mod tls_files;
mod tls_odd;
mod xclient;
