//! Edits against a model that is too simple to be wrong: a list of header lines, and a body.

use proptest::prelude::*;

use super::*;
use crate::message::body::InMemory;
use crate::unavailable::Unavailable;

/// One edit, as a plugin makes it.
#[derive(Debug, Clone)]
enum Edit {
    Add(String, String),
    Insert(u32, String, String),
    Replace(String, u32, String),
    Remove(String, Option<u32>),
}

/// What one plugin does.
#[derive(Debug, Clone)]
struct Edits {
    headers: Vec<Edit>,
    body: Option<Vec<String>>,
}

/// A message as lists.
#[derive(Debug, Clone)]
struct Model {
    headers: Vec<String>,
    has_empty_line: bool,
    body: String,
}

impl Model {
    fn text(&self) -> String {
        format!(
            "{}{}{}",
            self.headers.concat(),
            if self.has_empty_line { "\r\n" } else { "" },
            self.body
        )
    }

    fn name(line: &str) -> &str {
        line.split_once(':').unwrap().0
    }

    /// One edit after the other; every header keeps the number that it had at first.
    fn edit(&mut self, edits: &Edits) {
        let count = self.headers.len();
        let line = |name: &str, value: &str| format!("{name}: {value}\r\n");
        let mut lines: Vec<(Option<usize>, Option<String>)> = self
            .headers
            .iter()
            .enumerate()
            .map(|(number, line)| (Some(number), Some(line.clone())))
            .collect();
        lines.push((Some(count), None));
        let numbers = |name: &str| -> Vec<usize> {
            (0..count)
                .filter(|&number| Self::name(&self.headers[number]).eq_ignore_ascii_case(name))
                .collect()
        };
        let place = |lines: &[(Option<usize>, Option<String>)], wanted: usize| {
            lines.iter().position(|(number, _)| *number == Some(wanted)).unwrap()
        };
        for edit in &edits.headers {
            match edit {
                Edit::Add(name, value) => lines.push((None, Some(line(name, value)))),
                Edit::Insert(before, name, value) => {
                    let at = place(&lines, count.min(*before as usize));
                    lines.insert(at, (None, Some(line(name, value))));
                }
                Edit::Replace(name, occurrence, value) => {
                    if let Some(number) = numbers(name).get(*occurrence as usize) {
                        let at = place(&lines, *number);
                        lines[at].1 = Some(line(name, value));
                    }
                }
                Edit::Remove(name, occurrence) => {
                    for (nth, number) in numbers(name).into_iter().enumerate() {
                        if occurrence.is_none_or(|wanted| wanted as usize == nth) {
                            let at = place(&lines, number);
                            lines[at].1 = None;
                        }
                    }
                }
            }
        }
        let touched = edits.headers.iter().any(|edit| match edit {
            Edit::Add(..) | Edit::Insert(..) => true,
            Edit::Replace(name, occurrence, _) | Edit::Remove(name, Some(occurrence)) => {
                numbers(name).len() > *occurrence as usize
            }
            Edit::Remove(name, None) => !numbers(name).is_empty(),
        });
        self.headers = lines.into_iter().filter_map(|(_, line)| line).collect();
        if let Some(chunks) = &edits.body {
            self.body = chunks.concat();
            self.has_empty_line = true;
        }
        self.has_empty_line |= touched && !self.body.is_empty();
    }
}

async fn edit(message: &Message, edits: &Edits) -> Option<Message> {
    let mut draft = Draft::default();
    let index = message.index().unwrap();
    for edit in &edits.headers {
        match edit {
            Edit::Add(name, value) => draft.add(name, value).unwrap(),
            Edit::Insert(number, name, value) => draft.insert(index, *number, name, value).unwrap(),
            Edit::Replace(name, occurrence, value) => {
                draft.replace(index, name, *occurrence, value).map(drop).unwrap();
            }
            Edit::Remove(name, occurrence) => {
                draft.remove(index, name, *occurrence).map(drop).unwrap();
            }
        }
    }
    if let Some(chunks) = &edits.body {
        for chunk in chunks {
            draft.replace_body(&InMemory, chunk.as_bytes(), false).await.unwrap();
        }
        draft.replace_body(&InMemory, b"", true).await.unwrap();
    }
    draft.apply(message).unwrap()
}

