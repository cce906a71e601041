//! The binary `facteur`; everything is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    facteur::cli::main()
}
