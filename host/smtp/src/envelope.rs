//! The envelope of a message to be sent, and the commands it becomes.

use std::fmt::Write as _;

use crate::address::{Address, ReversePath};
use crate::capabilities::Capabilities;
use crate::parameters::{Notify, RcptParameters, Ret};
use crate::xtext;

/// Who sends what kind of message to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender; None: `<>`.
    pub sender: ReversePath,
    /// Octets of the content.
    pub size: u64,
    /// The message needs SMTPUTF8, by its headers; an address that does is seen without this.
    pub utf8: bool,
    /// The content holds octets over 127. Sent as it is to a server without 8BITMIME too.
    pub eight_bit: bool,
    /// How much a bounce returns.
    pub ret: Option<Ret>,
    /// The sender's name for the transaction.
    pub envid: Option<String>,
    /// The recipients; outcomes come in this order.
    pub recipients: Vec<EnvelopeRecipient>,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeRecipient {
    /// The address.
    pub address: Address,
    /// When to tell the sender.
    pub notify: Option<Notify>,
    /// The original recipient, `rfc822;user@example`.
    pub orcpt: Option<String>,
}

impl Envelope {
    /// Whether only a server with SMTPUTF8 can be given this.
    pub fn needs_smtputf8(&self) -> bool {
        self.utf8
            || self.sender.as_ref().is_some_and(Address::needs_smtputf8)
            || self.recipients.iter().any(|recipient| recipient.address.needs_smtputf8())
    }

    /// MAIL, with the parameters that the server offers.
    pub(crate) fn write_mail(&self, capabilities: &Capabilities, output: &mut String) {
        output.push_str("MAIL FROM:<");
        if let Some(sender) = &self.sender {
            sender.write_wire(output);
        }
        output.push('>');
        if capabilities.size.is_some() {
            // Writing to a String can't fail.
            let _ = write!(output, " SIZE={}", self.size);
        }
        if capabilities.eight_bit_mime && self.eight_bit {
            output.push_str(" BODY=8BITMIME");
        }
        if capabilities.smtputf8 && self.needs_smtputf8() {
            output.push_str(" SMTPUTF8");
        }
        if capabilities.dsn {
            if let Some(ret) = self.ret {
                output.push_str(" RET=");
                output.push_str(ret.as_str());
            }
            if let Some(envid) = &self.envid {
                output.push_str(" ENVID=");
                xtext::encode(envid, output);
            }
        }
        output.push_str("\r\n");
    }
}

impl EnvelopeRecipient {
    /// RCPT, with the parameters that the server offers.
    pub(crate) fn write_rcpt(&self, capabilities: &Capabilities, output: &mut String) {
        output.push_str("RCPT TO:<");
        self.address.write_wire(output);
        output.push('>');
        if capabilities.dsn {
            RcptParameters::write_wire(self.notify, self.orcpt.as_deref(), output);
        }
        output.push_str("\r\n");
    }
}
