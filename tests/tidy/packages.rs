//! Who may know whom: a lower package has never heard of a higher one, and a library stands where it belongs.

use std::collections::BTreeMap;

use tests::source::read;
use toml::{Table, Value};

use crate::none;

/// Each package of ours with those that it may know, the lowest first. The primitives are words that all may use.
const EDGES: [(&str, &[&str]); 7] = [
    ("billing-primitives", &[]),
    ("billing-db", &["billing-primitives"]),
    ("billing-ledger", &["billing-primitives", "billing-db"]),
    ("billing", &["billing-primitives", "billing-db", "billing-ledger"]),
    // Of the database the jobs know the queue; a test below says so.
    ("jobs", &["billing-primitives", "billing-db", "billing"]),
    ("api", &["billing-primitives", "billing", "jobs"]),
    ("tests", &["billing-primitives", "billing-db", "billing-ledger", "billing", "jobs", "api"]),
];

/// Libraries, by how their names begin, with the packages that may know them.
const LIBRARIES: [(&str, &[&str]); 13] = [
    ("diesel", &["billing-primitives", "billing-db", "billing-ledger", "billing", "tests"]),
    ("diesel-async", &["billing-db", "billing-ledger", "billing", "tests"]),
    ("diesel_migrations", &["billing-db"]),
    ("deadpool", &["billing-db"]),
    ("tokio-postgres", &["billing-db", "tests"]),
    ("postgresql", &["billing-db"]),
    ("apalis", &["jobs"]),
    ("poem", &["api", "tests"]),
    ("async-graphql", &["api", "tests"]),
    ("rmcp", &["api"]),
    ("tera", &["api"]),
    ("clap", &["api"]),
    ("typst", &["billing-typeset"]),
];

/// Libraries that only tests or benchmarks of a package know, with the reason.
const BESIDES: [(&str, &str, &str); 1] =
    [("billing", "tokio-postgres", "the benchmark of the month measures what the server can do by itself")];

struct Package {
    name: String,
    /// By the name as published.
    dependencies: BTreeMap<String, How>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Always,
    Optional,
    /// Of tests and benchmarks.
    Dev,
}

fn packages() -> Vec<Package> {
    let workspace = parse("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().expect("members");
    let known = workspace["workspace"]["dependencies"].as_table().expect("dependencies");
    members.iter().map(|folder| package(folder.as_str().expect("a folder"), known)).collect()
}

fn parse(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn package(folder: &str, known: &Table) -> Package {
    let manifest = parse(&format!("{folder}/Cargo.toml"));
    let mut dependencies = BTreeMap::new();
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(table) = manifest.get(kind).and_then(Value::as_table) else { continue };
        for (name, how) in table {
            let renamed = |how: &Value| how.get("package").and_then(Value::as_str).map(str::to_owned);
            let published = renamed(how).or_else(|| renamed(known.get(name)?)).unwrap_or_else(|| name.clone());
            let how = match how.get("optional").and_then(Value::as_bool) {
                _ if kind == "dev-dependencies" => How::Dev,
                Some(true) => How::Optional,
                _ => How::Always,
            };
            dependencies.entry(published).or_insert(how);
        }
    }
    assert!(manifest.get("target").is_none(), "{folder} has dependencies per target, which nobody looks at here");
    let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
    Package { name, dependencies }
}

#[test]
fn no_package_knows_a_higher_one() {
    let packages = packages();
    let mut found = Vec::new();
    for package in &packages {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            found.push(format!("{} is in no list of who may know whom", package.name));
            continue;
        };
        let ours = package.dependencies.keys().filter(|name| packages.iter().any(|other| other.name == **name));
        let wrong = ours.filter(|name| !allowed.contains(&name.as_str()));
        found.extend(wrong.map(|name| format!("{} may not know {name}", package.name)));
    }
    none("package edges", found);
}

#[test]
fn libraries_stand_where_they_belong() {
    let mut found = Vec::new();
    for package in packages() {
        for (name, how) in &package.dependencies {
            let besides = BESIDES.iter().any(|(by, known, _)| (*by, *known) == (&*package.name, &**name));
            if *how == How::Dev && besides {
                continue;
            }
            // The longest beginning decides: diesel-async is not diesel.
            let rule = LIBRARIES.iter().filter(|(start, _)| is_of(name, start)).max_by_key(|(start, _)| start.len());
            if let Some((_, allowed)) = rule
                && !allowed.contains(&package.name.as_str())
            {
                found.push(format!("{} may not know {name}", package.name));
            }
        }
    }
    none("libraries", found);
}

fn is_of(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[test]
fn primitives_meet_diesel_only_behind_a_feature() {
    let packages = packages();
    let primitives = packages.iter().find(|package| package.name == "billing-primitives").expect("primitives");
    assert_eq!(primitives.dependencies.get("diesel"), Some(&How::Optional), "behind the feature `sql`");
}

#[test]
fn jobs_know_the_queue_and_no_table() {
    let mut found = Vec::new();
    for source in tests::source::rust().iter().filter(|source| source.path.starts_with("jobs/")) {
        for word in ["schema", "scoped", "directory", "migrate", "embedded"] {
            if source.code.contains(&format!("billing_db::{word}")) {
                found.push(format!("{} names billing_db::{word}", source.path));
            }
        }
    }
    none("jobs", found);
}
