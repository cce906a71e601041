//! The hooks of a plugin: what it exports of the contract, found and checked when it is loaded.
//!
//! Each hook is an interface with one function `ask` that takes nothing: one table says their names
//! and what they answer. Whatever a component exports of the contract is a hook that the host asks,
//! with the contract's type: anything else is an error of the load. A hook that is never asked
//! would look like one that never minds.

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, ComponentType, Instance, Lift};

use super::bindings::facteur::policy::types;
use super::signature::signature;
use super::version::{self, Foreign};

/// What a hook says: an answer, or why there is none.
pub(crate) type Answer<T> = Result<T, types::Failure>;

/// The interface that every plugin has, and its function.
const PLUGIN: &str = "plugin";
const INIT: &str = "init";
/// The one function of a hook.
const ASK: &str = "ask";

/// Why the host can't ask what a component exports.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExportError {
    /// Nothing to ask.
    #[error(
        "it exports no hook of facteur:policy@{} ({}): export one of them",
        version::OURS,
        HookName::names()
    )]
    Nothing,
    /// It isn't of this contract's version.
    #[error(transparent)]
    Version(#[from] Foreign),
    /// What is no hook.
    #[error(
        "it exports {export}, which this host doesn't know (facteur:policy@{}: {PLUGIN}, {}): \
         export one of them, or take it out",
        version::OURS,
        HookName::names()
    )]
    Unknown {
        /// Its name.
        export: String,
    },
    /// An interface without its function.
    #[error("its {interface} lacks the function `{ours}` of facteur:policy@{}", version::OURS)]
    Missing {
        /// The interface.
        interface: &'static str,
        /// The function.
        ours: String,
    },
    /// A function of another type.
    #[error(
        "its {interface} has `{theirs}`, where facteur:policy@{} has `{ours}` ({reason})",
        version::OURS
    )]
    Type {
        /// The interface.
        interface: &'static str,
        /// What the component has.
        theirs: String,
        /// What the contract has.
        ours: String,
        /// How the types differ.
        reason: String,
    },
}

/// Declares the hooks: the interface, and the word for what it answers.
macro_rules! hooks {
    ($($(#[$about:meta])* $hook:ident $name:literal $type:ty = $words:literal,)*) => {
        /// A hook.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum HookName {
            $($(#[$about])* $hook,)*
        }

        impl HookName {
            /// Every hook there is, in the order of a message's way.
            pub(crate) const ALL: [Self; [$(Self::$hook),*].len()] = [$(Self::$hook),*];

            /// Its interface.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$hook => $name,)*
                }
            }

            /// What its function answers, as `wit/0.1` writes it.
            fn answer(self) -> &'static str {
                match self {
                    $(Self::$hook => $words,)*
                }
            }

            /// Whether the function has the contract's type.
            fn check(self, exported: &Exported<'_>) -> Result<(), ExportError> {
                match self {
                    $(Self::$hook => {
                        exported.check::<Answer<$type>>(self.name(), ASK, self.answer())
                    })*
                }
            }
        }
    };
}

hooks! {
    Connect "on-connect" types::Verdict = "result<verdict, failure>",
    Helo "on-helo" types::Verdict = "result<verdict, failure>",
    Mail "on-mail" types::Verdict = "result<verdict, failure>",
    Rcpt "on-rcpt" types::Verdict = "result<verdict, failure>",
    Data "on-data" types::Verdict = "result<verdict, failure>",
    EndOfData "on-end-of-data" types::Verdict = "result<verdict, failure>",
    Content "on-content" types::ContentVerdict = "result<content-verdict, failure>",
    Alias "on-alias" types::Expansion = "result<expansion, failure>",
    Transport "on-transport" types::NextHop = "result<next-hop, failure>",
    Delivery "on-delivery" types::Advice = "result<advice, failure>",
    Authenticate "on-authenticate" Option<String> = "result<option<string>, failure>",
}

