//! What Stripe is asked for when an event does not tell everything, and how to read its answers. Pure.
//!
//! Answers come in pages; a page that cannot be read is an error, never an empty page.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::ParseError;
use super::facts::Fact;
use super::{read, wire};

/// A question to Stripe's API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Lookup {
    /// All lines of an invoice, and with them the invoice.
    InvoiceLines(String),
    /// All payments of an invoice.
    PaymentsOfInvoice(String),
    /// All invoices that a payment intent paid.
    PaymentsOfIntent(String),
    /// All refunds of a charge.
    RefundsOfCharge(String),
    /// All lines of a credit note, and with them the credit note.
    CreditNoteLines(String),
}

/// A GET request to Stripe's API: its path below the version, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub path: String,
    pub parameters: Vec<(&'static str, String)>,
}

impl Lookup {
    /// The id that the question is about.
    pub fn about(&self) -> &str {
        match self {
            Lookup::InvoiceLines(id)
            | Lookup::PaymentsOfInvoice(id)
            | Lookup::PaymentsOfIntent(id)
            | Lookup::RefundsOfCharge(id)
            | Lookup::CreditNoteLines(id) => id,
        }
    }

    /// The object itself, when it is asked for with its lines.
    pub fn head(&self) -> Option<Question> {
        let path = match self {
            Lookup::InvoiceLines(id) => format!("/invoices/{id}"),
            Lookup::CreditNoteLines(id) => format!("/credit_notes/{id}"),
            _ => return None,
        };
        Some(Question { path, parameters: Vec::new() })
    }

    /// The list.
    pub fn list(&self) -> Question {
        let (path, parameters) = match self {
            Lookup::InvoiceLines(id) => (format!("/invoices/{id}/lines"), vec![]),
            Lookup::PaymentsOfInvoice(id) => ("/invoice_payments".to_owned(), vec![("invoice", id.clone())]),
            Lookup::PaymentsOfIntent(id) => (
                "/invoice_payments".to_owned(),
                vec![("payment[payment_intent]", id.clone()), ("payment[type]", "payment_intent".to_owned())],
            ),
            Lookup::RefundsOfCharge(id) => ("/refunds".to_owned(), vec![("charge", id.clone())]),
            Lookup::CreditNoteLines(id) => (format!("/credit_notes/{id}/lines"), vec![]),
        };
        Question { path, parameters }
    }

    /// What the answers tell: `head` to [`Lookup::head`], `pages` to [`Lookup::list`], all of them.
    ///
    /// # Errors
    /// [`ParseError`] when one of them cannot be read.
    pub fn facts(&self, head: Option<&Value>, pages: &[Value]) -> Result<Vec<Fact>, ParseError> {
        let head = head.unwrap_or(&Value::Null);
        match self {
            Lookup::InvoiceLines(_) => {
                let (mut invoice, _) = read::invoice(read::object(head)?)?;
                invoice.lines = items(pages, read::invoice_line)?;
                invoice.lines_complete = true;
                Ok(vec![Fact::Invoice(invoice)])
            }
            Lookup::CreditNoteLines(_) => {
                let mut note = read::credit_note(read::object(head)?)?;
                note.lines = items(pages, read::credit_note_line)?;
                note.lines_complete = true;
                Ok(vec![Fact::CreditNote(note)])
            }
            Lookup::PaymentsOfInvoice(_) | Lookup::PaymentsOfIntent(_) => {
                let links = items(pages, read::invoice_payment)?;
                Ok(links.into_iter().flatten().map(Fact::PaymentLink).collect())
            }
            Lookup::RefundsOfCharge(_) => Ok(items(pages, read::refund)?.into_iter().map(Fact::Refund).collect()),
        }
    }
}

/// The id after which the next page begins; none after the last page.
///
/// # Errors
/// [`ParseError`] when that cannot be told.
pub fn next_page(page: &Value) -> Result<Option<String>, ParseError> {
    let list: wire::List<Value> = read::object(page)?;
    if list.has_more != Some(true) {
        return Ok(None);
    }
    let last = list.data.unwrap_or_default().pop();
    let last = last.and_then(|object| object.get("id")?.as_str().map(str::to_owned));
    last.map(Some).ok_or(ParseError::Missing("data.id"))
}

/// The objects of all pages.
fn items<T, U>(pages: &[Value], read: impl Fn(T) -> Result<U, ParseError>) -> Result<Vec<U>, ParseError>
where
    T: serde::de::DeserializeOwned,
{
    let mut found = Vec::new();
    for page in pages {
        let list: wire::List<T> = read::object(page)?;
        for object in list.data.ok_or(ParseError::Missing("data"))? {
            found.push(read(object)?);
        }
    }
    Ok(found)
}
