//! What commands begin with: the configuration, and what runs tasks.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::failure::Failure;
use crate::config::{self, Config};

pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path)
        .map_err(|errors| Failure(config::render(&errors, io::stderr().is_terminal())))
}

pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
