//! What each layer keeps away from: rules from everything but values, everything but stores from SQL, everything but
//! the ledger from its tables.

use std::collections::BTreeSet;

use tests::source::{Source, line_of, read, rust, word_positions};

use crate::none;

/// Files of `billing` that decide and do nothing else, besides `rules.rs` and everything below a folder `rules`.
const PURE: [&str; 9] =
    ["chart.rs", "csv.rs", "draft.rs", "month.rs", "put.rs", "statement.rs", "timeline.rs", "trace.rs", "vat.rs"];

/// What a pure file does not know.
const IMPURE: [&str; 20] = [
    "async",
    "await",
    "Billing",
    "billing_db::Conn",
    "billing_db::Db",
    "Clock",
    "Conn",
    "diesel_async",
    "Instant",
    "QueryDsl",
    "rand",
    "RunQueryDsl",
    "sql_query",
    "std::env",
    "std::fs",
    "std::net",
    "std::time",
    "SystemTime",
    "tokio",
    "tracing",
];

/// The derives by which a type of a rules file says how it is stored; nothing else of diesel.
const DERIVES: [&str; 5] = ["Insertable", "Queryable", "QueryableByName", "Selectable", "AsChangeset"];

/// Words that stand where SQL is made.
const SQL: [&str; 10] = [
    "batch_execute",
    "diesel::delete",
    "diesel::dsl",
    "diesel::insert_into",
    "diesel::select",
    "diesel::update",
    "QueryDsl",
    "RunQueryDsl",
    "SimpleAsyncConnection",
    "sql_query",
];

/// Files beside the stores that hold SQL, with the reason.
const SQL_BESIDES: [(&str, &str); 2] = [
    ("billing/src/audit.rs", "every service's one way to the audit log: it has no rules and no callers but services"),
    ("billing/src/clock.rs", "the wall that it looks at is the database's"),
];

fn is_pure(source: &Source) -> bool {
    source.path.starts_with("billing/src/")
        && (source.file() == "rules.rs" || source.below("rules") || PURE.contains(&source.file()))
}

/// The ways in which `text` says one of `words`, with the line.
fn said<'a>(source: &'a Source, text: &'a str, words: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    words.iter().flat_map(move |word| {
        let places = word_positions(text, word).into_iter();
        places.map(move |at| format!("{}:{} says {word}", source.path, line_of(text, at)))
    })
}

#[test]
fn rules_are_pure() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for source in rust().iter().filter(|source| is_pure(source)) {
        seen += 1;
        let shipped = source.shipped();
        found.extend(said(source, shipped, &IMPURE));
        for at in word_positions(shipped, "diesel") {
            let line = shipped[at..].lines().next().unwrap_or_default();
            if !only_derives(line) && !shipped[..at].ends_with("#[") {
                found.push(format!("{}:{} says {line}", source.path, line_of(shipped, at)));
            }
        }
    }
    assert!(seen > 15, "only {seen} files of rules were found");
    none("rules know values and nothing else", found);
}

/// `diesel::{Insertable, Queryable};` and the like.
fn only_derives(line: &str) -> bool {
    let Some(names) = line.strip_prefix("diesel::").and_then(|rest| rest.strip_suffix(';')) else { return false };
    names.trim_matches(['{', '}']).split(',').all(|name| DERIVES.contains(&name.trim()))
}

#[test]
fn sql_stands_in_stores() {
    let mut found = Vec::new();
    for source in rust() {
        let outside = ["api/", "jobs/", "billing/src/"].iter().any(|part| source.path.starts_with(part));
        let store = source.path.starts_with("billing/src/") && (source.file() == "store.rs" || source.below("store"));
        if !outside || store || SQL_BESIDES.iter().any(|(path, _)| *path == source.path) {
            continue;
        }
        // How a type is stored is said beside the type.
        let stored = |line: &&str| line.trim_start().starts_with("#[diesel(");
        let code: Vec<&str> = source.shipped().lines().map(|line| if stored(&line) { "" } else { line }).collect();
        let code = code.join("\n");
        found.extend(said(&source, &code, &SQL));
        found.extend(tables(&code).map(|at| format!("{}:{} names a table", source.path, line_of(&code, at))));
        if !source.path.starts_with("billing/") {
            found.extend(said(&source, &code, &["diesel", "diesel_async", "tokio_postgres"]));
        }
    }
    none("SQL outside of a store", found);
}

/// `invoice::table`, not the function `rules::table(…)` and not the module `import::table::…`.
fn tables(code: &str) -> impl Iterator<Item = usize> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '(' | ':');
    let places = code.match_indices("::table").map(|(at, way)| (at, at + way.len()));
    places.filter(move |(_, end)| !code[*end..].starts_with(word)).map(|(at, _)| at)
}

#[test]
fn only_the_ledger_names_its_tables() {
    let schema = read("billing/db/src/schema.rs");
    let names = schema.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let tables: BTreeSet<&str> = names.filter(|name| name.starts_with("ledger_")).collect();
    assert!(tables.len() >= 5, "{tables:?}");
    let shipped = rust().into_iter().filter(|source| {
        // Tests tamper with the tables, a benchmark measures what the server can do by itself, and the API, which has
        // no SQL at all, calls a field by the same words.
        let free = ["api/", "billing/ledger/", "tests/"].iter().any(|part| source.path.starts_with(part));
        !free && !source.below("benches") && source.path != "billing/db/src/schema.rs"
    });
    let mut found = Vec::new();
    for source in shipped {
        // The whole text: a name inside a statement counts, and a comment that needs one stands in the wrong place.
        found.extend(said(&source, &source.text, &tables.iter().copied().collect::<Vec<_>>()));
    }
    none("tables of the ledger outside of it", found);
}

