//! What somebody decides about the commissions of a source by hand: taking back, holding, letting go.
//!
//! A decision is a row beside the facts, and the commissions follow from both: nothing is booked here that the next
//! derivation would not book, too.

use billing_db::Conn;
use billing_primitives::{CommissionReversalId, CustomerId, Money, OrganizationId, Timestamp};
use serde_json::json;

use super::book::{Commission, SourceKind};
use super::derive::{self, Cause};
use super::situation::{Asked, SourceKey};
use super::store::by_hand as sql;
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::rules::text;
use crate::{Applied, Billing, audit, organizations};

/// A source whose commissions are taken back, at every level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReversal {
    pub source: SourceKey,
    /// How much of the base is taken back, beside what was before; none: all of it. More than is left of the base takes
    /// back what is left.
    pub amount: Option<Money>,
    pub reason: String,
}

/// Takes the commissions of a source back, in whole or in the proportion of an amount to its base.
///
/// # Errors
/// [`Refusal::NotFound`] when nothing was earned on the source, [`Refusal::AmountNotPositive`], [`Refusal::CurrencyMix`],
/// [`Refusal::Invalid`] (no reason).
pub async fn reverse(
    billing: &Billing,
    caller: &Caller,
    input: &NewReversal,
) -> Result<Applied<Vec<Commission>>, Error> {
    let work = async |conn: &mut Conn| {
        let reason = text("reason", &input.reason)?;
        let source = &input.source;
        let currency = earned_on(conn, caller.organization, source).await?.currency;
        if let Some(amount) = input.amount {
            if amount.currency != currency {
                return Err(Refusal::CurrencyMix { left: amount.currency, right: currency }.into());
            }
            if amount.minor <= 0 {
                return Err(Refusal::AmountNotPositive { amount }.into());
            }
        }
        let now = billing.clock.now(conn).await?;
        let id = CommissionReversalId::new();
        let minor = input.amount.map(|amount| amount.minor);
        let act = sql::Act { source, reason: &reason, actor: &caller.actor.to_string(), at: now };
        sql::insert_reversal(conn, caller.organization, id, (minor, currency), act).await?;
        let details = json!({ "source": source, "amount": input.amount, "reason": reason });
        audit::record(conn, caller, now, "commission.reverse", id, details).await?;
        derived(conn, caller, source, now, &id.to_string()).await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Keeps the commissions of a source from ripening until they are released; of two reasons the later stands.
///
/// # Errors
/// [`Refusal::NotFound`] when nothing was earned on the source, [`Refusal::Invalid`] (no reason).
pub async fn hold(
    billing: &Billing,
    caller: &Caller,
    source: &SourceKey,
    reason: &str,
) -> Result<Applied<Vec<Commission>>, Error> {
    let work = async |conn: &mut Conn| {
        let reason = text("reason", reason)?;
        let earned = earned_on(conn, caller.organization, source).await?;
        let now = billing.clock.now(conn).await?;
        let act = sql::Act { source, reason: &reason, actor: &caller.actor.to_string(), at: now };
        sql::hold(conn, caller.organization, act).await?;
        let details = json!({ "source": source, "reason": reason });
        audit::record(conn, caller, now, "commission.hold", earned.id, details).await?;
        derived(conn, caller, source, now, "commission.hold").await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Takes a hold by hand away; a dispute or an inquiry keeps holding. What nobody holds stays as it is.
///
/// # Errors
/// [`Refusal::NotFound`] when nothing was earned on the source.
pub async fn release(
    billing: &Billing,
    caller: &Caller,
    source: &SourceKey,
) -> Result<Applied<Vec<Commission>>, Error> {
    let work = async |conn: &mut Conn| {
        let earned = earned_on(conn, caller.organization, source).await?;
        let now = billing.clock.now(conn).await?;
        if sql::release(conn, caller.organization, source).await? {
            let details = json!({ "source": source });
            audit::record(conn, caller, now, "commission.release", earned.id, details).await?;
        }
        derived(conn, caller, source, now, "commission.release").await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// The commission of level 1, or whichever is the first.
async fn earned_on(conn: &mut Conn, organization: OrganizationId, source: &SourceKey) -> Result<Commission, Error> {
    let found = sql::of_source(conn, organization, source).await?.into_iter().next();
    Ok(found.ok_or_else(|| Refusal::not_found("source", "commission of the source", &source.id))?)
}

/// Derives a source again; returns what is booked on it then, by level.
async fn derived(
    conn: &mut Conn,
    caller: &Caller,
    source: &SourceKey,
    now: Timestamp,
    cause: &str,
) -> Result<Vec<Commission>, Error> {
    let organization = caller.organization;
    let invoices = [source.id.clone()];
    let customers: Vec<CustomerId> = source.id.parse().into_iter().collect();
    let asked = match source.kind {
        SourceKind::StripeInvoice => Asked { invoices: &invoices, ..Asked::default() },
        SourceKind::Conversion => Asked { converted: &customers, ..Asked::default() },
    };
    let zone = organizations::current(conn, organization).await?.time_zone;
    derive::derive(conn, organization, &zone, now, asked, Cause { cause, actor: &caller.actor.to_string() }).await?;
    Ok(sql::of_source(conn, organization, source).await?)
}
