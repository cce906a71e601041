//! The answer to EHLO and HELO: what a client is offered (RFC 5321 section 4.1.1.1).

use std::fmt::Write as _;

use bytes::BytesMut;

use crate::auth::AuthOffer;
use crate::config::ServerConfig;
use crate::keyword::Keyword;

/// How the last line of a reply differs from the others.
const LAST: u8 = b' ';

/// Writes it. `start_tls`: there is TLS to be had, and none yet.
pub(crate) fn write(
    output: &mut BytesMut,
    config: &ServerConfig,
    esmtp: bool,
    start_tls: bool,
    auth: &AuthOffer,
) {
    let hostname = &config.hostname;
    let mut last = output.len();
    // Writing to a BytesMut can't fail: it grows.
    let _ = write!(output, "250-{hostname}\r\n");
    let mut offer = |keyword: Keyword, can: bool, values: std::fmt::Arguments<'_>| {
        if can && !config.discarded.holds(keyword) {
            last = output.len();
            let _ = write!(output, "250-{}{values}\r\n", keyword.as_str());
        }
    };
    if esmtp {
        let limits = &config.limits;
        let none = format_args!("");
        offer(Keyword::Pipelining, true, none);
        offer(Keyword::Size, true, format_args!(" {}", limits.message_size));
        offer(Keyword::Limits, true, format_args!(" RCPTMAX={}", limits.recipients));
        offer(Keyword::Vrfy, !config.disable_vrfy, none);
        offer(Keyword::Help, true, none);
        offer(Keyword::StartTls, start_tls, none);
        if let AuthOffer::Mechanisms(all) = auth {
            offer(Keyword::Auth, true, format_args!(" {}", all.join(" ")));
        }
        let attributes = " NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";
        offer(Keyword::XClient, config.xclient, format_args!("{attributes}"));
        let attributes = " NAME ADDR PROTO HELO SOURCE PORT IDENT";
        offer(Keyword::XForward, config.xforward, format_args!("{attributes}"));
        offer(Keyword::EnhancedStatusCodes, true, none);
        offer(Keyword::EightBitMime, true, none);
        offer(Keyword::Dsn, true, none);
        offer(Keyword::SmtpUtf8, true, none);
        offer(Keyword::Chunking, true, none);
    }
    if let Some(dash) = output.get_mut(last + 3) {
        *dash = LAST;
    }
}
