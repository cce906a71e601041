//! virtual(5): what a value means for the address that was asked about.

use facteur_plugin::{MailAddress, Target};

use crate::rhs;

/// The addresses that a value stands for. An extension that the key didn't have goes on to each of
/// them (Postfix's `propagate_unmatched_extensions`); none is empty. `@other` means the same user
/// there.
///
/// # Errors
/// What is wrong with it. What is no address is told to `warn` and left out.
pub fn read(
    address: &MailAddress,
    extension: &str,
    value: &str,
    warn: impl Fn(&str),
) -> Result<Vec<MailAddress>, String> {
    let value = value.trim();
    let (first, rest) = value.split_once(',').unwrap_or((value, ""));
    let mut found = Vec::new();
    let rest = match first.trim().strip_prefix('@') {
        Some(domain) => {
            let user = address.local.strip_suffix(extension).unwrap_or(&address.local);
            found.push(MailAddress::new(user, domain.to_ascii_lowercase()));
            rest
        }
        None => value,
    };
    for target in rhs::parse(rest, |why| warn(&format!("ignored for {address}: {why}"))) {
        match target {
            Target::Address(address) => found.push(address),
            other => warn(&format!(
                "virtual tables hold addresses only; ignored for {address}: {other:?}"
            )),
        }
    }
    if found.is_empty() {
        return Err(format!("no address for {address}: {value}"));
    }
    for address in &mut found {
        address.local.push_str(extension);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmatched_extension_goes_on() {
        let address = MailAddress::new("user+foo", "x.org");
        let value = |extension, value: &str| read(&address, extension, value, |_| ()).unwrap();
        assert_eq!(
            value("", "a@y.org, b"),
            [MailAddress::new("a", "y.org"), MailAddress::new("b", "")]
        );
        assert_eq!(
            value("+foo", "a@y.org, b"),
            [MailAddress::new("a+foo", "y.org"), MailAddress::new("b+foo", "")]
        );
        assert_eq!(value("", "@Z.org"), [MailAddress::new("user+foo", "z.org")]);
        assert_eq!(value("+foo", "@Z.org"), [MailAddress::new("user+foo", "z.org")]);
        assert_eq!(
            value("", "@z.org, d@z.org"),
            [MailAddress::new("user+foo", "z.org"), MailAddress::new("d", "z.org")]
        );
    }

    #[test]
    fn only_addresses_come_from_a_virtual_table() {
        let address = MailAddress::new("user", "x.org");
        let told = std::cell::RefCell::new(Vec::new());
        let warn = |text: &str| told.borrow_mut().push(text.to_owned());
        assert_eq!(
            read(&address, "", "\"|/bin/x\", a@y.org", warn).unwrap(),
            [MailAddress::new("a", "y.org")]
        );
        assert_eq!(told.borrow().len(), 1);
        assert!(read(&address, "", "/etc/passwd", |_| ()).is_err());
        assert!(read(&address, "", "", |_| ()).is_err());
    }
}
