//! That the other rules see what they claim to see: comments and literals are no code, and functions are measured whole.

use tests::source::{Source, line_of, word_positions};

fn source(text: &str) -> Source {
    Source::new("billing/src/tiers/rules.rs".to_owned(), text.to_owned())
}

#[test]
fn comments_and_literals_are_blank() {
    for (text, code) in [
        ("a // f64\nb", "a       \nb"),
        ("a /* x /* y */ z\n */ b", "a               \n    b"),
        (r#"f("f64 \" //", 1)"#, r#"f("         ", 1)"#),
        ("f(r#\"a \" b\"#, b\"c\")", "f(r#\"     \"#, b\" \")"),
        ("'\"' + '\\'' + '\\u{1F}'", "' ' + '  ' + '      '"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("for r in rows {}", "for r in rows {}"),
    ] {
        assert_eq!(source(text).code, code, "{text}");
    }
}

#[test]
fn words_are_whole() {
    let text = "ledger_block; billing_ledger_block; ledger_blocks; (ledger_block)";
    assert_eq!(word_positions(text, "ledger_block"), [0, 52]);
    assert_eq!(word_positions("deny(a) allow(b) disallow(c)", "allow("), [8]);
}

#[test]
fn functions_are_measured_from_their_name_to_their_last_brace() {
    let text = "trait A {\n fn none(&self);\n}\nfn a<F: Fn(i64)>(f: F, x: [u8; 2])\nwhere\n F: Copy,\n{\n if true { '}' }\n}\nfn b() {}\ntype C = fn(i64) -> i64;\n";
    let found: Vec<_> = source(text).functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("a".to_owned(), 4, 6), ("b".to_owned(), 10, 1)]);
    assert_eq!(line_of(text, text.find("fn b").unwrap()), 10);
}

#[test]
fn folders_and_tests_are_known() {
    let source = source("a\n#[cfg(test)]\nmod tests {}\n");
    assert_eq!((source.file(), source.shipped()), ("rules.rs", "a\n"));
    assert!(source.below("tiers") && source.below("billing") && !source.below("rules.rs"));
}
