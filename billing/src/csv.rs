//! CSV (RFC 4180) that spreadsheets read as it is meant: numbers are numbers, and no text runs. Pure.

use billing_primitives::Money;

/// `1234.50` of `1234.50 DKK`.
pub(crate) fn amount(money: Money) -> String {
    let shown = money.to_string();
    shown.split_once(' ').map_or(shown.clone(), |(number, _)| number.to_owned())
}

/// Text that no spreadsheet runs (OWASP, "CSV Injection"): what begins like a formula is led in by an apostrophe.
pub(crate) fn plain(text: &str) -> String {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if runs { format!("'{text}") } else { text.to_owned() }
}

/// Adds a row.
pub(crate) fn push(text: &mut String, cells: &[String]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}
