//! What a client says of names, made fit for a comment, a `Received:` header or a line of the log.

/// What would break a comment or a Received: header, as Postfix's `NEUTER_CHARACTERS`.
const UNSAFE_IN_HEADERS: &str = " <>()\\\";@";

/// The text with `?` for what isn't printable ASCII, or would break a header.
pub(crate) fn neuter(text: &str) -> String {
    let is_unsafe = |character: char| {
        character.is_control() || !character.is_ascii() || UNSAFE_IN_HEADERS.contains(character)
    };
    text.chars().map(|character| if is_unsafe(character) { '?' } else { character }).collect()
}
