//! A next hop as tables name it: `[host]:port`, `domain`.

use facteur_policy::SmtpRoute;

/// The port that goes without saying.
const SMTP_PORT: u16 = 25;

/// A next hop as transport(5) writes it, with its port and, where that goes without saying,
/// without.
pub fn written(hop: &SmtpRoute) -> Vec<String> {
    let host = &hop.host;
    let is_written = host.starts_with('[') || hop.mx;
    let written = if is_written { host.clone() } else { format!("[{host}]") };
    let with_port = format!("{written}:{}", hop.port);
    if hop.port == SMTP_PORT { vec![written, with_port] } else { vec![with_port] }
}

/// The same, and the parents of a domain with a leading dot.
pub fn with_parents(hop: &SmtpRoute) -> Vec<String> {
    let host = &hop.host;
    let mut keys = written(hop);
    if hop.port == SMTP_PORT && hop.mx && !host.starts_with('[') {
        keys.extend(host.match_indices('.').map(|(dot, _)| host[dot..].to_owned()));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(host: &str, port: u16, mx: bool) -> SmtpRoute {
        SmtpRoute { host: host.into(), port, mx, source: None, tls: None, otherwise: None }
    }

    #[test]
    fn the_table_is_asked_for_the_next_hop_as_it_is_written() {
        assert_eq!(
            with_parents(&hop("a.b.example", 25, true)),
            ["a.b.example", "a.b.example:25", ".b.example", ".example"]
        );
        assert_eq!(with_parents(&hop("a.example", 26, true)), ["a.example:26"]);
        assert_eq!(with_parents(&hop("[a.example]", 25, true)), ["[a.example]", "[a.example]:25"]);
        assert_eq!(with_parents(&hop("[a.example]", 587, true)), ["[a.example]:587"]);
        assert_eq!(with_parents(&hop("a.example", 25, false)), ["[a.example]", "[a.example]:25"]);
    }
}
