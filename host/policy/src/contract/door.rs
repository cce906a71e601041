//! The one door from a guest to the host: every function of the contract, as one line each of the
//! table in [`super::calls`].
//!
//! What a transcript holds is a value: the guest's call is made one, the reply is looked up in what
//! is played to it or else asked for ([`super::imports`]), and noted. The same call can be asked
//! without any guest ([`now`], [`later`]). There are two entrances, since what may have to wait is
//! a future, which costs a box for each call.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Error, Result, bail, format_err};

use super::bindings::Imports;
use super::bindings::facteur::policy::{
    attempt, clock, connect, counters, credentials, dns, files, log, lookup, message, message_edit,
    recipient, scanner, session, settings, transaction, types, verify,
};
use super::calls::{Answer, Call, Listed, Reply, Shape, functions};
use super::context::Context;
use super::{imports, newer};
use crate::runtime::store::{self, Data};

impl types::Host for Context {}

impl store::Context for Context {
    fn link(linker: &mut Linker<Data<Self>>) -> Result<()> {
        Imports::add_to_linker::<_, HasSelf<Self>>(linker, Data::called)
    }

    fn complete(linker: &mut Linker<Data<Self>>, component: &Component) -> Result<()> {
        newer::complete(linker, component).map_err(Error::from)
    }

    fn rest(&mut self) {
        self.see_nothing();
    }

    fn last_words(&self) -> Option<&str> {
        self.own_last_words()
    }
}

/// An argument, lent to the function that it is for.
trait Lend {
    type Lent<'a>
    where
        Self: 'a;
    fn lend(&self) -> Self::Lent<'_>;
}

/// Declares the types that are handed over as they are.
macro_rules! copied {
    ($($type:ty),*) => {
        $(impl Lend for $type {
            type Lent<'a> = $type;
            fn lend(&self) -> $type {
                *self
            }
        })*
    };
}

/// Declares those of which a reference is.
macro_rules! referred {
    ($($type:ty as $seen:ty),*) => {
        $(impl Lend for $type {
            type Lent<'a> = &'a $seen;
            fn lend(&self) -> &$seen {
                self
            }
        })*
    };
}

copied!(u32, u64, lookup::Manner, log::Level, counters::Lifetime, counters::Bucket);
referred!(String as str, Vec<String> as [String], types::MailAddress as types::MailAddress);

impl Lend for Option<types::MailAddress> {
    type Lent<'a> = Option<&'a types::MailAddress>;
    fn lend(&self) -> Option<&types::MailAddress> {
        self.as_ref()
    }
}

/// The answer in the shape that this call has.
fn shaped<T: Shape>(reply: Reply) -> Result<T> {
    // Equal calls have replies of one shape: it is the function that gives them.
    T::of(reply).ok_or_else(|| format_err!("an answer of another shape"))
}

impl Context {
    fn ask_now<T: Shape>(&mut self, call: Call) -> Result<T> {
        if let Some(reply) = self.transcript.again(&call)? {
            return shaped(reply);
        }
        let reply = now(self, &call)?;
        self.transcript.note(call, &reply);
        shaped(reply)
    }

    async fn ask_later<T: Shape>(&mut self, call: Call) -> Result<T> {
        if let Some(reply) = self.transcript.again(&call)? {
            return shaped(reply);
        }
        let reply = later(self, &call).await?;
        self.transcript.note(call, &reply);
        shaped(reply)
    }
}

/// The guest's side of a function that a transcript holds.
macro_rules! held {
    (now $call:ident $function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $function(&mut self, $($argument: $type),*) -> Result<$answer> {
            self.ask_now(Call::$call { $($argument),* })
        }
    };
    (later $call:ident $function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        async fn $function(&mut self, $($argument: $type),*) -> Result<$answer> {
            self.ask_later(Call::$call { $($argument),* }).await
        }
    };
}

/// The guest's side of one that none holds.
macro_rules! beside {
    (fixed now $module:ident $function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $function(&mut self, $($argument: $type),*) -> Result<$answer> {
            imports::$module::$function(self, $($argument),*)
        }
    };
    (passing now $module:ident $function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $function(&mut self, $($argument: $type),*) -> Result<$answer> {
            self.transcript.miss()?;
            imports::$module::$function(self, $($argument),*)
        }
    };
    (passing later $module:ident $function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        async fn $function(&mut self, $($argument: $type),*) -> Result<$answer> {
            self.transcript.miss()?;
            imports::$module::$function(self, $($argument),*).await
        }
    };
}

/// Asks what is answered at once.
macro_rules! ask_now {
    (now $module:ident $function:ident $context:ident $($argument:ident)*) => {
        Ok(imports::$module::$function($context, $($argument.lend()),*)?.reply())
    };
    (later $module:ident $function:ident $context:ident $($argument:ident)*) => {{
        $(let _ = $argument;)*
        bail!("{}.{} is answered later", stringify!($module), stringify!($function))
    }};
}

/// Asks what may have to be waited for.
macro_rules! ask_later {
    (now $module:ident $function:ident $context:ident $call:ident $($argument:ident)*) => {{
        $(let _ = $argument;)*
        now($context, $call)
    }};
    (later $module:ident $function:ident $context:ident $call:ident $($argument:ident)*) => {
        Ok(imports::$module::$function($context, $($argument.lend()),*).await?.reply())
    };
}

macro_rules! door {
    ($($module:ident {
        held {
            $($kind:ident $time:ident $call:ident $function:ident
                ($($argument:ident: $type:ty),*) -> $answer:ty;)*
        }
        beside {
            $($beside_kind:ident $beside_time:ident $beside:ident
                ($($beside_argument:ident: $beside_type:ty),*) -> $beside_answer:ty;)*
        }
    })*) => {
        $(impl $module::Host for Context {
            $(held! { $time $call $function($($argument: $type),*) -> $answer })*
            $(beside! {
                $beside_kind $beside_time $module $beside
                ($($beside_argument: $beside_type),*) -> $beside_answer
            })*
        })*

        /// Asks what is answered at once, on behalf of whoever the context is for.
        ///
        /// # Errors
        /// The call has no sense here: what would be a trap of the guest.
        pub(crate) fn now(context: &mut Context, call: &Call) -> Result<Reply> {
            match call {
                $($(Call::$call { $($argument),* } => {
                    ask_now!($time $module $function context $($argument)*)
                })*)*
            }
        }

        /// Asks whatever it is.
        ///
        /// # Errors
        /// As [`now`].
        pub(crate) async fn later(context: &mut Context, call: &Call) -> Result<Reply> {
            match call {
                $($(Call::$call { $($argument),* } => {
                    ask_later!($time $module $function context call $($argument)*)
                })*)*
            }
        }
    };
}

functions!(door);
