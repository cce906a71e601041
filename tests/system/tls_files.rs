//! Files of certificates as the world writes them: which are taken, and what is said of others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use facteur_tests::{
    Authority, Client, Dns, Facteur, Gateway, Key, Machine, machine, output_of, run_facteur, until,
};

/// A shell in /etc/tls that makes `t.pem` and `t.key`.
fn make(script: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-ec", &format!("umask 077; cd /etc/tls; rm -f t.*; {script}")]);
    output_of(&mut shell).success();
}

fn check(machine: &Machine, key: bool) -> Result<(), String> {
    let key = if key { "key = \"/etc/tls/t.key\"\n" } else { "" };
    let more = format!("[[tls.certificate]]\nchain = \"/etc/tls/t.pem\"\n{key}");
    let config = Gateway { more: &more, ..Gateway::default() }.write(machine, "files");
    let output = run_facteur(&config, &["check"]);
    if output.code == 0 { Ok(()) } else { Err(output.err) }
}

const SELF_SIGNED: &str = "openssl req -x509 -key t.key -subj /CN=mx.test -days 30 -out t.pem";

#[test]
fn files_as_others_write_them_are_taken() {
    machine(|machine| {
        fs::create_dir_all("/etc/tls").unwrap();
        let made = [
            (
                "ECDSA on P-256 by ecparam, its parameters first",
                "openssl ecparam -name prime256v1 -genkey -out t.key",
            ),
            ("ECDSA on P-384", "openssl ecparam -name secp384r1 -genkey -noout -out t.key"),
            ("ECDSA on P-521", "openssl ecparam -name secp521r1 -genkey -noout -out t.key"),
            (
                "ECDSA as PKCS #8",
                "openssl genpkey -algorithm EC -pkeyopt \
              ec_paramgen_curve:P-256 -out t.key",
            ),
            ("RSA as PKCS #1", "openssl genrsa -traditional -out t.key 2048"),
            ("RSA as PKCS #8", "openssl genrsa -out t.key 4096"),
            ("Ed25519", "openssl genpkey -algorithm ed25519 -out t.key"),
        ];
        for (name, key) in made {
            make(&format!("{key}; {SELF_SIGNED}"));
            assert_eq!(check(machine, true), Ok(()), "{name}");
        }
        let ecdsa = format!("openssl ecparam -name prime256v1 -genkey -out t.key; {SELF_SIGNED}");
        for (name, then) in [
            ("text before it", "openssl x509 -in t.pem -text -out u; mv u t.pem"),
            ("line ends of DOS", "sed -i 's/$/\\r/' t.pem t.key"),
            ("blanks and comments", "sed -i '1i # ours\\n\\n' t.pem t.key; echo >> t.pem"),
            (
                "parameters for Diffie-Hellman behind it",
                "openssl dhparam -dsaparam 512 2>/dev/null >> t.pem || true",
            ),
            ("no line end", "printf %s \"$(cat t.pem)\" > u; mv u t.pem"),
            ("the same certificate twice", "cat t.pem t.pem > u; mv u t.pem"),
        ] {
            make(&format!("{ecdsa}; {then}"));
            assert_eq!(check(machine, true), Ok(()), "{name}");
        }
        for (name, then) in [
            ("the key behind the chain", "cat t.key >> t.pem"),
            ("the key before the chain, as Postfix has it", "cat t.key t.pem > u; mv u t.pem"),
        ] {
            make(&format!("{ecdsa}; {then}"));
            assert_eq!(check(machine, false), Ok(()), "{name}");
        }
    });
}

#[test]
fn files_that_cannot_be_used_are_told_with_the_reason() {
    machine(|machine| {
        fs::create_dir_all("/etc/tls").unwrap();
        let ecdsa = "openssl ecparam -name prime256v1 -genkey -out t.key";
        for (name, script, told) in [
            (
                "RSA of 1024 bits",
                format!("openssl genrsa -out t.key 1024; {SELF_SIGNED}"),
                "the key can't be used",
            ),
            (
                "a passphrase",
                format!(
                    "{ecdsa}; {SELF_SIGNED}; openssl ec -in t.key -aes128 \
              -passout pass:x -out u; mv u t.key"
                ),
                "the key is encrypted",
            ),
            (
                "DER",
                format!(
                    "{ecdsa}; {SELF_SIGNED}; openssl x509 -in t.pem -outform DER -out u; \
              mv u t.pem"
                ),
                "no certificate is in it",
            ),
            (
                "a request",
                format!("{ecdsa}; openssl req -new -key t.key -subj /CN=x -out t.pem"),
                "no certificate is in it",
            ),
            (
                "the whole world may read it",
                format!("{ecdsa}; {SELF_SIGNED}; chmod 644 t.key"),
                "every user of the machine can read the key",
            ),
        ] {
            make(&script);
            let error = check(machine, true).expect_err(name);
            assert!(error.contains(told) && error.contains("/etc/tls/t."), "{name}: {error}");
        }
        // Nobody reads /dev/random to its end, or waits for a pipe.
        fs::remove_file("/etc/tls/t.key").unwrap();
        symlink("/dev/random", "/etc/tls/t.key").unwrap();
        let error = check(machine, true).expect_err("a device");
        assert!(error.contains("/etc/tls/t.key: this is no regular file"), "{error}");
    });
}

/// certbot keeps all versions, and moves one link after the other to the next.
#[test]
fn links_that_move_one_after_the_other_are_followed() {
    machine(|machine| {
        let authority = Authority::new(machine);
        authority.issue("mx1", &["mx.test"], Key::Ecdsa);
        authority.issue("mx2", &["mx.test"], Key::Ecdsa);
        let point = |link: &str, to: &str| {
            symlink(to, "/etc/tls/new-link").unwrap();
            fs::rename("/etc/tls/new-link", format!("/etc/tls/{link}")).unwrap();
        };
        point("mx.pem", "mx1.pem");
        point("mx.key", "mx1.key");
        let _dns = Dns::start("127.0.0.1", "");
        let more = Authority::sections(&["mx"]);
        let gateway = Gateway { more: &more, ..Gateway::default() };
        let facteur = Facteur::start(machine, &gateway.write(machine, "links"));
        let shown = || {
            let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
            client.start_tls(&Authority::client(None), "mx.test").unwrap();
            client.tls().peer_certificates().unwrap()[0].to_vec()
        };
        let first = shown();
        point("mx.pem", "mx2.pem");
        facteur.wait_for_log("belongs to another certificate");
        assert_eq!(shown(), first);
        point("mx.key", "mx2.key");
        until("the next version", || (shown() != first).then_some(()));

        // A key that everybody may read is used, and told.
        fs::set_permissions("/etc/tls/mx2.key", fs::Permissions::from_mode(0o644)).unwrap();
        facteur.wait_for_log("every user of the machine can read the key");
    });
}
