//! What a guest may ask of the host, as values: one table of the contract's functions makes the
//! enum of calls and what is known of each. [`super::door`] makes their implementations of the same
//! table.
//!
//! A call and its reply are compared, hashed and told; what they mean stands in
//! [`super::imports`]. Functions that no transcript holds have no value here.

use std::hash::{Hash, Hasher};

use super::bindings::facteur::policy::{counters, dns, log, lookup, types, verify};
use super::words::Words as _;

/// What a function answers that may fail.
pub(crate) type Answer<T> = Result<T, types::Error>;
/// The same where what fails is another plugin.
pub(crate) type Listed<T> = Result<T, types::Failure>;

/// Hands the table to a macro. For each interface the functions that a transcript holds:
///
/// - `kept`: what they answer is all there is to them;
/// - `acting`: they have an effect, too;
///
/// and those beside it:
///
/// - `passing`: what they answer is never the same, or too large to keep, or a secret: a transcript
///   ends there;
/// - `fixed`: it is the same for as long as the plugin is loaded.
///
/// Then whether the answer comes `now` or `later`, and the function.
macro_rules! functions {
    ($with:ident) => {
        $with! {
            session {
                held {
                    kept now SessionListener listener() -> String;
                    kept now SessionClientAddress client_address() -> String;
                    kept later SessionClientName client_name() -> Answer<Option<String>>;
                    kept later SessionReverseName reverse_name() -> Answer<Option<String>>;
                    kept now SessionClientIn client_in(networks: String) -> Answer<bool>;
                    kept now SessionTrusted trusted() -> bool;
                    kept now SessionHelo helo() -> Option<String>;
                    kept now SessionEsmtp esmtp() -> bool;
                    kept now SessionLogin login() -> Option<String>;
                    kept now SessionFact fact(name: String) -> Option<String>;
                    kept now SessionTag tag(key: String) -> Option<String>;
                    acting now SessionSetTag set_tag(key: String, value: String) -> Answer<()>;
                }
                beside {
                    passing now id() -> String;
                    passing now client_port() -> u16;
                }
            }
            transaction {
                held {
                    kept now TransactionExists exists() -> bool;
                    kept now TransactionSender sender() -> Option<types::MailAddress>;
                    kept now TransactionSenderClass sender_class() -> Option<types::RecipientClass>;
                    kept later TransactionSenderListed sender_listed() -> Listed<bool>;
                    kept now TransactionDeclaredSize declared_size() -> Option<u64>;
                    kept now TransactionUtf8 utf8() -> bool;
                    kept now TransactionRecipientCount recipient_count() -> u32;
                    kept now TransactionRecipients recipients() -> Vec<types::MailAddress>;
                    kept now TransactionClassOf class_of(recipient: u32)
                        -> Option<types::RecipientClass>;
                    kept now TransactionRouted routed(recipient: u32) -> Option<bool>;
                    kept later TransactionListed listed(recipient: u32) -> Listed<Option<bool>>;
                    kept now TransactionTag tag(key: String) -> Option<String>;
                    acting now TransactionSetTag set_tag(key: String, value: String) -> Answer<()>;
                    acting now TransactionHold hold(reason: String) -> ();
                    acting now TransactionRedirect redirect(to: types::MailAddress) -> Answer<()>;
                    acting now TransactionBcc bcc(to: types::MailAddress) -> Answer<()>;
                    acting now TransactionPrependHeader prepend_header(name: String, value: String)
                        -> Answer<()>;
                    acting now TransactionDelay delay(time: u64) -> ();
                }
                beside {}
            }
            recipient {
                held {
                    kept now RecipientAddress address() -> types::MailAddress;
                    kept now RecipientOriginal original() -> types::MailAddress;
                    kept now RecipientAddressClass address_class() -> types::RecipientClass;
                    kept now RecipientRouted routed() -> bool;
                    kept later RecipientListed listed() -> Listed<bool>;
                }
                beside {}
            }
            message {
                held {}
                beside {
                    passing now size() -> u64;
                    passing now body_offset() -> u64;
                    passing now read(offset: u64, length: u32) -> Answer<Vec<u8>>;
                    passing now header(name: String) -> Vec<Vec<u8>>;
                    passing now header_text(name: String) -> Vec<String>;
                    passing now headers(from_index: u32) -> Vec<(Vec<u8>, Vec<u8>)>;
                }
            }
            message_edit {
                held {
                    acting now EditAddHeader add_header(name: String, value: String) -> Answer<()>;
                    acting now EditInsertHeader
                        insert_header(index: u32, name: String, value: String)
                        -> Answer<()>;
                    acting now EditQuarantine quarantine(reason: String) -> ();
                    acting now EditAddRecipient add_recipient(to: types::MailAddress) -> Answer<()>;
                    acting now EditRemoveRecipient remove_recipient(to: types::MailAddress)
                        -> Answer<bool>;
                    acting now EditSetSender set_sender(sender: Option<types::MailAddress>)
                        -> Answer<()>;
                }
                beside {
                    passing now replace_header(name: String, occurrence: u32, value: String)
                        -> Answer<bool>;
                    passing now remove_header(name: String, occurrence: Option<u32>) -> Answer<u32>;
                    passing later replace_body(chunk: Vec<u8>, last: bool) -> Answer<()>;
                }
            }
            attempt {
                held {
                    kept now AttemptNumber number() -> u32;
                    kept now AttemptHost host() -> Option<String>;
                    kept now AttemptSaid said() -> types::Reply;
                }
                beside {
                    passing now next_try() -> Option<u64>;
                }
            }
            credentials {
                held {}
                beside {
                    passing now mechanism() -> String;
                    passing now authorization() -> Option<String>;
                    passing now user() -> Option<String>;
                    passing now password() -> Option<String>;
                    passing now token() -> Option<String>;
                }
            }
            log {
                held {
                    acting now LogWrite write(level: log::Level, text: String) -> ();
                }
                beside {}
            }
            settings {
                held {}
                beside {
                    fixed now get() -> String;
                    fixed now text(name: String) -> Answer<Option<String>>;
                    fixed now number(name: String) -> Answer<Option<i64>>;
                    fixed now yes_or_no(name: String) -> Answer<Option<bool>>;
                    fixed now texts(name: String) -> Answer<Option<Vec<String>>>;
                    fixed now names(name: String) -> Answer<Option<Vec<String>>>;
                    fixed now kept() -> Vec<u8>;
                    fixed now keep(state: Vec<u8>) -> ();
                    fixed now skip(hook: String) -> ();
                }
            }
            clock {
                held {}
                beside {
                    passing now now() -> u64;
                }
            }
            lookup {
                held {
                    kept later LookupFind find(table: String, keys: Vec<String>)
                        -> Answer<Option<lookup::Found>>;
                    kept later LookupFindClient find_client(tables: Vec<String>)
                        -> Answer<Option<lookup::Entry>>;
                    kept later LookupFindHelo find_helo(tables: Vec<String>)
                        -> Answer<Option<lookup::Entry>>;
                    kept later LookupFindSender
                        find_sender(tables: Vec<String>, keys: lookup::Manner)
                        -> Answer<Option<lookup::Entry>>;
                    kept later LookupFindRecipient
                        find_recipient(tables: Vec<String>, keys: lookup::Manner)
                        -> Answer<Option<lookup::Entry>>;
                    kept later LookupFindAccepted
                        find_accepted(recipient: u32, tables: Vec<String>, keys: lookup::Manner)
                        -> Answer<Option<lookup::Entry>>;
                    kept now LookupUser user(local: String) -> Option<String>;
                }
                beside {
                    passing later check(table: String) -> Answer<()>;
                }
            }
            dns {
                held {
                    kept later DnsAddresses addresses(name: String) -> Answer<Vec<String>>;
                    kept later DnsMailExchangers mail_exchangers(name: String)
                        -> Answer<Vec<dns::MailExchanger>>;
                    kept later DnsTexts texts(name: String) -> Answer<Vec<Vec<u8>>>;
                    kept later DnsNameServers name_servers(name: String) -> Answer<Vec<String>>;
                    kept later DnsNamesOf names_of(address: String) -> Answer<Vec<String>>;
                }
                beside {
                    passing now check() -> Answer<()>;
                }
            }
            scanner {
                held {}
                beside {
                    passing now check(name: String) -> Answer<()>;
                    passing later scan(name: String) -> Answer<scanner::Outcome>;
                }
            }
            counters {
                held {
                    kept now CountersGet get(store: String, key: String)
                        -> Answer<Option<counters::Counter>>;
                    acting now CountersAdd
                        add(store: String, key: String, amount: u64, keep: counters::Lifetime)
                        -> Answer<counters::Counter>;
                    acting now CountersTake
                        take(store: String, key: String, amount: u32, of: counters::Bucket)
                        -> Answer<counters::Taken>;
                    acting now CountersRemove remove(store: String, key: String) -> Answer<bool>;
                }
                beside {
                    passing now check(store: String) -> Answer<()>;
                }
            }
            verify {
                held {
                    kept later VerifyRecipient recipient(to: types::MailAddress)
                        -> Answer<verify::Outcome>;
                }
                beside {
                    passing now check() -> Answer<()>;
                }
            }
            files {
                held {}
                beside {
                    passing now check(folder: String, write: bool) -> Answer<()>;
                    passing later read(folder: String, path: String, offset: u64, length: u32)
                        -> Answer<Vec<u8>>;
                    passing later info(folder: String, path: String) -> Answer<files::Entry>;
                    passing later names(folder: String, path: String, after: Option<String>)
                        -> Answer<Vec<String>>;
                    passing later write(folder: String, path: String, content: Vec<u8>)
                        -> Answer<()>;
                    passing later remove(folder: String, path: String) -> Answer<()>;
                }
            }
            connect {
                held {}
                beside {
                    passing now check(service: String) -> Answer<()>;
                    passing later exchange(service: String, steps: Vec<connect::Step>)
                        -> Answer<Vec<Vec<u8>>>;
                }
            }
        }
    };
}
pub(super) use functions;

