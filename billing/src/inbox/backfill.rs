//! The past: invoices that were paid before events arrived, read from what Stripe's API lists, in batches.
//!
//! A batch is one transaction, from facts to commissions. Given again it changes nothing; the newest fact of an invoice
//! stands, whichever way it came.

use billing_db::Conn;
use billing_primitives::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::store;
use crate::commissions::derive::{self, Cause};
use crate::commissions::situation::Asked;
use crate::error::{Error, Refusal};
use crate::stripe::{Envelope, Fact};
use crate::{Billing, Caller, audit, organizations};

/// Invoices that are read and derived in one transaction.
pub const BATCH: usize = 1_000;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backfilled {
    pub invoices: usize,
    /// Steps that were booked.
    pub steps: usize,
}

/// Takes a batch of invoices, each an object as Stripe's API lists it, with all of its lines. Best in the order in which
/// they were paid: an earlier invoice of a customer derives its later ones again.
///
/// # Errors
/// [`Refusal::Invalid`] with the position of an object that is no invoice, or of the other mode; nothing is written then.
pub async fn backfill(billing: &Billing, caller: &Caller, invoices: &[&str]) -> Result<Backfilled, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let seller = organizations::current(conn, organization).await?;
        let live = seller.mode == organizations::Mode::Live;
        let read = invoices.iter().enumerate().map(|(index, invoice)| read(index, invoice, live));
        let read: Vec<(Vec<Fact>, Timestamp)> = read.collect::<Result<_, _>>()?;
        let now = billing.clock.now(conn).await?;
        let cause = "stripe.backfill";
        let mut stamped: Vec<(&Fact, Timestamp, &str)> =
            read.iter().flat_map(|(facts, as_of)| facts.iter().map(|fact| (fact, *as_of, cause))).collect();
        // An object that is listed twice is one fact; the last one stands.
        stamped.reverse();
        stamped.sort_by_key(|(fact, ..)| (fact.kind(), fact.id()));
        stamped.dedup_by_key(|(fact, ..)| (fact.kind(), fact.id()));
        store::write_stamped(conn, organization, &stamped).await?;
        let ids: Vec<String> = stamped.iter().filter_map(|(fact, ..)| invoice_id(fact)).collect();
        let asked = Asked { invoices: &ids, news: true, ..Asked::default() };
        let actor = caller.actor.to_string();
        let derived =
            derive::derive(conn, organization, &seller.time_zone, now, asked, Cause { cause, actor: &actor }).await?;
        let details = serde_json::json!({ "invoices": ids.len(), "steps": derived.steps });
        audit::record(conn, caller, now, cause, organization, details).await?;
        Ok(Backfilled { invoices: ids.len(), steps: derived.steps })
    };
    billing.db.scoped(organization, work).await
}

fn invoice_id(fact: &Fact) -> Option<String> {
    matches!(fact, Fact::Invoice(_)).then(|| fact.id())
}

/// The one thing that an event says outside its object.
#[derive(Deserialize)]
struct Mode {
    livemode: Option<bool>,
}

/// Reads an invoice as if an event had told of it when it was paid.
fn read(index: usize, invoice: &str, live: bool) -> Result<(Vec<Fact>, Timestamp), Refusal> {
    let wrong = |why: String| Refusal::invalid("invoices", format!("invoice {}: {why}", index + 1));
    let object: &RawValue = serde_json::from_str(invoice).map_err(|error| wrong(error.to_string()))?;
    if !object.get().starts_with('{') {
        return Err(wrong("it is no object".to_owned()));
    }
    let mode: Mode = serde_json::from_str(invoice).map_err(|error| wrong(error.to_string()))?;
    if mode.livemode.is_some_and(|is| is != live) {
        return Err(wrong(format!("livemode is {}, which is not the organization's mode", !live)));
    }
    let told = format!(
        r#"{{"id":"stripe.backfill","type":"invoice.updated","created":0,"livemode":{live},"data":{{"object":{object}}}}}"#
    );
    let news = Envelope::parse(told.as_bytes()).and_then(|envelope| envelope.news());
    let news = news.map_err(|error| wrong(error.to_string()))?;
    let paid_at = news.facts.iter().find_map(|fact| match fact {
        Fact::Invoice(invoice) => Some(invoice.paid_at.or(invoice.created)),
        _ => None,
    });
    let Some(Some(as_of)) = paid_at else { return Err(wrong("it is no invoice with a time".to_owned())) };
    Ok((news.facts, as_of))
}
