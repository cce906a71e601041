//! The hooks as traits, and the macro that exports them.
//!
//! The functions are the contract's; those that a plugin need not have are given with "no opinion"
//! as their answer. A trait's `init` is asked once a load, in a sandbox of its own; an error stops
//! the load and is shown to the operator.

use crate::{Address, Failure, Message, Recipient, Session, Transaction, Verdict};

pub use crate::bindings::alias::exports::facteur::policy::alias::{Expansion, Target};
pub use crate::bindings::authenticate::exports::facteur::policy::authenticate::Credentials;
pub use crate::bindings::delivery::exports::facteur::policy::delivery::{Advice, Attempt};
pub use crate::bindings::restriction::exports::facteur::policy::restriction::Stages;
pub use crate::bindings::transport::exports::facteur::policy::transport::{
    Answer, Route, Scope, TlsLevel,
};

/// May this client, sender, recipient, message come in?
pub trait Restriction {
    /// Checks the settings, says at which stages to ask.
    fn init() -> Result<Stages, String>;
    /// About the client. With `early` in the configuration there is no transaction yet.
    fn connect(_: &Session, _: Option<&Transaction>) -> Result<Verdict, Failure> {
        Ok(Verdict::Dunno)
    }
    /// About HELO or EHLO.
    fn helo(_: &Session, _: Option<&Transaction>) -> Result<Verdict, Failure> {
        Ok(Verdict::Dunno)
    }
    /// About the sender.
    fn mail(_: &Session, _: &Transaction) -> Result<Verdict, Failure> {
        Ok(Verdict::Dunno)
    }
    /// About one recipient.
    fn rcpt(_: &Session, _: &Transaction, _: &Recipient) -> Result<Verdict, Failure> {
        Ok(Verdict::Dunno)
    }
    /// At DATA, before the content.
    fn data(_: &Session, _: &Transaction) -> Result<Verdict, Failure> {
        Ok(Verdict::Dunno)
    }
    /// After the last byte of the content.
    fn end_of_data(_: &Session, _: &Transaction, _: &Message) -> Result<Verdict, Failure> {
        Ok(Verdict::Dunno)
    }
}

/// Who really gets what is addressed to this?
pub trait Alias {
    /// Checks the settings.
    fn init() -> Result<(), String>;
    /// One step; the host repeats it for each address that comes out.
    fn expand(to: &Recipient) -> Result<Expansion, Failure>;
    /// The envelope sender of the copies that come through this list.
    fn owner(_: Address) -> Result<Option<Address>, Failure> {
        Ok(None)
    }
}

/// Where does this go next?
pub trait Transport {
    /// Checks the settings.
    fn init() -> Result<(), String>;
    /// At RCPT without effect but a refusal, and whenever a recipient becomes active, in a sandbox
    /// of its own.
    fn next_hop(t: &Transaction, to: &Recipient) -> Result<Answer, Failure>;
}