macro_rules! calls {
    ($($interface:ident {
        held {
            $($kind:ident $time:ident $call:ident $function:ident
                ($($argument:ident: $type:ty),*) -> $answer:ty;)*
        }
        beside { $($beside:tt)* }
    })*) => {
        /// One call of a function that a transcript holds, with what it was handed.
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Call {
            $($($call { $($argument: $type),* },)*)*
        }

        impl Call {
            /// Interface and function, as Rust writes them.
            fn name(&self) -> (&'static str, &'static str) {
                match self {
                    $($(Self::$call { .. } => (stringify!($interface), stringify!($function)),)*)*
                }
            }

            /// Whether it does more than answer.
            pub(crate) fn acts(&self) -> bool {
                match self {
                    $($(Self::$call { .. } => stringify!($kind) == "acting",)*)*
                }
            }

            /// Whether its answer may have to be waited for.
            pub(crate) fn waits(&self) -> bool {
                match self {
                    $($(Self::$call { .. } => stringify!($time) == "later",)*)*
                }
            }

            /// What it was handed, in words.
            fn arguments(&self) -> Vec<String> {
                match self {
                    $($(Self::$call { $($argument),* } => vec![$($argument.words()),*],)*)*
                }
            }
        }
    };
}

functions!(calls);

/// Declares the shapes of answers.
macro_rules! shapes {
    ($($shape:ident $type:ty,)*) => {
        /// What a call was answered.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub(crate) enum Reply {
            $($shape($type),)*
        }

        $(impl Shape for $type {
            fn reply(self) -> Reply {
                Reply::$shape(self)
            }

            fn of(reply: Reply) -> Option<Self> {
                match reply {
                    Reply::$shape(answer) => Some(answer),
                    _ => None,
                }
            }
        })*

        impl Reply {
            fn words(&self) -> String {
                match self {
                    $(Self::$shape(answer) => answer.words(),)*
                }
            }
        }
    };
}

