//! How amounts came about, written down when they are computed. Pure.
//!
//! Traces are JSON with keys in order and without blanks: they read back as the same text, which hashes need.

use serde::Serialize;

/// Any value as such JSON.
pub fn json(value: &impl Serialize) -> String {
    // Through `Value`, whose objects are ordered by key. Plain data does not fail to serialize.
    serde_json::to_value(value).unwrap_or_default().to_string()
}

/// An exact value before rounding, in minor units, as a fraction.
pub fn exact(numerator: i128, denominator: i128) -> String {
    format!("{numerator}/{denominator}")
}
