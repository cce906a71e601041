//! The binary `facteur`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    facteur::cli::main()
}
