//! The type of a component's function, written as WIT writes it, and short: types have no names
//! there, so that records and variants show what they are made of, down to some depth.

use std::fmt::Write as _;

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// How deep types are shown: what differs is seldom deeper, and what is deeper fits on no line.
const DEPTH: usize = 3;

/// `func(name: string) -> result<string, …>`
pub(crate) fn signature(function: &ComponentFunc) -> String {
    let parameters: Vec<String> =
        function.params().map(|(name, of)| format!("{name}: {}", written(&of, DEPTH))).collect();
    let mut text = format!("func({})", parameters.join(", "));
    for result in function.results() {
        // Writing to a String can't fail.
        let _ = write!(text, " -> {}", written(&result, DEPTH));
    }
    text
}

fn written(of: &Type, depth: usize) -> String {
    let Some(below) = depth.checked_sub(1) else { return "…".to_owned() };
    let inner = |of: &Type| written(of, below);
    let or_nothing = |of: Option<Type>| of.map_or_else(|| "_".to_owned(), |of| inner(&of));
    match of {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Float32 => "f32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", inner(&list.ty())),
        Type::Option(option) => format!("option<{}>", inner(&option.ty())),
        Type::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types().map(|of| inner(&of)).collect::<Vec<_>>().join(", "))
        }
        Type::Record(record) => {
            let field = |(name, of): (&str, Type)| format!("{name}: {}", inner(&of));
            let fields = record.fields().map(|one| field((one.name, one.ty)));
            format!("record {{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Type::Variant(variant) => {
            let case = |name: &str, of: Option<Type>| {
                of.map_or_else(|| name.to_owned(), |of| format!("{name}({})", inner(&of)))
            };
            let cases = variant.cases().map(|one| case(one.name, one.ty));
            format!("variant {{ {} }}", cases.collect::<Vec<_>>().join(", "))
        }
        Type::Enum(names) => {
            format!("enum {{ {} }}", names.names().collect::<Vec<_>>().join(", "))
        }
        Type::Flags(names) => {
            format!("flags {{ {} }}", names.names().collect::<Vec<_>>().join(", "))
        }
        Type::Result(result) => {
            format!("result<{}, {}>", or_nothing(result.ok()), or_nothing(result.err()))
        }
        _ => "resource".to_owned(),
    }
}
