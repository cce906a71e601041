//! The command line.

mod ask;
mod begin;
mod command;
mod demo;
mod failure;
mod listing;
mod log;
mod out;
mod passwd;
mod plugins;
mod render;
mod serve;
mod simulate;

pub use command::main;
