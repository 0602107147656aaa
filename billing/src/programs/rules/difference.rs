//! What differs between two terms, path by path. Tiers are matched by their codes, phases by their months, rules by
//! their plans and windows by their sources; levels of the upline by their place.

use serde_json::{Map, Value};

use crate::programs::terms::Terms;

/// One place where two terms differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `tiers[GOLD].phases[13].reward`.
    pub path: String,
    /// None: it was added.
    pub before: Option<Value>,
    /// None: it was removed.
    pub after: Option<Value>,
}

/// What an entry of a list is known by.
const KEYS: [&str; 4] = ["code", "fromMonth", "plan", "source"];

/// Whole though it has parts: a percentage that becomes a flat amount is one change.
const WHOLE: &str = "reward";

/// In the order of paths of the JSON.
pub fn difference(before: &Terms, after: &Terms) -> Vec<Change> {
    // Plain data does not fail to serialize.
    let json = |terms: &Terms| serde_json::to_value(terms).unwrap_or_default();
    let mut changes = Vec::new();
    compare(String::new(), &json(before), &json(after), &mut changes);
    changes
}

fn compare(path: String, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(a), Value::Object(b)) if !path.ends_with(WHOLE) => objects(&path, a, b, changes),
        (Value::Array(a), Value::Array(b)) => arrays(path, a, b, changes),
        _ => changes.push(Change { path, before: said(before), after: said(after) }),
    }
}

fn said(value: &Value) -> Option<Value> {
    Some(value).filter(|value| !value.is_null()).cloned()
}

fn objects(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, changes: &mut Vec<Change>) {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(path, member(before, name), member(after, name), changes);
    }
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

fn arrays(path: String, before: &[Value], after: &[Value], changes: &mut Vec<Change>) {
    let (a, b) = (entries(before), entries(after));
    for (key, was) in &a {
        compare(format!("{path}[{key}]"), was, entry(&b, key).unwrap_or(&Value::Null), changes);
    }
    for (key, is) in b.iter().filter(|(key, _)| entry(&a, key).is_none()) {
        compare(format!("{path}[{key}]"), &Value::Null, is, changes);
    }
    // The order of tiers is their rank and that of sources their priority.
    let order = |all: &[(String, &Value)], other: &[(String, &Value)]| -> Vec<Value> {
        all.iter().filter(|(key, _)| entry(other, key).is_some()).map(|(key, _)| Value::from(key.as_str())).collect()
    };
    let (was, is) = (order(&a, &b), order(&b, &a));
    if was != is {
        changes.push(Change { path, before: Some(Value::Array(was)), after: Some(Value::Array(is)) });
    }
}

fn entry<'a>(all: &[(String, &'a Value)], key: &str) -> Option<&'a Value> {
    all.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
}

/// The entries of a list by their keys; what has none is known by its place.
fn entries(list: &[Value]) -> Vec<(String, &Value)> {
    let key = |(place, entry): (usize, &Value)| {
        let named =
            KEYS.iter().find_map(|key| entry.get(key)).map(|key| key.as_str().map_or(key.to_string(), str::to_owned));
        named.unwrap_or_else(|| place.to_string())
    };
    list.iter().enumerate().map(|(place, entry)| (key((place, entry)), entry)).collect()
}