fn whole(message: &Message) -> Vec<u8> {
    message.content.read(0, usize::MAX).unwrap()
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["A", "B", "b", "Long-Name"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    "[a-z0-9,:;]{1,12}"
}

fn edits() -> impl Strategy<Value = Edits> {
    let header = prop_oneof![
        (name(), value()).prop_map(|(name, value)| Edit::Add(name, value)),
        (0_u32..8, name(), value())
            .prop_map(|(number, name, value)| Edit::Insert(number, name, value)),
        (name(), 0_u32..3, value())
            .prop_map(|(name, occurrence, value)| Edit::Replace(name, occurrence, value)),
        (name(), prop::option::of(0_u32..3))
            .prop_map(|(name, occurrence)| Edit::Remove(name, occurrence)),
    ];
    let body = prop::collection::vec("[a-z]{0,9}\r\n", 0..4);
    (prop::collection::vec(header, 0..6), prop::option::weighted(0.2, body))
        .prop_map(|(headers, body)| Edits { headers, body })
}

fn model() -> impl Strategy<Value = Model> {
    let line = (name(), "[ ]{0,2}[a-z:]{0,9}(\r\n[ \t][a-z:]{1,9}){0,2}")
        .prop_map(|(name, value)| format!("{name}:{value}\r\n"));
    (prop::collection::vec(line, 0..6), any::<bool>(), "([a-z]{1,9}( [a-z]{0,9})?\r\n){0,4}")
        .prop_map(|(headers, has_empty_line, body)| Model { headers, has_empty_line, body })
}

proptest! {
    #[test]
    fn edits_do_what_they_do_to_a_list_of_lines(
        mut model in model(),
        rounds in prop::collection::vec(edits(), 1..4),
        range in (0_usize..200, 0_usize..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut message = Message::new(Arc::new(model.text().into_bytes()));
        for edits in &rounds {
            model.edit(edits);
            if let Some(edited) = runtime.block_on(edit(&message, edits)) {
                message = edited;
            }
            let bytes = whole(&message);
            prop_assert_eq!(String::from_utf8_lossy(&bytes), model.text());
            prop_assert_eq!(message.content.size(), bytes.len() as u64);
            let start = bytes.len().min(range.0);
            let end = bytes.len().min(start + range.1);
            prop_assert_eq!(message.content.read(range.0 as u64, range.1).unwrap(), &bytes[start..end]);
            let index = message.index().unwrap();
            let names: Vec<_> = index.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
            prop_assert_eq!(names, model.headers.iter().map(|line| Model::name(line).to_owned()).collect::<Vec<_>>());
            prop_assert_eq!(&bytes[usize::try_from(index.body()).unwrap()..], model.body.as_bytes());
        }
    }
}

/// Counts what is read of it.
struct Counted(Vec<u8>, std::sync::atomic::AtomicUsize);

impl Content for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        let read = self.0.read(offset, length)?;
        self.1.fetch_add(read.len(), std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}

#[tokio::test]
async fn what_is_put_before_all_else_copies_nothing() {
    let text = format!("A: b\r\n\r\n{}", "x".repeat(1 << 20));
    let content = Arc::new(Counted(text.into_bytes(), 0.into()));
    let message = Message::new(content.clone());
    let insert =
        |number| Edits { headers: vec![Edit::Insert(number, "X".into(), "y".into())], body: None };
    let message = edit(&message, &insert(0)).await.unwrap();
    let message = edit(&message, &insert(0)).await.unwrap();
    let read = content.1.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read <= 4 * 8_192, "{read} bytes were read for an edit");
    assert_eq!(message.edited().unwrap().prefix(100).as_deref(), Some(&b"X: y\r\nX: y\r\n"[..]));
    assert_eq!(message.edited().unwrap().prefix(11), None, "more than may be");
    let other = edit(&message, &insert(3)).await.unwrap();
    assert_eq!(other.edited().unwrap().prefix(100), None, "not before all else");
}

#[tokio::test]
async fn a_folded_line_never_becomes_part_of_a_new_header() {
    let add = Edits { headers: vec![Edit::Add("X".into(), "y".into())], body: None };
    let message = Message::new(Arc::new(b" folded first\r\n".to_vec()));
    assert_eq!(whole(&edit(&message, &add).await.unwrap()), b"X: y\r\n\r\n folded first\r\n");
}

#[tokio::test]
async fn more_than_may_be_is_an_error() {
    let message = Message::new(Arc::new(b"A: b\r\n\r\n".to_vec()));
    let index = message.index().unwrap();
    let mut draft = Draft::default();
    let count = (0..2_000).take_while(|_| draft.add("X", "y").is_ok()).count();
    assert_eq!(count, EDITS_LIMIT);
    let mut draft = Draft::default();
    let count = (0..2_000).take_while(|_| draft.add("X", &"y".repeat(8_000)).is_ok()).count();
    assert_eq!(count, BYTES_LIMIT / 8_005);
    assert!(draft.remove(index, "A", None).is_err(), "once too much, always too much");
    let mut draft = Draft::default();
    assert!(draft.replace_body(&InMemory, b"x", true).await.is_ok());
    assert!(draft.replace_body(&InMemory, b"x", true).await.is_err());
    let mut draft = Draft::default();
    draft.replace_body(&InMemory, b"x", false).await.unwrap();
    assert!(draft.apply(&message).is_err(), "the last chunk is missing");
    assert!(Draft::default().apply(&message).unwrap().is_none());
}