/// What about the content, and should it change?
///
/// Here alone the methods that edit may be called: those of [`Message`], and of [`Transaction`]
/// `quarantine`, `add_recipient`, `remove_recipient` and `set_sender`. They count once `inspect`
/// has given a verdict; a failure or a panic leaves nothing of them.
pub trait Content {
    /// Checks the settings.
    fn init() -> Result<(), String>;
    /// At the end of the message, once no restriction minds. `Accept` means no more than `Dunno`:
    /// the plugins after this one are asked, and see what this one changed. `m` stays as it was
    /// handed over: numbers of headers and offsets mean that, whatever was edited.
    fn inspect(s: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure>;
}

/// Who is this? The host has no AUTH command yet: nobody brings credentials until it has.
pub trait Authenticate {
    /// Checks the settings.
    fn init() -> Result<(), String>;
    /// The login that the credentials prove: printable, 320 bytes at most. None if they prove
    /// nothing. Whatever comes of it, log nothing of them.
    fn verify(s: &Session, c: Credentials) -> Result<Option<String>, Failure>;
}

/// What follows from this attempt?
pub trait Delivery {
    /// Checks the settings.
    fn init() -> Result<(), String>;
    /// After every attempt, for each recipient, in a sandbox of its own. What was delivered (a
    /// reply of 2yz) can't be changed: only whether the sender is told.
    fn after(t: &Transaction, to: &Recipient, a: Attempt) -> Result<Advice, Failure>;
}

/// Exports the hooks that a plugin has: `export!(restriction: Mine, alias: Mine);`. Once in a
/// crate. Natively it exports nothing, so that the crate can be linked and tested.
#[macro_export]
macro_rules! export {
    ($($hook:ident: $plugin:ty),+ $(,)?) => {
        $($crate::export_hook!($hook: $plugin);)+
    };
}

/// One hook of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_hook {
    (restriction: $plugin:ty) => {
        const _: () = {
            use $crate::bindings::restriction as bindings;
            use $crate::{
                Failure, Message, Recipient, Restriction, Session, Stages, Transaction, Verdict,
            };

            struct Export;

            impl bindings::exports::facteur::policy::restriction::Guest for Export {
                fn init() -> Result<Stages, String> {
                    <$plugin as Restriction>::init()
                }
                fn connect(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
                    <$plugin as Restriction>::connect(s, t)
                }
                fn helo(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
                    <$plugin as Restriction>::helo(s, t)
                }
                fn mail(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
                    <$plugin as Restriction>::mail(s, t)
                }
                fn rcpt(s: &Session, t: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
                    <$plugin as Restriction>::rcpt(s, t, to)
                }
                fn data(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
                    <$plugin as Restriction>::data(s, t)
                }
                fn end_of_data(
                    s: &Session,
                    t: &Transaction,
                    m: &Message,
                ) -> Result<Verdict, Failure> {
                    <$plugin as Restriction>::end_of_data(s, t, m)
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::export_restriction!(Export with_types_in bindings);
        };
    };
    (alias: $plugin:ty) => {
        const _: () = {
            use $crate::bindings::alias as bindings;
            use $crate::{Address, Alias, Expansion, Failure, Recipient};

            struct Export;

            impl bindings::exports::facteur::policy::alias::Guest for Export {
                fn init() -> Result<(), String> {
                    <$plugin as Alias>::init()
                }
                fn expand(to: &Recipient) -> Result<Expansion, Failure> {
                    <$plugin as Alias>::expand(to)
                }
                fn owner(of: Address) -> Result<Option<Address>, Failure> {
                    <$plugin as Alias>::owner(of)
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::export_alias!(Export with_types_in bindings);
        };
    };
    (transport: $plugin:ty) => {
        const _: () = {
            use $crate::bindings::transport as bindings;
            use $crate::{Answer, Failure, Recipient, Transaction, Transport};

            struct Export;

            impl bindings::exports::facteur::policy::transport::Guest for Export {
                fn init() -> Result<(), String> {
                    <$plugin as Transport>::init()
                }
                fn next_hop(t: &Transaction, to: &Recipient) -> Result<Answer, Failure> {
                    <$plugin as Transport>::next_hop(t, to)
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::export_transport!(Export with_types_in bindings);
        };
    };
    (content: $plugin:ty) => {
        const _: () = {
            use $crate::bindings::content as bindings;
            use $crate::{Content, Failure, Message, Session, Transaction, Verdict};

            struct Export;

            impl bindings::exports::facteur::policy::content::Guest for Export {
                fn init() -> Result<(), String> {
                    <$plugin as Content>::init()
                }
                fn inspect(s: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure> {
                    <$plugin as Content>::inspect(s, t, m)
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::export_content!(Export with_types_in bindings);
        };
    };
    (authenticate: $plugin:ty) => {
        const _: () = {
            use $crate::bindings::authenticate as bindings;
            use $crate::{Authenticate, Credentials, Failure, Session};

            struct Export;

            impl bindings::exports::facteur::policy::authenticate::Guest for Export {
                fn init() -> Result<(), String> {
                    <$plugin as Authenticate>::init()
                }
                fn verify(s: &Session, c: Credentials) -> Result<Option<String>, Failure> {
                    <$plugin as Authenticate>::verify(s, c)
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::export_authenticate!(Export with_types_in bindings);
        };
    };
    (delivery: $plugin:ty) => {
        const _: () = {
            use $crate::bindings::delivery as bindings;
            use $crate::{Advice, Attempt, Delivery, Failure, Recipient, Transaction};

            struct Export;

            impl bindings::exports::facteur::policy::delivery::Guest for Export {
                fn init() -> Result<(), String> {
                    <$plugin as Delivery>::init()
                }
                fn after(t: &Transaction, to: &Recipient, a: Attempt) -> Result<Advice, Failure> {
                    <$plugin as Delivery>::after(t, to, a)
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::export_delivery!(Export with_types_in bindings);
        };
    };
}
