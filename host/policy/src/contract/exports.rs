//! The hooks of a plugin: the functions that it exports, found once, when it is loaded.
//!
//! A question then costs the check of one function's type, not that of its whole interface. A hook
//! is there if all of its functions are; whether they have the contract's types is checked at the
//! load, in the first sandbox.

use std::marker::PhantomData;

use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, Resource, TypedFunc,
};

use crate::contract::bindings::alias::exports::facteur::policy::alias;
use crate::contract::bindings::authenticate::exports::facteur::policy::authenticate;
use crate::contract::bindings::delivery::exports::facteur::policy::delivery;
use crate::contract::bindings::facteur::policy::types::{self, Failure};
use crate::contract::bindings::restriction::exports::facteur::policy::restriction::Stages;
use crate::contract::bindings::transport::exports::facteur::policy::transport;
use crate::contract::bindings::{MessageHandle, RecipientHandle, SessionHandle, TransactionHandle};
use crate::contract::sandbox::State;

/// A resource that is lent for one call.
type Lent<T> = Resource<T>;
/// What a restriction or a content plugin answers.
type Verdict = Result<types::Verdict, Failure>;

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
            fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
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

/// The hooks of one component.
pub(crate) struct Hooks {
    pub restriction: Option<Restriction>,
    pub alias: Option<Alias>,
    pub transport: Option<Transport>,
    pub content: Option<Content>,
    pub authenticate: Option<Authenticate>,
    pub delivery: Option<Delivery>,
}

impl Hooks {
    /// Those that the component exports.
    pub(crate) fn find(component: &Component) -> Self {
        Self {
            restriction: Restriction::find(component),
            alias: Alias::find(component),
            transport: Transport::find(component),
            content: Content::find(component),
            authenticate: Authenticate::find(component),
            delivery: Delivery::find(component),
        }
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let all = [
            ("restriction", self.restriction.is_some()),
            ("alias", self.alias.is_some()),
            ("transport", self.transport.is_some()),
            ("content", self.content.is_some()),
            ("authenticate", self.authenticate.is_some()),
            ("delivery", self.delivery.is_some()),
        ];
        all.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
    }

    /// Checks each hook's types and runs its `init`; the stages that the restriction wants, or what
    /// an `init` says against the load.
    pub(crate) async fn init(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Result<Stages, String>> {
        let mut stages = Stages::empty();
        if let Some(hook) = &self.restriction {
            hook.check(store, instance)?;
            match hook.init.call(store, instance, ()).await? {
                Ok(wanted) => stages = wanted,
                Err(reason) => return Ok(Err(reason)),
            }
        }
        macro_rules! init {
            ($($hook:ident),*) => {$(
                if let Some(hook) = &self.$hook {
                    hook.check(store, instance)?;
                    if let Err(reason) = hook.init.call(store, instance, ()).await? {
                        return Ok(Err(reason));
                    }
                }
            )*};
        }
        init!(alias, transport, content, authenticate, delivery);
        Ok(Ok(stages))
    }
}

hook!(
    /// Decides about a session and an envelope.
    Restriction, "restriction", {
    init: "init" () => Result<Stages, String>,
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

hook!(
    /// Decides about the content, and edits it.
    Content, "content", {
    init: "init" () => Result<(), String>,
    inspect: "inspect" (Lent<SessionHandle>, Lent<TransactionHandle>, Lent<MessageHandle>) => Verdict,
});

hook!(
    /// Says whom credentials prove.
    Authenticate, "authenticate", {
    init: "init" () => Result<(), String>,
    verify: "verify" (Lent<SessionHandle>, authenticate::Credentials) => Result<Option<String>, Failure>,
});

hook!(
    /// Says what follows from an attempt to deliver.
    Delivery, "delivery", {
    init: "init" () => Result<(), String>,
    after: "after" (Lent<TransactionHandle>, Lent<RecipientHandle>, delivery::Attempt) => Result<delivery::Advice, Failure>,
});
