//! What there is in each hook: the contract's rule, in one place.

use super::exports::HookName;

impl HookName {
    /// The client's connection.
    pub(in crate::contract) fn has_session(self) -> bool {
        !matches!(self, Self::Alias | Self::Transport | Self::Delivery)
    }

    /// The envelope.
    pub(in crate::contract) fn has_transaction(self) -> bool {
        !matches!(self, Self::Alias | Self::Authenticate)
    }

    /// The message's content.
    pub(in crate::contract) fn has_message(self) -> bool {
        matches!(self, Self::EndOfData | Self::Content)
    }

    /// Whether what is asked may be known to the sandbox of this question alone.
    pub(crate) fn is_secret(self) -> bool {
        self == Self::Authenticate
    }
}
