//! The filter grammar: what parses, what is refused and where, what it means, and that nothing panics.

use proptest::prelude::*;
use serde_json::json;
use steward_base::filter::{Expr, FieldPath, FieldType, Literal, MAX_DEPTH, MAX_LENGTH, Op, Registry, check, matches, parse};
use steward_base::{Random, Timestamp};

fn printed(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).to_string()
}

#[test]
fn precedence_is_that_of_aip_160() {
    let cases = [
        ("", ""),
        ("  \t ", ""),
        ("a", "a"),
        ("a b AND c", "a AND b AND c"),
        ("a AND b OR c AND d", "a AND (b OR c) AND d"),
        ("a b OR c", "a AND (b OR c)"),
        ("a OR b c", "(a OR b) AND c"),
        ("NOT a OR b", "NOT a OR b"),
        ("-a b", "NOT a AND b"),
        ("-(a b)", "NOT (a AND b)"),
        ("NOT NOT -a", "NOT NOT NOT a"),
        ("(a b) c", "(a AND b) AND c"),
        ("((a))", "a"),
        ("x=1 y!=2 z<3 u<=4 v>5 w>=6", "x = 1 AND y != 2 AND z < 3 AND u <= 4 AND v > 5 AND w >= 6"),
        ("tags : prod AND x:*", "tags:prod AND x:*"),
        (r#"attributes."http.route" = '/a "b"'"#, r#"attributes."http.route" = "/a \"b\"""#),
        (r#""connection refused" x"#, r#""connection refused" AND x"#),
        ("x = -5 -7", "x = -5 AND NOT 7"),
        ("t > 2026-11-20T10:30:00Z OR t > now-1h", "t > 2026-11-20T10:30:00Z OR t > now-1h"),
        (r#"x = "a\n\u{e9}\\""#, r#"x = "a\né\\""#),
        ("url = http://x:80/a+b", "url = http://x:80/a+b"),
        ("it's don't", r#""it's" AND "don't""#),
        ("größe = \u{dc}ber", "größe = Über"),
    ];
    for (text, wanted) in cases {
        assert_eq!(printed(text), wanted, "{text}");
    }
    assert_eq!(printed(r#""AND" = 1"#), r#""AND" = 1"#);
}

#[test]
fn literals_keep_the_text_that_a_text_field_needs() {
    let value = |text: &str| match parse(text) {
        Ok(Expr::Compare(compare)) => compare.value,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(value("v = 1.10"), Literal::Text("1.10".into()));
    assert_eq!(value("v = 007"), Literal::Text("007".into()));
    assert_eq!(value("v = 7"), Literal::Int(7));
    assert_eq!(value("v = \"7\""), Literal::Text("7".into()));
    assert_eq!(value("v = 0.5"), Literal::Float(0.5));
    assert_eq!(value("v = 99999999999999999999"), Literal::Text("99999999999999999999".into()));
    assert_eq!(value("v = null"), Literal::Null);
    assert_eq!(value("v = \"null\""), Literal::Text("null".into()));
    assert_eq!(value("v = 2026-11-20T10:30:00+01:00"), Literal::Text("2026-11-20T10:30:00+01:00".into()));
}

#[test]
fn syntax_errors_name_the_column() {
    let cases = [
        ("a AND", 3),
        ("AND a", 1),
        ("a AND AND b", 7),
        ("a OR", 5),
        ("OR a", 1),
        ("NOT", 4),
        ("a -", 4),
        ("(a", 1),
        ("a)", 2),
        ("é (b", 3),
        ("é = ", 5),
        ("x = (a OR b)", 5),
        ("x = a=b", 6),
        ("x = \"abc", 5),
        (r#"x = "a\q""#, 7),
        (r#"x = "\u{110000}""#, 6),
        (r#"x = "\u{"#, 6),
        ("a..b = 1", 1),
        (".a = 1", 1),
        ("= 1", 1),
        ("a ! b", 3),
        ("x = web*", 5),
        ("web*", 1),
        ("a = 1 and b = 2", 7),
        ("Not a", 1),
        ("x = AND", 5),
        ("f(x)", 2),
        (r#"a."b c""#, 8),
        (r#""a"b"#, 4),
        (r#"x = "a"b"#, 8),
    ];
    for (text, column) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.code(), "filter_syntax", "{text}");
        let field = &error.fields()[0];
        assert_eq!((field.pointer.as_str(), field.code.as_ref()), ("/filter", "filter_syntax"), "{text}");
        assert!(field.detail.starts_with(&format!("Column {column}: ")), "{text}: {}", field.detail);
    }
}

#[test]
fn length_depth_and_segments_are_limited() {
    assert!(parse(&"a ".repeat(MAX_LENGTH / 2)).is_ok());
    assert!(parse(&"a".repeat(MAX_LENGTH + 1)).is_err());
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(parse(&"-".repeat(MAX_LENGTH)).is_err());
    assert!(parse(&"NOT ".repeat(MAX_LENGTH / 4)).is_err());
    assert!(parse(&format!("{} = 1", vec!["a"; 33].join("."))).is_err());
}

fn registry() -> Registry {
    let list = |of| FieldType::List(Box::new(of));
    Registry::new()
        .with("status", FieldType::Text)
        .with("hostname", FieldType::Text)
        .with("tags", list(FieldType::Text))
        .with("os.version", FieldType::Text)
        .with("hardware.cpu_count", FieldType::Int)
        .with("uptime_seconds", FieldType::Int)
        .with("load", FieldType::Float)
        .with("enabled", FieldType::Bool)
        .with("last_seen", FieldType::Time)
        .with("attributes", FieldType::Map(Box::new(FieldType::Any)))
        .with("ports", list(FieldType::Int))
}

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().expect("is a time")
}

fn checked(text: &str) -> Expr {
    check(parse(text).expect(text), &registry(), now()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn literals_get_the_type_of_their_field() {
    let cases = [
        ("status = 5", r#"status = "5""#),
        ("os.version = 1.10", "os.version = 1.10"),
        ("status = true", r#"status = "true""#),
        ("hardware.cpu_count >= 007", "hardware.cpu_count >= 7"),
        ("hardware.cpu_count = 8.0", "hardware.cpu_count = 8"),
        ("uptime_seconds > 1h30m", "uptime_seconds > 5400"),
        ("load > 1", "load > 1.0"),
        ("load > 1.50", "load > 1.5"),
        ("enabled = \"true\"", "enabled = true"),
        ("last_seen < now-1h", "last_seen < 2026-11-20T11:00:00Z"),
        ("last_seen < now+90s", "last_seen < 2026-11-20T12:01:30Z"),
        ("last_seen = now", "last_seen = 2026-11-20T12:00:00Z"),
        ("last_seen > 7d", "last_seen > 2026-11-13T12:00:00Z"),
        ("last_seen > 2026-11-20", "last_seen > 2026-11-20T00:00:00Z"),
        ("last_seen > 2026-11-20T10:30:00+01:00", "last_seen > 2026-11-20T09:30:00Z"),
        ("last_seen = null", "NOT last_seen:*"),
        ("last_seen != null", "last_seen:*"),
        ("tags:5", r#"tags:"5""#),
        ("ports = 080", "ports = 80"),
        ("attributes.http.route = 5", "attributes.http.route = 5"),
        ("attributes:http.route", "attributes:http.route"),
        ("some words", "some AND words"),
    ];
    for (text, wanted) in cases {
        assert_eq!(checked(text).to_string(), wanted, "{text}");
    }
}

#[test]
fn unknown_fields_and_wrong_types_are_refused_by_name() {
    let cases = [
        ("a statuss = x", "filter_field", "Column 3: There is no field statuss. Did you mean status?"),
        ("cpu_count = 1", "filter_field", "Column 1: There is no field cpu_count. Did you mean hardware.cpu_count?"),
        ("zzz = 1", "filter_field", "Column 1: There is no field zzz."),
        ("status.x = 1", "filter_field", "Column 1: There is no field status.x. Did you mean status?"),
        ("hardware.cpu_count = many", "filter_type", "Column 1: hardware.cpu_count is compared with a whole number."),
        ("hardware.cpu_count > 1.5", "filter_type", "Column 1: hardware.cpu_count is compared with a whole number."),
        ("ports > 5m", "filter_type", "Column 1: ports is compared with a whole number."),
        ("enabled > true", "filter_type", "Column 1: enabled is true or false and has no order; use = or !=."),
        ("status > null", "filter_type", "Column 1: status is compared with null by = and != only."),
        ("status = *", "filter_type", "Column 1: status is tested for any value with :*."),
    ];
    for (text, code, detail) in cases {
        let error = check(parse(text).expect(text), &registry(), now()).expect_err(text);
        assert_eq!((error.code(), error.fields()[0].detail.as_str()), (code, detail), "{text}");
        assert_eq!(error.fields()[0].pointer, "/filter");
    }
    let error = check(parse("last_seen > soon").expect("parses"), &registry(), now()).expect_err("no time");
    assert_eq!(error.code(), "filter_type");
    assert!(check(parse("word").expect("parses"), &registry().without_words(), now()).is_err());
}

#[test]
fn meaning_on_a_document() {
    let row = json!({
        "status": "Offline", "tags": ["prod", "München"], "empty": [], "nothing": null,
        "hardware": { "cpu_count": 8 }, "load": 1.5, "enabled": true, "last_seen": "2026-11-20T11:30:00.5Z",
        "attributes": { "http.route": "/a/b", "http.status": "503", "n": 1.5 },
        "contacts": [{ "name": "Ada" }, { "name": "Grace" }],
    });
    let cases = [
        ("status = offline", true),
        ("status != offline", false),
        ("status:LINE", true),
        ("status:online", false),
        ("missing = x", false),
        ("missing != x", false),
        ("NOT missing = x", true),
        ("missing = null", true),
        ("nothing = null", true),
        ("nothing:*", false),
        ("empty:*", false),
        ("empty != x", false),
        ("status:*", true),
        ("tags:prod", true),
        ("tags:pro", false),
        ("tags = PROD", true),
        ("tags = mu\u{308}nchen", true),
        ("tags != prod", false),
        ("tags != test", true),
        ("hardware.cpu_count >= 8", true),
        ("hardware.cpu_count > 7.5", true),
        ("hardware.cpu_count < 8", false),
        ("hardware:cpu_count", true),
        ("hardware = 8", false),
        ("load < 2", true),
        ("enabled = true", true),
        ("enabled = false", false),
        ("last_seen < 2026-11-20T11:30:01Z", true),
        ("last_seen < 2026-11-20T11:30:00Z", false),
        ("attributes.http.route = /a/b", true),
        (r#"attributes."http.route":"/A""#, true),
        ("attributes.http.status >= 500", true),
        ("attributes.n = 1.50", true),
        ("contacts.name = grace", true),
        ("contacts.name = bob", false),
        ("grace", true),
        ("\"/A/\"", true),
        ("offline -grace", false),
        ("status = x OR tags:prod status = offline", true),
        ("", true),
        ("-()", false),
    ];
    for (text, wanted) in cases {
        assert_eq!(matches(&parse(text).expect(text), &row), wanted, "{text}");
    }
}

#[test]
fn whole_and_other_numbers_are_compared_exactly() {
    let row = json!({ "n": 9_007_199_254_740_993i64, "edge": i64::MAX });
    let is = |op, value| matches(&Expr::compare("n", op, Literal::Float(value)), &row);
    assert!(is(Op::Gt, 9_007_199_254_740_992.0) && !is(Op::Eq, 9_007_199_254_740_992.0) && is(Op::Lt, 9_007_199_254_740_994.0));
    assert!(matches(&Expr::compare("edge", Op::Lt, Literal::Float(2f64.powi(63))), &row));
    assert!(!matches(&Expr::compare("edge", Op::Ge, Literal::Float(f64::NAN)), &row));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        any::<String>(),
        prop::sample::select(vec![
            "AND",
            "or",
            "Not",
            "now",
            "now-1h",
            "1.10",
            "7",
            "true",
            "null",
            "*",
            "",
            "-x",
            "2026-11-20T10:30:00Z",
            "1e5"
        ])
        .prop_map(str::to_owned),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        Just(Literal::Star),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(Literal::Int),
        prop::num::f64::NORMAL.prop_map(Literal::Float),
        prop::num::f64::ZERO.prop_map(Literal::Float),
        any::<i64>().prop_map(|micros| Literal::Time(Timestamp::from_micros(micros))),
        text().prop_map(Literal::Text),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let op = prop::sample::select(vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Has]);
    let compare = (prop::collection::vec(text(), 1..4), op, literal()).prop_map(|(path, op, value)| {
        let mut expr = Expr::compare("x", op, value);
        if let Expr::Compare(compare) = &mut expr {
            compare.field = FieldPath(path);
        }
        expr
    });
    let leaf = prop_oneof![3 => compare, 1 => text().prop_map(Expr::Word), 1 => Just(Expr::everything())];
    leaf.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|part| Expr::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_tree_prints_and_parses_back(tree in expr()) {
        let text = tree.to_string();
        if text.len() <= MAX_LENGTH {
            match parse(&text) {
                Ok(back) => prop_assert_eq!(back, tree, "{}", text),
                Err(error) => prop_assert!(false, "{}: {}", text, error),
            }
        }
    }

    #[test]
    fn random_strings_do_no_harm(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn random_words_of_the_grammar_do_no_harm(
        parts in prop::collection::vec(prop::sample::select(TOKENS.to_vec()), 0..24)
    ) {
        survives(&parts.concat());
    }
}

const TOKENS: &[&str] = &[
    " ",
    " ",
    "AND",
    "OR",
    "NOT",
    "-",
    "(",
    ")",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ":",
    "*",
    "\"",
    "'",
    "\\",
    "a",
    "b.c",
    ".",
    "1",
    "-1.5",
    "now-1h",
    "é",
    "\u{0}",
    "true",
    "null",
    "2026-11-20T10:30:00Z",
    "\\u{1f600}",
    "status",
    "tags",
    "last_seen",
    ",",
    "!",
    "7d",
];

/// Whatever parses prints to something that parses to the same, can be checked and evaluated, before and after.
fn survives(text: &str) {
    let row = json!({ "status": "online", "tags": ["a"], "b": { "c": 1 } });
    let Ok(tree) = parse(text) else { return };
    let again = tree.to_string();
    if again.len() <= MAX_LENGTH {
        assert_eq!(parse(&again).unwrap_or_else(|error| panic!("{text:?} → {again:?}: {error}")), tree);
    }
    let _ = matches(&tree, &row);
    let open = registry().with("b", FieldType::Any).with("a", FieldType::Any);
    if let Ok(typed) = check(tree, &open, now()) {
        let _ = matches(&typed, &row);
        assert_eq!(check(typed.clone(), &open, now()).expect("stays typed"), typed);
    }
}

#[test]
fn the_same_random_input_every_time() {
    let random = Random::seeded(160);
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..random.below(16) {
            match random.below(8) {
                0 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
                _ => text.push_str(TOKENS[random.below(TOKENS.len() as u64) as usize]),
            }
        }
        survives(&text);
    }
}
