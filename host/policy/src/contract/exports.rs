//! The hooks of a plugin: the functions that it exports, found once, when it is loaded.
//!
//! A question then costs the check of one function's type, not that of its whole interface.
//!
//! Whatever a component exports of the contract is a hook that the host asks, of the host's own
//! version, with all of its functions, each of the contract's type: anything else is an error of
//! the load. A hook that is never asked would look like one that never minds. The types are checked in
//! the first sandbox.

use std::marker::PhantomData;

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
use crate::contract::context::PluginStore;

/// A resource that is lent for one call.
type Lent<T> = Resource<T>;
/// What a restriction or a content plugin answers.
type Verdict = Result<types::Verdict, Failure>;

/// The version of the contract that the host speaks. No other will do, not even one that counts as
/// compatible: a later one may have functions that this host would never call.
const VERSION: &str = "0.1.0";

/// Why the host can't ask what a component exports.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExportError {
    /// Nothing of the contract.
    #[error(
        "it exports no hook of facteur:policy@{VERSION} ({}): export one of them",
        Hooks::NAMES.join(", ")
    )]
    Nothing,
    /// Another version of a hook, or what is no hook.
    #[error(
        "it exports {export}, which this facteur never asks (it asks facteur:policy@{VERSION}: \
         {}): build it against that version, or take the export out",
        Hooks::NAMES.join(", ")
    )]
    Unknown {
        /// Its name.
        export: String,
    },
    /// A hook without one of its functions.
    #[error(
        "its {hook} lacks the function {function} of facteur:policy@{VERSION}: build it against \
         that version"
    )]
    Missing {
        /// The interface.
        hook: &'static str,
        /// What isn't there.
        function: &'static str,
    },
    /// A function of another type.
    #[error(
        "its {hook}.{function} hasn't the type that facteur:policy@{VERSION} gives it ({reason}): \
         build it against that version"
    )]
    Type {
        /// The interface.
        hook: &'static str,
        /// Which.
        function: &'static str,
        /// How the types differ.
        reason: String,
    },
}

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
        store: &mut PluginStore,
        instance: &Instance,
        parameters: Parameters,
    ) -> wasmtime::Result<Answer> {
        let (answer,) = self.typed(store, instance)?.call_async(store, parameters).await?;
        Ok(answer)
    }

    /// Whether it has the type that the contract gives it.
    fn check(&self, store: &mut PluginStore, instance: &Instance) -> wasmtime::Result<()> {
        self.typed(store, instance).map(drop)
    }

    fn typed(
        &self,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> wasmtime::Result<TypedFunc<Parameters, (Answer,)>> {
        instance.get_typed_func(store, self.index)
    }
}

/// Declares a hook: its interface, and its functions with their types.
macro_rules! hook {
    ($(#[$about:meta])* $hook:ident, $interface:literal, {
        $($function:ident: $name:literal $parameters:ty => $answer:ty,)*
    }) => {
        $(#[$about])*
        pub(crate) struct $hook {
            $(pub(crate) $function: Function<$parameters, $answer>,)*
        }

        impl $hook {
            /// The hook, if the component exports it.
            fn find(component: &Component) -> Result<Option<Self>, ExportError> {
                let Some(interface) = component.get_export_index(None, full_name($interface)) else {
                    return Ok(None);
                };
                let find = |function| {
                    component
                        .get_export_index(Some(&interface), function)
                        .ok_or(ExportError::Missing { hook: $interface, function })
                };
                Ok(Some(Self {
                    $($function: Function { index: find($name)?, types: PhantomData },)*
                }))
            }

            /// Whether its functions have the types that the contract gives them.
            fn check(
                &self,
                store: &mut PluginStore,
                instance: &Instance,
            ) -> Result<(), ExportError> {
                $(
                    self.$function.check(store, instance).map_err(|error| ExportError::Type {
                        hook: $interface,
                        function: $name,
                        reason: format!("{error:#}"),
                    })?;
                )*
                Ok(())
            }
        }
    };
}

/// The name under which a component exports this hook.
fn full_name(hook: &str) -> String {
    format!("facteur:policy/{hook}@{VERSION}")
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
    /// Every hook there is.
    const NAMES: [&str; 6] =
        ["restriction", "alias", "transport", "content", "authenticate", "delivery"];

    /// Those that the component exports: at least one.
    ///
    /// # Errors
    /// It exports of the contract what the host doesn't ask, or only a part of what it asks.
    pub(crate) fn find(component: &Component) -> Result<Self, ExportError> {
        let asked = Self::NAMES.map(full_name);
        for (export, _) in component.component_type().exports(component.engine()) {
            let asked = asked.iter().any(|name| name == export);
            if export.starts_with("facteur:policy/") && !asked {
                return Err(ExportError::Unknown { export: export.to_owned() });
            }
        }
        let found = Self {
            restriction: Restriction::find(component)?,
            alias: Alias::find(component)?,
            transport: Transport::find(component)?,
            content: Content::find(component)?,
            authenticate: Authenticate::find(component)?,
            delivery: Delivery::find(component)?,
        };
        if found.names().is_empty() { Err(ExportError::Nothing) } else { Ok(found) }
    }

    /// Whether each function has the type that the contract gives it.
    ///
    /// # Errors
    /// The first that hasn't.
    pub(crate) fn check(
        &self,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> Result<(), ExportError> {
        macro_rules! check {
            ($($hook:ident),*) => {$(
                self.$hook.as_ref().map_or(Ok(()), |hook| hook.check(store, instance))?;
            )*};
        }
        check!(restriction, alias, transport, content, authenticate, delivery);
        Ok(())
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let there = [
            self.restriction.is_some(),
            self.alias.is_some(),
            self.transport.is_some(),
            self.content.is_some(),
            self.authenticate.is_some(),
            self.delivery.is_some(),
        ];
        Self::NAMES
            .into_iter()
            .zip(there)
            .filter_map(|(name, there)| there.then_some(name))
            .collect()
    }

    /// Runs each hook's `init`; the stages that the restriction wants, or what an `init` says
    /// against the load.
    pub(crate) async fn init(
        &self,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> wasmtime::Result<Result<Stages, String>> {
        let mut stages = Stages::empty();
        if let Some(hook) = &self.restriction {
            match hook.init.call(store, instance, ()).await? {
                Ok(wanted) => stages = wanted,
                Err(reason) => return Ok(Err(reason)),
            }
        }
        macro_rules! init {
            ($($hook:ident),*) => {$(
                if let Some(hook) = &self.$hook {
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
    end_of_data: "end-of-data"
        (Lent<SessionHandle>, Lent<TransactionHandle>, Lent<MessageHandle>) => Verdict,
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
    next_hop: "next-hop"
        (Lent<TransactionHandle>, Lent<RecipientHandle>) => Result<transport::Answer, Failure>,
});

hook!(
    /// Decides about the content, and edits it.
    Content, "content", {
    init: "init" () => Result<(), String>,
    inspect: "inspect"
        (Lent<SessionHandle>, Lent<TransactionHandle>, Lent<MessageHandle>) => Verdict,
});

hook!(
    /// Says whom credentials prove.
    Authenticate, "authenticate", {
    init: "init" () => Result<(), String>,
    verify: "verify"
        (Lent<SessionHandle>, authenticate::Credentials) => Result<Option<String>, Failure>,
});

hook!(
    /// Says what follows from an attempt to deliver.
    Delivery, "delivery", {
    init: "init" () => Result<(), String>,
    after: "after"
        (Lent<TransactionHandle>, Lent<RecipientHandle>, delivery::Attempt)
            => Result<delivery::Advice, Failure>,
});
