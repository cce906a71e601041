//! The macro that exports a plugin's hooks.

/// Exports the hooks that a plugin has, each a function without parameters: once in a crate.
///
/// ```
/// # use facteur_plugin::{ContentVerdict, Failure, Verdict};
/// # fn init() -> Result<(), String> { Ok(()) }
/// # fn rcpt() -> Verdict { Verdict::NoOpinion }
/// # fn inspect() -> Result<ContentVerdict, Failure> { Ok(ContentVerdict::NoOpinion) }
/// facteur_plugin::export!(init: init, on_rcpt: rcpt, on_content: inspect);
/// ```
///
/// What isn't named isn't exported, and so isn't asked. `init` comes first, where a plugin has one.
/// A function that can't fail may answer without the `Result`.
///
/// | hook | answers | |
/// |---|---|---|
/// | `init` | `Result<(), String>` | once a load, in a sandbox of its own: checks the settings and that what is needed is granted; an error stops the load, and is shown to the operator |
/// | `on_connect`, `on_helo`, `on_mail` | `Result<Verdict, Failure>` | about the client, what it says it is, the sender: once a transaction |
/// | `on_rcpt` | `Result<Verdict, Failure>` | about one recipient |
/// | `on_data`, `on_end_of_data` | `Result<Verdict, Failure>` | before and after the content |
/// | `on_content` | `Result<ContentVerdict, Failure>` | about the content, which it may change ([`message_edit`](crate::message_edit)) |
/// | `on_alias` | `Result<Expansion, Failure>` | who really gets what is addressed to this: one step |
/// | `on_transport` | `Result<NextHop, Failure>` | where it goes next |
/// | `on_delivery` | `Result<Advice, Failure>` | what follows from an attempt |
/// | `on_authenticate` | `Result<Option<String>, Failure>` | the login that the [`credentials`](crate::credentials) prove |
///
/// Natively it exports nothing, so that the crate can be linked and tested: a test calls the
/// functions within a made-up host ([`testing`](crate::testing)).
#[macro_export]
macro_rules! export {
    (init: $init:expr $(, $hook:ident: $ask:expr)* $(,)?) => {
        $crate::export_as!(plugin, export_plugin, init, (), String, $init);
        $($crate::export_hook!($hook, $ask);)*
    };
    ($($hook:ident: $ask:expr),+ $(,)?) => {
        $crate::export!(init: || (), $($hook: $ask),+);
    };
}

/// What a hook may return: the answer, or a `Result` of it.
#[doc(hidden)]
pub trait Answer<T, E> {
    /// As the contract has it.
    fn given(self) -> Result<T, E>;
}

impl<T, E> Answer<T, E> for T {
    fn given(self) -> Result<T, E> {
        Ok(self)
    }
}

impl<T, E> Answer<T, E> for Result<T, E> {
    fn given(self) -> Self {
        self
    }
}

/// One hook of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_hook {
    (on_connect, $ask:expr) => {
        $crate::export_as!(on_connect, export_on_connect, $crate::Verdict, $ask);
    };
    (on_helo, $ask:expr) => {
        $crate::export_as!(on_helo, export_on_helo, $crate::Verdict, $ask);
    };
    (on_mail, $ask:expr) => {
        $crate::export_as!(on_mail, export_on_mail, $crate::Verdict, $ask);
    };
    (on_rcpt, $ask:expr) => {
        $crate::export_as!(on_rcpt, export_on_rcpt, $crate::Verdict, $ask);
    };
    (on_data, $ask:expr) => {
        $crate::export_as!(on_data, export_on_data, $crate::Verdict, $ask);
    };
    (on_end_of_data, $ask:expr) => {
        $crate::export_as!(on_end_of_data, export_on_end_of_data, $crate::Verdict, $ask);
    };
    (on_content, $ask:expr) => {
        $crate::export_as!(on_content, export_on_content, $crate::ContentVerdict, $ask);
    };
    (on_alias, $ask:expr) => {
        $crate::export_as!(on_alias, export_on_alias, $crate::Expansion, $ask);
    };
    (on_transport, $ask:expr) => {
        $crate::export_as!(on_transport, export_on_transport, $crate::NextHop, $ask);
    };
    (on_delivery, $ask:expr) => {
        $crate::export_as!(on_delivery, export_on_delivery, $crate::Advice, $ask);
    };
    (on_authenticate, $ask:expr) => {
        $crate::export_as!(on_authenticate, export_on_authenticate, Option<String>, $ask);
    };
    ($other:ident, $ask:expr) => {
        compile_error!(concat!("facteur has no hook ", stringify!($other)));
    };
}

/// One function of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_as {
    ($interface:ident, $macro:ident, $answer:ty, $ask:expr) => {
        $crate::export_as!($interface, $macro, ask, $answer, $crate::Failure, $ask);
    };
    ($interface:ident, $macro:ident, $function:ident, $answer:ty, $error:ty, $ask:expr) => {
        const _: () = {
            use $crate::bindings::$interface as bindings;

            struct Export;

            impl bindings::exports::facteur::policy::$interface::Guest for Export {
                fn $function() -> Result<$answer, $error> {
                    $crate::panic::tell();
                    $crate::Answer::<$answer, $error>::given($ask())
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: Export = Export;
            #[cfg(target_arch = "wasm32")]
    bindings::$macro!(Export with_types_in bindings);
        };
    };
}