impl HookName {
    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// What the log and the trace call its question: "rcpt" of "on-rcpt".
    pub(crate) fn word(self) -> &'static str {
        self.name().strip_prefix("on-").unwrap_or(self.name())
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

/// The functions of one component that are asked.
pub(crate) struct Exports {
    init: ComponentExportIndex,
    hooks: [Option<ComponentExportIndex>; HookName::ALL.len()],
}

impl Exports {
    /// What the component exports: `plugin`, and at least one hook.
    ///
    /// # Errors
    /// It exports of the contract what the host doesn't ask, or with another type.
    pub(crate) fn find(component: &Component) -> Result<Self, ExportError> {
        let mut init = None;
        let mut hooks = [None; HookName::ALL.len()];
        let all = component.component_type();
        for (export, item) in all.exports(component.engine()) {
            let Some(interface) = version::interface(export)? else { continue };
            let exported = Exported { component, export, item: &item.ty };
            if interface == PLUGIN {
                exported.check::<Result<(), String>>(PLUGIN, INIT, "result<_, string>")?;
                init = exported.find(INIT);
                continue;
            }
            let Some(hook) = HookName::named(interface) else {
                return Err(ExportError::Unknown { export: export.to_owned() });
            };
            hook.check(&exported)?;
            hooks[hook as usize] = exported.find(ASK);
        }
        let ours = format!("{INIT}: func() -> result<_, string>");
        let init = init.ok_or(ExportError::Missing { interface: PLUGIN, ours })?;
        if hooks.iter().all(Option::is_none) {
            return Err(ExportError::Nothing);
        }
        Ok(Self { init, hooks })
    }

    /// Whether the hook is there.
    pub(crate) fn has(&self, hook: HookName) -> bool {
        self.hooks[hook as usize].is_some()
    }

    /// Those that are there, in the order of a message's way.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = HookName> {
        HookName::ALL.into_iter().filter(|hook| self.has(*hook))
    }

    /// From now on as if it weren't there.
    pub(crate) fn skip(&mut self, hook: HookName) {
        self.hooks[hook as usize] = None;
    }

    /// Runs `init`; what it says against the load.
    pub(crate) async fn init<D: Send + 'static>(
        &self,
        store: &mut Store<D>,
        instance: &Instance,
    ) -> wasmtime::Result<Result<(), String>> {
        call(store, instance, self.init).await
    }

    /// Asks a hook that is there.
    pub(crate) async fn ask<T, D: Send + 'static>(
        &self,
        store: &mut Store<D>,
        instance: &Instance,
        hook: HookName,
    ) -> wasmtime::Result<Answer<T>>
    where
        T: ComponentType + Lift + Send + Sync + 'static,
    {
        let Some(index) = self.hooks[hook as usize] else {
            wasmtime::bail!("{} is not exported", hook.name());
        };
        call(store, instance, index).await
    }
}

async fn call<T, D: Send + 'static>(
    store: &mut Store<D>,
    instance: &Instance,
    index: ComponentExportIndex,
) -> wasmtime::Result<T>
where
    T: ComponentType + Lift + Send + Sync + 'static,
{
    let function = instance.get_typed_func::<(), (T,)>(&mut *store, index)?;
    let (answer,) = function.call_async(store, ()).await?;
    Ok(answer)
}

/// One interface that a component exports.
struct Exported<'a> {
    component: &'a Component,
    export: &'a str,
    item: &'a ComponentItem,
}

impl Exported<'_> {
    /// Whether it has this function, with this type, and no other.
    fn check<T>(
        &self,
        interface: &'static str,
        function: &'static str,
        answer: &str,
    ) -> Result<(), ExportError>
    where
        T: ComponentType + Lift,
    {
        let ours = format!("{function}: func() -> {answer}");
        let ComponentItem::ComponentInstance(instance) = self.item else {
            return Err(ExportError::Missing { interface, ours });
        };
        let engine = self.component.engine();
        let functions = instance.exports(engine);
        for (name, item) in functions {
            if name != function && matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                return Err(ExportError::Unknown { export: format!("{}.{name}", self.export) });
            }
        }
        let found = instance.get_export(engine, function).map(|found| found.ty);
        let Some(ComponentItem::ComponentFunc(found)) = found else {
            return Err(ExportError::Missing { interface, ours });
        };
        let all = self.component.component_type();
        found.typecheck::<(), (T,)>(&all.instance_type()).map_err(|error| ExportError::Type {
            interface,
            theirs: format!("{function}: {}", signature(&found)),
            ours,
            reason: format!("{error:#}"),
        })
    }

    fn find(&self, function: &str) -> Option<ComponentExportIndex> {
        let interface = self.component.get_export_index(None, self.export)?;
        self.component.get_export_index(Some(&interface), function)
    }
}
