//! The first minutes: a configuration that needs nothing, with everything below one folder.
//!
//! It is written there as a file (`config/demo.toml`), so that every other command works on it, and
//! beside it a certificate that vouches for itself; what is there already is left as it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::begin::load;
use super::failure::Failure;
use crate::config::{self, Config};

/// The certificate and its key, as the configuration names the file.
const CERTIFICATE: &str = "tls.pem";

/// Makes the folder, with its configuration and with mailboxes that belong to who will write them.
pub(super) fn prepare(folder: &Path) -> Result<(PathBuf, Config), Failure> {
    let place = |error: io::Error| Failure(format!("{}: {error}", folder.display()));
    let mail = folder.join("mail");
    let file = write(folder, &mail).map_err(place)?;
    let config = load(&file)?;
    let owner = config.mailboxes.owner.as_deref().map(User::from_name).transpose();
    if let Some(owner) = owner.map_err(|error| place(error.into()))?.flatten() {
        chown(&mail, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).map_err(place)?;
    }
    Ok((file, config))
}

/// The configuration's file, by its full name.
fn write(folder: &Path, mail: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(mail)?;
    let folder = folder.canonicalize()?;
    write_new(&folder.join(CERTIFICATE), &certificate()?)?;
    let file = folder.join("facteur.toml");
    write_new(&file, &config::demo())?;
    Ok(file)
}

/// Writes a file that its owner alone may read, unless it is there.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut new) => new.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A certificate for this machine, and its key.
fn certificate() -> io::Result<String> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    Ok(made.signing_key.serialize_pem() + &made.cert.pem())
}

/// What a person can do now.
pub(super) fn what_to_try(file: &Path, address: SocketAddr) -> String {
    let folder = file.parent().unwrap_or(file).display();
    let program = std::env::args().next().unwrap_or_else(|| "facteur".to_owned());
    let file = file.display();
    format!(
        "\nfacteur takes mail on {address} for the domain localhost (you, alice, bob and their \
         aliases: postmaster, team …).\n\
         Mailboxes are Maildirs in {folder}/mail. All policy comes from the built-in plugins.\n\n\
         Try, in another terminal:\n\n\
         \x20 printf 'Subject: hello\\n\\nIt works.\\n' | curl -s smtp://{address} --mail-from \
         me@localhost --mail-rcpt you@localhost -T -\n\
         \x20 cat {folder}/mail/you/new/*\n\
         \x20 printf 'Subject: no\\n\\n' | curl -sv smtp://{address} --mail-from me@localhost \
         --mail-rcpt nobody-here@localhost -T - 2>&1 | grep 550\n\
         \x20 printf 'Subject: under TLS\\n\\n' | curl -s --ssl-reqd --cacert {folder}/tls.pem \
         smtp://{address} --mail-from me@localhost --mail-rcpt you@localhost -T -\n\n\
         Every other command works on its configuration:\n\n\
         \x20 {program} --config {file} queue list\n\n\
         Ctrl-C stops it.\n"
    )
}
