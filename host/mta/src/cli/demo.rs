//! The first minutes: an embedded configuration that needs nothing, with everything below one
//! folder.
//!
//! The configuration is a real one (`config/demo.toml`), read by the same code.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use nix::unistd::User;

use crate::config::{Config, ConfigError};

/// Makes the folder, with mailboxes that belong to who will write them, and the configuration that
/// lives in it.
///
/// # Errors
/// The folder can't be made, or the embedded configuration is wrong.
pub fn prepare(folder: &Path) -> io::Result<(PathBuf, Result<Config, Vec<ConfigError>>)> {
    let mail = folder.join("mail");
    fs::create_dir_all(&mail)?;
    let folder = folder.canonicalize()?;
    let config = Config::demo(&folder);
    let owner = config.as_ref().ok().and_then(|config| config.mailboxes.owner.as_deref());
    if let Some(owner) = owner.map(User::from_name).transpose()?.flatten() {
        chown(&mail, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
    }
    Ok((folder, config))
}

/// What a person can do now.
pub fn what_to_try(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "\nfacteur takes mail on {address} for the domain localhost (you, alice, bob and their \
         aliases: postmaster, team …).\n\
         Mailboxes are Maildirs in {folder}/mail. All policy comes from the built-in plugins.\n\n\
         Try, in another terminal:\n\n\
         \x20 printf 'Subject: hello\\n\\nIt works.\\n' | curl -s smtp://{address} --mail-from \
         me@localhost --mail-rcpt you@localhost -T -\n\
         \x20 cat {folder}/mail/you/new/*\n\
         \x20 printf 'Subject: no\\n\\n' | curl -sv smtp://{address} --mail-from me@localhost \
         --mail-rcpt nobody-here@localhost -T - 2>&1 | grep 550\n\n\
         Ctrl-C stops it.\n"
    )
}