shapes! {
    Done (),
    YesNo bool,
    Number u32,
    Text String,
    MaybeText Option<String>,
    MaybeSize Option<u64>,
    MaybeYesNo Option<bool>,
    Address types::MailAddress,
    MaybeAddress Option<types::MailAddress>,
    Addresses Vec<types::MailAddress>,
    Class types::RecipientClass,
    MaybeClass Option<types::RecipientClass>,
    Said types::Reply,
    Acted Answer<()>,
    Found Answer<bool>,
    Name Answer<Option<String>>,
    Listed Listed<bool>,
    MaybeListed Listed<Option<bool>>,
    Entry Answer<Option<lookup::Entry>>,
    Key Answer<Option<lookup::Found>>,
    Names Answer<Vec<String>>,
    Exchangers Answer<Vec<dns::MailExchanger>>,
    Texts Answer<Vec<Vec<u8>>>,
    Counter Answer<Option<counters::Counter>>,
    Counted Answer<counters::Counter>,
    Taken Answer<counters::Taken>,
    Verified Answer<verify::Outcome>,
}

/// A type of answer that has a shape.
pub(super) trait Shape: Sized {
    fn reply(self) -> Reply;
    /// None: it has another shape, as the answer to this call never has.
    fn of(reply: Reply) -> Option<Self>;
}

impl Reply {
    /// Whether it is never the same again: ages, and times that are left.
    pub(crate) fn passes(&self) -> bool {
        matches!(
            self,
            Self::Counter(Ok(Some(_)))
                | Self::Counted(Ok(_))
                | Self::Taken(Ok(counters::Taken::Wait(_)))
        )
    }
}

impl Call {
    /// What was asked and answered, in words; none where it is no fact that an answer of the plugin
    /// can depend on.
    pub(crate) fn told(&self, reply: &Reply) -> Option<String> {
        if matches!(reply, Reply::Done(()) | Reply::Acted(_)) {
            return None;
        }
        let (interface, function) = self.name();
        let name = format!("{interface}.{function}").replace('_', "-");
        let arguments = self.arguments().join(", ");
        let asked = if arguments.is_empty() { name } else { format!("{name}({arguments})") };
        Some(format!("{asked} = {}", reply.words()))
    }
}

/// Bytes of what is hashed: a measure of what a call, a reply or an answer holds, which needs
/// nothing but `Hash`.
#[derive(Default)]
struct Octets(usize);

impl Hasher for Octets {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }

    fn finish(&self) -> u64 {
        self.0 as u64
    }
}

/// How many bytes it holds, about.
pub(crate) fn octets(of: &impl Hash) -> usize {
    let mut octets = Octets::default();
    of.hash(&mut octets);
    octets.0
}
