//! The hooks of a plugin: the functions that it exports, found once, when it is loaded.
//!
//! A question then costs the check of one function's type, not that of its whole interface. A hook is there if all of its
//! functions are; whether they have the contract's types is checked at the load, in the first sandbox.

use std::marker::PhantomData;

use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, Resource, TypedFunc,
};

use crate::bindings::alias::exports::facteur::policy::alias;
use crate::bindings::facteur::policy::types::{self, Failure};
use crate::bindings::restriction::exports::facteur::policy::restriction;
use crate::bindings::transport::exports::facteur::policy::transport;
use crate::bindings::{MessageHandle, RecipientHandle, SessionHandle, TransactionHandle};
use crate::sandbox::State;

/// A resource that is lent for one call.
type Lent<T> = Resource<T>;
/// What a restriction answers.
pub(crate) type Verdict = Result<restriction::Verdict, Failure>;

/// One exported function.
pub(crate) struct Function<Parameters, Answer> {
    index: ComponentExportIndex,
    types: PhantomData<fn(Parameters) -> Answer>,
}

impl<Parameters, Answer> Function<Parameters, Answer>
where
    Parameters: ComponentNamedList + Lower + Send + Sync + 'static,
    Answer: Send + Sync + 'static,
    (Answer,): ComponentNamedList + Lift,
{
    /// Calls it.
    pub(crate) async fn call(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        parameters: Parameters,
    ) -> wasmtime::Result<Answer> {
        let (answer,) = self.typed(store, instance)?.call_async(store, parameters).await?;
        Ok(answer)
    }

    /// Whether it has the type that the contract gives it.
    fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        self.typed(store, instance).map(drop)
    }

    fn typed(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<TypedFunc<Parameters, (Answer,)>> {
        instance.get_typed_func(store, self.index)
    }
}

/// Declares a hook: its interface, and its functions with their types.
macro_rules! hook {
    ($(#[$about:meta])* $hook:ident, $interface:literal, { $($function:ident: $name:literal $parameters:ty => $answer:ty,)* }) => {
        $(#[$about])*
        pub(crate) struct $hook {
            $(pub(crate) $function: Function<$parameters, $answer>,)*
        }

        impl $hook {
            /// The hook, if the component has all of its functions.
            pub(crate) fn find(component: &Component) -> Option<Self> {
                let interface = component.get_export_index(None, concat!("facteur:policy/", $interface, "@0.1.0"))?;
                let find = |name: &str| component.get_export_index(Some(&interface), name);
                Some(Self { $($function: Function { index: find($name)?, types: PhantomData },)* })
            }

            /// Whether its functions have the types that the contract gives them.
            pub(crate) fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
                $(
                    self.$function
                        .check(store, instance)
                        .map_err(|error| error.context(concat!($interface, ".", $name)))?;
                )*
                Ok(())
            }
        }
    };
}

hook!(
    /// Decides about a session and an envelope.
    Restriction, "restriction", {
    init: "init" () => Result<restriction::Stages, String>,
    connect: "connect" (Lent<SessionHandle>, Option<Lent<TransactionHandle>>) => Verdict,
    helo: "helo" (Lent<SessionHandle>, Option<Lent<TransactionHandle>>) => Verdict,
    mail: "mail" (Lent<SessionHandle>, Lent<TransactionHandle>) => Verdict,
    rcpt: "rcpt" (Lent<SessionHandle>, Lent<TransactionHandle>, Lent<RecipientHandle>) => Verdict,
    data: "data" (Lent<SessionHandle>, Lent<TransactionHandle>) => Verdict,
    end_of_data: "end-of-data" (Lent<SessionHandle>, Lent<TransactionHandle>, Lent<MessageHandle>) => Verdict,
});

hook!(
    /// Says what an address stands for.
    Alias, "alias", {
    init: "init" () => Result<(), String>,
    expand: "expand" (Lent<RecipientHandle>,) => Result<alias::Expansion, Failure>,
    owner: "owner" (types::Address,) => Result<Option<types::Address>, Failure>,
});

hook!(
    /// Says where a recipient goes next.
    Transport, "transport", {
    init: "init" () => Result<(), String>,
    next_hop: "next-hop" (Lent<TransactionHandle>, Lent<RecipientHandle>) => Result<transport::Answer, Failure>,
});
