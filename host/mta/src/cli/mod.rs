//! The command line.

mod ask;
mod begin;
mod command;
mod demo;
mod failure;
mod listing;
mod log;
mod out;
mod plugins;
mod rehearse;
mod render;
mod serve;

pub use command::main;
