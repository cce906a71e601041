//! virtual(5): which keys, and what a value means for the address that was asked about.

use facteur_plugin::{Address, RecipientClass, Target};

use crate::rhs;

/// The keys of an address, best first, each with whether the extension was left over.
pub struct Keys {
    pub all: Vec<String>,
    /// Which of them match the address without its extension.
    unmatched: Vec<bool>,
    extension: String,
}

impl Keys {
    /// `user+foo@domain`, `user@domain`; for a domain of this machine `user+foo` and `user` too;
    /// `@domain`. `user` is the local part without its extension, where it has one.
    pub fn of(address: &Address, user: Option<&str>, class: RecipientClass) -> Self {
        let Address { local, domain } = address;
        let mut made = Self {
            all: Vec::with_capacity(5),
            unmatched: Vec::with_capacity(5),
            extension: String::new(),
        };
        let mut add = |key: String, unmatched: bool| {
            made.all.push(key);
            made.unmatched.push(unmatched);
        };
        add(format!("{local}@{domain}"), false);
        if let Some(user) = user {
            add(format!("{user}@{domain}"), true);
        }
        // A name that holds an @ would pass for an address of another domain.
        if class == RecipientClass::Local && !local.contains('@') {
            add(local.clone(), false);
            if let Some(user) = user {
                add(user.to_owned(), true);
            }
        }
        // It matches the extension too: Postfix hands none on from here.
        add(format!("@{domain}"), false);
        if let Some(user) = user {
            local[user.len()..].clone_into(&mut made.extension);
        }
        made
    }

    /// The addresses that the value of this key stands for. An extension that the key didn't have
    /// goes on to each of them (Postfix's `propagate_unmatched_extensions`). `@other` means the
    /// same user there.
    ///
    /// # Errors
    /// What is wrong with it. What is no address is told to `warn` and left out.
    pub fn value(
        &self,
        address: &Address,
        key: u32,
        value: &str,
        warn: impl Fn(&str),
    ) -> Result<Vec<Address>, String> {
        let unmatched = self.unmatched.get(key as usize).copied().unwrap_or_default();
        let extension = if unmatched { self.extension.as_str() } else { "" };
        let value = value.trim();
        let (first, rest) = value.split_once(',').unwrap_or((value, ""));
        let mut found = Vec::new();
        let rest = match first.trim().strip_prefix('@') {
            Some(domain) => {
                let user = address.local.strip_suffix(extension).unwrap_or(&address.local);
                found.push(Address::new(user, domain.to_ascii_lowercase()));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(address: &Address, class: RecipientClass) -> Keys {
        Keys::of(address, address.local.split_once('+').map(|(user, _)| user), class)
    }

    #[test]
    fn keys_are_in_postfix_order() {
        let address = Address::new("user+foo", "x.org");
        assert_eq!(
            keys(&address, RecipientClass::VirtualAlias).all,
            ["user+foo@x.org", "user@x.org", "@x.org"]
        );
        assert_eq!(
            keys(&address, RecipientClass::Local).all,
            ["user+foo@x.org", "user@x.org", "user+foo", "user", "@x.org"]
        );
        assert_eq!(
            keys(&Address::new("u", "x.org"), RecipientClass::Other).all,
            ["u@x.org", "@x.org"]
        );
        assert_eq!(
            keys(&Address::new("u@y.org", "x.org"), RecipientClass::Local).all,
            ["u@y.org@x.org", "@x.org"]
        );
    }

    #[test]
    fn an_unmatched_extension_goes_on() {
        let address = Address::new("user+foo", "x.org");
        let keys = keys(&address, RecipientClass::VirtualAlias);
        let value = |key, value: &str| keys.value(&address, key, value, |_| ()).unwrap();
        assert_eq!(value(0, "a@y.org, b"), [Address::new("a", "y.org"), Address::new("b", "")]);
        assert_eq!(
            value(1, "a@y.org, b"),
            [Address::new("a+foo", "y.org"), Address::new("b+foo", "")]
        );
        assert_eq!(value(2, "c@y.org"), [Address::new("c", "y.org")]);
        assert_eq!(value(2, "@Z.org"), [Address::new("user+foo", "z.org")]);
        assert_eq!(
            value(0, "@z.org, d@z.org"),
            [Address::new("user+foo", "z.org"), Address::new("d", "z.org")]
        );
    }

    #[test]
    fn only_addresses_come_from_a_virtual_table() {
        let address = Address::new("user", "x.org");
        let keys = keys(&address, RecipientClass::VirtualAlias);
        let told = std::cell::RefCell::new(Vec::new());
        let warn = |text: &str| told.borrow_mut().push(text.to_owned());
        assert_eq!(
            keys.value(&address, 0, "\"|/bin/x\", a@y.org", warn).unwrap(),
            [Address::new("a", "y.org")]
        );
        assert_eq!(told.borrow().len(), 1);
        assert!(keys.value(&address, 0, "/etc/passwd", |_| ()).is_err());
        assert!(keys.value(&address, 0, "", |_| ()).is_err());
    }
}