/// A distributed database copies other rows to their node, which row-level security forbids.
#[test]
fn bulk_inserts_take_the_organization_from_a_row() {
    let (mut seen, mut found) = (0, Vec::new());
    let ours = |source: &&Source| source.path.starts_with("billing/") && !source.below("benches");
    // The queue is no organization's.
    for source in rust().iter().filter(ours).filter(|source| source.path != "billing/db/src/queue.rs") {
        for (at, _) in source.text.match_indices("INSERT INTO") {
            let statement = source.text[at..].split(".bind").next().unwrap_or_default();
            if !statement.contains("unnest(") {
                continue;
            }
            seen += 1;
            if statement.contains("SELECT $1") {
                found.push(format!("{}:{} inserts what it was given", source.path, line_of(&source.text, at)));
            }
        }
    }
    assert!(seen > 15, "only {seen} bulk inserts were found");
    none("bulk inserts select from the organization's own row", found);
}

/// What does not work for one organization, with the reason. All else is sent to the node that has the organization's rows.
const OF_NOBODY: [(&str, &str); 5] = [
    ("billing/db/src/ready.rs", "whether migrations are missing, and whether the nodes answer"),
    ("billing/src/organizations/mod.rs", "the directory is asked for all organizations, by the scheduler above all"),
    ("jobs/src/backend.rs", "jobs of all organizations are claimed by one statement"),
    ("jobs/src/chores.rs", "the ticks of schedules, jobs of lost workers and old jobs of all organizations"),
    ("jobs/src/runner.rs", "leases and outcomes of jobs"),
];

#[test]
fn what_crosses_organizations_is_listed() {
    let (mut found, mut met) = (Vec::new(), BTreeSet::new());
    let sources = rust();
    for source in sources.iter().filter(|source| !source.below("tests") && source.path != "billing/db/src/scoped.rs") {
        for (at, _) in source.code.match_indices(".unscoped(") {
            met.insert(source.path.as_str());
            if !OF_NOBODY.iter().any(|(path, _)| *path == source.path) {
                found.push(format!("{}:{} works for no organization", source.path, line_of(&source.code, at)));
            }
        }
    }
    found.extend(OF_NOBODY.iter().filter(|(path, _)| !met.contains(path)).map(|(path, _)| format!("{path} does not")));
    none("transactions of no organization", found);
}

/// What statements are put together from besides constants, with the reason.
const PUT_TOGETHER: [(&str, &str, &str); 7] = [
    ("billing/db/src/scoped.rs", "{}", "a typed id and a number of milliseconds: BEGIN takes no parameters"),
    ("billing/ledger/src/seal.rs", "{}", "unsealed(), which is made of constants"),
    ("billing/ledger/src/seal.rs", "{column}", "one of two columns that this file names"),
    ("billing/ledger/src/seal.rs", "{kind}", "one of two kinds that this file names"),
    ("billing/ledger/src/seal.rs", "{sql}", "content(), which is made of constants"),
    ("billing/src/invoicing/store/finalize.rs", "{table}", "one of two tables that this function names"),
    ("billing/src/payments/store.rs", "{}", "the prefix of a kind of id, a constant"),
];

/// Words by which a text gives itself away as part of a statement.
const STATEMENT: [&str; 10] =
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WHERE ", " FROM ", "SET ", "ORDER BY", "::text", " IN ("];

#[test]
fn statements_are_constants() {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in rust().iter().filter(|source| source.path.starts_with("billing/") && !source.below("benches")) {
        let shipped = source.shipped();
        for at in word_positions(shipped, "format!") {
            let text = literal_behind(source, at);
            if !STATEMENT.iter().any(|word| text.contains(word)) {
                continue;
            }
            for hole in holes(&text) {
                let name = hole.trim_matches(['{', '}']);
                let constant = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                let known = PUT_TOGETHER.iter().position(|(path, known, _)| *path == source.path && *known == hole);
                used.extend(known);
                if !constant && known.is_none() {
                    found.push(format!("{}:{} puts {hole} into a statement", source.path, line_of(shipped, at)));
                }
            }
        }
    }
    none("values belong into parameters", found);
    let unused = PUT_TOGETHER.iter().enumerate().filter(|(place, _)| !used.contains(place));
    none("exceptions that nobody needs", unused.map(|(_, (path, hole, _))| format!("{hole} in {path}")).collect());
}

/// The first literal behind a position of the code, with its quotes gone.
fn literal_behind(source: &Source, at: usize) -> String {
    // Code and text are blanked character by character, so they share positions counted in characters.
    let skipped = source.code[..at].chars().count();
    let mut quotes = source.code.chars().skip(skipped).enumerate().filter(|(_, c)| *c == '"').map(|(place, _)| place);
    let (Some(open), Some(close)) = (quotes.next(), quotes.next()) else { return String::new() };
    source.text.chars().skip(skipped + open + 1).take(close - open - 1).collect()
}

/// `{…}` of a format string; doubled braces are braces.
fn holes(text: &str) -> Vec<String> {
    let text = text.replace("{{", "").replace("}}", "");
    let parts = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    parts.map(|(name, _)| format!("{{{name}}}")).collect()
}

#[test]
fn the_printed_schema_is_the_schema() {
    let path = tests::source::root().join("schema.graphql");
    let printed = std::fs::read_to_string(&path).unwrap_or_default();
    let now = api::graphql::sdl();
    let differs = printed.lines().zip(now.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| printed.lines().count().min(now.lines().count())) + 1;
    assert!(
        printed.trim_end() == now.trim_end(),
        "schema.graphql differs from the schema at line {line}: print it again with `make schema`"
    );
}
