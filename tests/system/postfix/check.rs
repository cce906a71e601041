//! What facteur can't do as Postfix does is an error of the configuration, said before anything
//! starts.

use facteur_tests::{Machine, machine, run_facteur};

use super::DOMAINS;

/// What `facteur check` says of one plugin with these settings and grants.
fn check(machine: &Machine, settings: &str, grants: &str) -> Result<String, String> {
    let text = format!(
        "{DOMAINS}\n[[listen]]\naddress = \"127.0.0.1:25\"\n[tables]\nusers = {{ inline = {{ louen \
         = \"x\" }} }}\nvirtual = {{ inline = {{}} }}\n\
         transport = {{ inline = {{}} }}\nfriends = {{ inline = {{}} }}\n\
         [[plugin]]\nname = \"rules\"\ncomponent = \"builtin:restrictions\"\n\
         [plugin.settings]\n{settings}\n[plugin.grants]\n{grants}\n"
    );
    let config = machine.write("/etc/facteur/facteur.toml", &text);
    let output = run_facteur(&config, &["check"]);
    if output.code == 0 { Ok(output.out) } else { Err(output.err) }
}

#[test]
fn what_is_not_supported_is_an_error() {
    machine(|machine| {
        let all = "dns = true\nrelay = true\nlookup = [\"friends\"]";
        let fine = "recipient = [\"permit_mynetworks, check_client_access table:friends, \
         reject_unauth_destination\"]";
        assert_eq!(check(machine, fine, all).unwrap(), "all is well\n");
        for (settings, grants, told) in [
            // Postfix's, but not ours.
            (
                "client = [\"reject_rbl_client zen.example\"]",
                all,
                "the restriction reject_rbl_client is not supported",
            ),
            (
                "recipient = [\"check_policy_service unix:x\"]",
                all,
                "the restriction check_policy_service is not supported",
            ),
            (
                "recipient = [\"reject_unverified_recipient\"]",
                all,
                "reject_unverified_recipient is not supported",
            ),
            (
                "sender = [\"reject_sender_login_mismatch\"]",
                all,
                "reject_sender_login_mismatch asks the tables of the setting \"sender-logins\"",
            ),
            (
                "relay-clientcerts = [\"foes\"]",
                all,
                "setting \"relay-clientcerts\": table \"foes\"",
            ),
            // Nobody's.
            ("recipient = [\"permit_mynetwork\"]", all, "did you mean permit_mynetworks?"),
            ("helo = [\"my_own_class\"]", all, "there is no restriction my_own_class"),
            ("recipients = [\"reject\"]", all, "recipients"),
            // Tables that aren't there, that aren't granted, that are written as in main.cf.
            (
                "client = [\"check_client_access table:foes\"]",
                "lookup = [\"foes\"]",
                "there is no table \"foes\"",
            ),
            (
                "client = [\"check_client_access table:foes\"]",
                all,
                "setting \"client\": check_client_access",
            ),
            (
                "client = [\"check_client_access table:friends\"]",
                "dns = true",
                "lookup = [\"friends\"]",
            ),
            ("client = [\"check_client_access hash:/etc/postfix/friends\"]", all, "[tables.NAME]"),
            ("client = [\"check_client_access\"]", all, "check_client_access needs a table"),
            ("sender = [\"reject_unknown_sender_domain\"]", "relay = true", "dns = true"),
            ("sender = [\"warn_if_reject\"]", all, "warn_if_reject needs a restriction"),
        ] {
            let error = check(machine, settings, grants).expect_err(settings);
            assert!(error.contains(told), "{settings}\n{error}");
        }
    });
}
