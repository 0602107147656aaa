//! Conversions: a customer's subscription became active, as Stripe or another system says.
//!
//! A customer converts once: of several reports the earliest stands, in whatever order they come.

use billing_db::Conn;
use billing_primitives::{CustomerId, PlanId, Timestamp, text_enum};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::derive::{self, Cause};
use super::situation::Asked;
use super::store::{conversions as sql, standing};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, audit, catalog, customers, organizations};

/// The cause of a conversion that another system reported.
const REPORTED: &str = "conversion.record";

/// Seats of one conversion at most.
const MOST_SEATS: i64 = 1_000_000_000;

text_enum! {
    /// Who said that a customer converted.
    pub enum ConversionSource {
        /// A subscription at Stripe.
        Stripe = "STRIPE",
        /// Another system.
        Api = "API",
    }
}

/// A customer's conversion, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::conversion)]
pub struct Conversion {
    pub customer_id: CustomerId,
    pub converted_at: Timestamp,
    pub source: ConversionSource,
    pub stripe_subscription_id: Option<String>,
    pub plan_id: Option<PlanId>,
    pub seats: i64,
    pub actor: String,
    pub created_at: Timestamp,
}

/// A conversion on its way into the table.
#[derive(Debug, Clone)]
pub(crate) struct NewConversion<'a> {
    pub customer: CustomerId,
    pub converted_at: Timestamp,
    pub subscription: Option<&'a str>,
    pub plan: Option<PlanId>,
    pub seats: i64,
    pub source: ConversionSource,
    /// The Stripe event or the command; of two reports of one instant the one with the lesser cause stands.
    pub cause: &'a str,
}

/// A conversion as another system reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedConversion {
    pub customer: CustomerId,
    /// Without one a list price commission earns nothing.
    pub plan: Option<PlanId>,
    pub seats: i64,
    /// None: now.
    pub converted_at: Option<Timestamp>,
}

/// Notes a conversion, of which the earliest stands; true when it is this one. The customer's commissions are not
/// derived.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn convert(
    conn: &mut Conn,
    caller: &Caller,
    new: &NewConversion<'_>,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(sql::put(conn, caller.organization, new, &caller.actor.to_string(), now).await?)
}

/// Records that a customer converted, and derives what is earned on it. An earlier report stands; the answer is what
/// stands.
///
/// # Errors
/// [`Refusal::NotFound`] (customer, plan), [`Refusal::Invalid`] (seats, an instant to come or before anybody was credited
/// with the customer).
pub async fn record_conversion(
    billing: &Billing,
    caller: &Caller,
    input: &ReportedConversion,
) -> Result<Applied<Conversion>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        if !(1..=MOST_SEATS).contains(&input.seats) {
            return Err(Refusal::invalid("seats", "1 to 1000000000").into());
        }
        let locked = customers::store::lock(conn, organization, input.customer).await?;
        locked.ok_or_else(|| Refusal::not_found("customer", "customer", input.customer))?;
        if let Some(plan) = input.plan {
            let found = catalog::store::plans_by_ids(conn, organization, &[plan]).await?;
            found.first().ok_or_else(|| Refusal::not_found("plan", "plan", plan))?;
        }
        let now = billing.clock.now(conn).await?;
        let converted_at = input.converted_at.unwrap_or(now);
        if converted_at > now {
            return Err(Refusal::invalid("convertedAt", "lies in the future").into());
        }
        let zone = organizations::current(conn, organization).await?.time_zone;
        let credited = standing::attributions(conn, organization, &[input.customer]).await?;
        let first = credited.iter().find(|row| row.enrollment_id.is_some());
        if let Some(first) = first.filter(|first| converted_at.date_in(&zone) < first.effective_from) {
            // The earliest report stands for good: one from before would wipe out what was earned.
            let since =
                format!("lies before {}, since when the customer is credited to somebody", first.effective_from);
            return Err(Refusal::invalid("convertedAt", since).into());
        }
        let new = NewConversion {
            customer: input.customer,
            converted_at,
            subscription: None,
            plan: input.plan,
            seats: input.seats,
            source: ConversionSource::Api,
            cause: REPORTED,
        };
        let stands = convert(conn, caller, &new, now).await?;
        let details =
            json!({ "convertedAt": converted_at, "plan": input.plan, "seats": input.seats, "stands": stands });
        audit::record(conn, caller, now, REPORTED, input.customer, details).await?;
        let asked = Asked { converted: &[input.customer], ..Asked::default() };
        let cause = Cause { cause: REPORTED, actor: &caller.actor.to_string() };
        derive::derive(conn, organization, &zone, now, asked, cause).await?;
        let found = sql::of(conn, organization, input.customer).await?;
        found
            .ok_or_else(|| Error::Corrupt(format!("the conversion of {} was written and is not there", input.customer)))
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}
