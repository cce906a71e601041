//! Components that no toolchain makes: others, with a part exchanged or a part more. The tests of
//! policy use it too, by its path, so that it needs nothing but the standard library.

/// Sections of a component.
const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
/// Sections of a core module.
const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const TABLES: u8 = 4;
const CODE: u8 = 10;
/// Magic number and version: of components and of core modules.
const PREAMBLE: usize = 8;
const CORE_PREAMBLE: &[u8; PREAMBLE] = b"\0asm\x01\0\0\0";

/// The same bytes with this name, wherever it stands, exchanged for one of the same length.
pub fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut all = component.to_vec();
    let mut found = false;
    for at in 0..=all.len() - from.len() {
        if all[at..].starts_with(from.as_bytes()) {
            all[at..at + to.len()].copy_from_slice(to.as_bytes());
            found = true;
        }
    }
    assert!(found, "there is no {from}");
    all
}

/// The component with so many tables more, which nobody uses, each in an instance of its own.
pub fn with_tables(component: &[u8], count: usize) -> Vec<u8> {
    // Of functions, with one element at least and no limit.
    let table = vec_of(1, &[0x70, 0, 1]);
    with_module(component, &section(TABLES, &table), count)
}

/// The component with so many functions more, which nobody calls, and which take long to compile.
pub fn with_functions(component: &[u8], count: usize) -> Vec<u8> {
    /// local.get 0, local.get 1, i32.mul, local.get 1, i32.rotl, local.tee 0, if, local.get 1,
    /// local.set 0, end: 300 times.
    const STEP: &[u8] =
        &[0x20, 0, 0x20, 1, 0x6c, 0x20, 1, 0x77, 0x22, 0, 0x04, 0x40, 0x20, 1, 0x21, 0, 0x0b];
    let body = [&[0][..], &STEP.repeat(300), &[0x20, 0, 0x0b]].concat();
    let function = [number(body.len()), body].concat();
    // (i32, i32) -> i32
    let types = section(TYPES, &[1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f]);
    let functions = section(FUNCTIONS, &vec_of(count, &[0]));
    let code = section(CODE, &vec_of(count, &function));
    with_module(component, &[types, functions, code].concat(), 1)
}

/// The component with one core module more, made of these sections, and so many instances of it.
fn with_module(component: &[u8], sections: &[u8], instances: usize) -> Vec<u8> {
    let module = section(CORE_MODULE, &[CORE_PREAMBLE, sections].concat());
    // Of the new module, without arguments.
    let instance = [&[0][..], &number(core_modules(component)), &[0]].concat();
    [component, &module, &section(CORE_INSTANCE, &vec_of(instances, &instance))].concat()
}

/// How many core modules the component has itself, apart from those of components within.
fn core_modules(component: &[u8]) -> usize {
    let mut rest = &component[PREAMBLE..];
    let mut count = 0;
    while let [kind, after @ ..] = rest {
        count += usize::from(*kind == CORE_MODULE);
        let digits = after.iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
        let length = after[..digits]
            .iter()
            .rev()
            .fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        rest = &after[digits + length..];
    }
    count
}

fn section(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &number(content.len()), content].concat()
}

fn vec_of(count: usize, element: &[u8]) -> Vec<u8> {
    [number(count), element.repeat(count)].concat()
}

/// LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut digits = Vec::new();
    while value >= 0x80 {
        digits.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    digits.push(u8::try_from(value).expect("seven bits"));
    digits
}
