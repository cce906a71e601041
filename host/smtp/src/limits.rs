//! What a server takes from one client at most; the defaults are Postfix's.

/// The limits of one listener. Counts are per session unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Octets of a command line without its end (`line_length_limit`). RFC 5321 4.5.3.1.4 asks for
    /// 512 at least, extensions add to it. A longer line is answered 500 and skipped, never
    /// buffered.
    pub command_line: usize,
    /// Accepted recipients of one message (`smtpd_recipient_limit`); the next one gets 452 4.5.3.
    /// RFC 5321 4.5.3.1.8 asks for 100 at least.
    pub recipients: usize,
    /// How many recipients over the limit are answered 452 before each counts as an error
    /// (`smtpd_recipient_overshoot_limit`): a client that pipelines can't know at once.
    pub recipient_overshoot: usize,
    /// Octets of a message's content as stored (`message_size_limit`), announced as SIZE. 0: no
    /// limit.
    pub message_size: u64,
    /// Errors, refusals by the host among them, after which the session ends with 421
    /// (`smtpd_hard_error_limit`). A message received sets the count back.
    pub errors: u32,
    /// Commands that bring no message nearer (HELO, RSET, NOOP, VRFY) before each counts as an
    /// error (`smtpd_junk_command_limit`).
    pub junk_commands: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            command_line: 2048,
            recipients: 1000,
            recipient_overshoot: 1000,
            message_size: 10_240_000,
            errors: 20,
            junk_commands: 100,
        }
    }
}
