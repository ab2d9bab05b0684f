//! No text makes the filter parser, printer, checker or evaluator panic, and what parses prints to an equal tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steward_base::Timestamp;
use steward_base::filter::{FieldType, MAX_LENGTH, Registry, check, matches, parse};

fuzz_target!(|text: &str| {
    let Ok(tree) = parse(text) else { return };
    let again = tree.to_string();
    if again.len() <= MAX_LENGTH {
        assert_eq!(parse(&again).expect("what is printed parses"), tree);
    }
    let row = serde_json::json!({ "a": ["x", 1, 1.5, null], "b": { "c.d": true } });
    let _ = matches(&tree, &row);
    let registry = Registry::new()
        .with("a", FieldType::List(Box::new(FieldType::Any)))
        .with("b", FieldType::Map(Box::new(FieldType::Text)))
        .with("t", FieldType::Time)
        .with("n", FieldType::Int);
    if let Ok(typed) = check(tree, &registry, Timestamp::default()) {
        let _ = matches(&typed, &row);
    }
});
