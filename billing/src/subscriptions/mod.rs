//! Subscriptions: a customer's plan over time, and the dated changes of its seats.
//!
//! Seats only change by appended facts. Every command takes its locks in one order: first the partners that own the
//! customer (with the late marks), then the customer. Overlaps, ends and the order of seat changes are decided under
//! the customer's lock, so the subscription needs none of its own.

pub(crate) mod bulk;
mod lists;
pub mod rules;
pub(crate) mod store;

use billing_db::{Conn, DbError};
use billing_primitives::{CustomerId, Date, OrganizationId, PlanId, SeatChangeId, SubscriptionId, Timestamp};
use diesel::prelude::*;
use serde_json::json;

pub use lists::{
    by_external_id, by_ids, list, of_customers, seat_change_by_external_id, seat_changes, seat_changes_by_ids,
    seat_changes_of,
};
pub use rules::{SeatFact, Seats};

use crate::caller::Caller;
use crate::catalog::{self, Plan, Pricing};
use crate::customers::{self, Customer, Ownership};
use crate::error::{Error, Refusal};
use crate::invoicing::late;
use crate::organizations::rules::external_id;
use crate::{Applied, Billing, audit};

/// A customer's plan over time.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::subscription)]
pub struct Subscription {
    pub organization_id: OrganizationId,
    pub id: SubscriptionId,
    pub external_id: String,
    pub customer_id: CustomerId,
    pub plan_id: PlanId,
    pub starts_on: Date,
    /// First day that is not billed.
    pub ends_on: Option<Date>,
    pub created_at: Timestamp,
}

/// A dated change of a subscription's seats: either a new quantity or a delta.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::seat_change)]
pub struct SeatChange {
    pub organization_id: OrganizationId,
    pub id: SeatChangeId,
    pub external_id: String,
    pub subscription_id: SubscriptionId,
    /// Order of recording within the subscription, from 1.
    pub sequence: i32,
    /// First day on which it counts.
    pub effective_on: Date,
    pub quantity: Option<i64>,
    pub delta: Option<i64>,
    pub created_at: Timestamp,
}

impl SeatChange {
    /// What it does to the seats.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it stands for both or neither, which the table refuses.
    pub fn seats(&self) -> Result<Seats, Error> {
        match (self.quantity, self.delta) {
            (Some(quantity), None) => Ok(Seats::Quantity(quantity)),
            (None, Some(delta)) => Ok(Seats::Delta(delta)),
            _ => Err(Error::Corrupt(format!("seat change {} is not either a quantity or a delta", self.id))),
        }
    }

    /// The change as far as it counts.
    ///
    /// # Errors
    /// As [`SeatChange::seats`].
    pub fn fact(&self) -> Result<SeatFact, Error> {
        Ok(SeatFact { effective_on: self.effective_on, sequence: self.sequence, seats: self.seats()? })
    }
}

/// A subscription to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    pub external_id: String,
    pub customer: CustomerId,
    pub plan: PlanId,
    pub starts_on: Date,
    /// First day that is not billed; none: it runs on.
    pub ends_on: Option<Date>,
    /// Seats from the first day on; a per-seat plan needs them, a flat one has none.
    pub seats: Option<i64>,
}

/// A change of seats to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSeatChange {
    pub external_id: String,
    pub subscription: SubscriptionId,
    pub effective_on: Date,
    pub seats: Seats,
}

/// Makes a subscription; a per-seat one with its first seat change, whose external id is that of the subscription
/// and `/start`.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (customer, plan), [`Refusal::DateBefore`] (end before start),
/// [`Refusal::SeatsOfFlatPlan`], [`Refusal::CustomerNotOwned`], [`Refusal::SubscriptionsOverlap`],
/// [`Refusal::ExternalIdTaken`].
pub async fn create(
    billing: &Billing,
    caller: &Caller,
    input: &NewSubscription,
) -> Result<Applied<Subscription>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await
}

/// As [`create`], inside a transaction.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewSubscription,
) -> Result<Subscription, Error> {
    let organization = caller.organization;
    let subscription = new_row(organization, input, billing.clock.now(conn).await?)?;
    let first = first_seats(&plan(conn, organization, input.plan).await?, input.seats)?;
    let customer = hold(conn, organization, input.customer, input.plan, input.starts_on).await?;
    let owners = customers::store::owners_of(conn, organization, &[customer.id]).await?;
    check_owner(&owners, &customer, input.starts_on)?;
    check_overlap(conn, &subscription).await?;
    if !store::insert(conn, &subscription).await? {
        return Err(Refusal::ExternalIdTaken { what: "subscription", external_id: subscription.external_id }.into());
    }
    if let Some(seats) = first {
        let fact = SeatFact { effective_on: subscription.starts_on, sequence: 1, seats };
        let start = start_id(&subscription.external_id);
        append(conn, new_change(&subscription, start, fact, subscription.created_at)).await?;
    }
    let details = json!({ "subscription": subscription, "seats": input.seats });
    audit::record(conn, caller, subscription.created_at, "subscription.create", subscription.id, details).await?;
    Ok(subscription)
}

/// Moves the end of a subscription, to earlier or later, or (none) takes it away.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::DateBefore`] (end before start), [`Refusal::SubscriptionsOverlap`],
/// [`Refusal::SeatsBelowZero`] when days count again on which fewer than no seats would be held.
pub async fn end(
    billing: &Billing,
    caller: &Caller,
    id: SubscriptionId,
    ends_on: Option<Date>,
) -> Result<Applied<Subscription>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| {
            move_end(conn, billing, caller, id, ends_on).await
        })
        .await
}

/// As [`end`], inside a transaction.
pub(crate) async fn move_end(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: SubscriptionId,
    ends_on: Option<Date>,
) -> Result<Subscription, Error> {
    let before = find(conn, caller.organization, id).await?;
    rules::check_end(before.starts_on, ends_on)?;
    let Some(from) = rules::moved(before.ends_on, ends_on) else { return Ok(before) };
    hold(conn, caller.organization, before.customer_id, before.plan_id, from).await?;
    if find(conn, caller.organization, id).await? != before {
        // Somebody moved the end while this waited: other months may be touched. Run again from what holds now.
        return Err(DbError::Contention.into());
    }
    let after = Subscription { ends_on, ..before.clone() };
    check_overlap(conn, &after).await?;
    rules::check_facts(&facts(conn, &after).await?, ends_on)?;
    store::update_end(conn, &after).await?;
    let now = billing.clock.now(conn).await?;
    let details = json!({ "before": before.ends_on, "after": after.ends_on });
    audit::record(conn, caller, now, "subscription.end", id, details).await?;
    Ok(after)
}

/// Records a change of seats on a day on which the subscription runs; also for the past.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`], [`Refusal::SeatsOfFlatPlan`], [`Refusal::OutsideSubscription`],
/// [`Refusal::SeatsBelowZero`] (on any day that counts), [`Refusal::ExternalIdTaken`].
pub async fn change_seats(
    billing: &Billing,
    caller: &Caller,
    input: &NewSeatChange,
) -> Result<Applied<SeatChange>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add_seats(conn, billing, caller, input).await)
        .await
}

/// As [`change_seats`], inside a transaction.
pub(crate) async fn add_seats(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewSeatChange,
) -> Result<SeatChange, Error> {
    let organization = caller.organization;
    let external_id = external_id(&input.external_id)?;
    rules::check_size(input.seats)?;
    let Subscription { customer_id, plan_id, .. } = find(conn, organization, input.subscription).await?;
    check_seats(&plan(conn, organization, plan_id).await?)?;
    hold(conn, organization, customer_id, plan_id, input.effective_on).await?;
    // Read again: under the lock the end stands still.
    let subscription = find(conn, organization, input.subscription).await?;
    let mut facts = facts(conn, &subscription).await?;
    let fact = next_fact(&subscription, &mut facts, input)?;
    rules::check_facts(&facts, subscription.ends_on)?;
    let now = billing.clock.now(conn).await?;
    let change = append(conn, new_change(&subscription, external_id, fact, now)).await?;
    audit::record(conn, caller, now, "subscription.change_seats", change.subscription_id, json!(change)).await?;
    Ok(change)
}

/// Marks the finalized months from `from` on as late and takes the locks, in the order that all commands keep.
async fn hold(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
    plan: PlanId,
    from: Date,
) -> Result<Customer, Error> {
    late::mark(conn, organization, &[(customer, plan, from)]).await?;
    let locked = customers::store::lock(conn, organization, customer).await?;
    locked.ok_or_else(|| Refusal::not_found("customer", "customer", customer).into())
}

async fn find(conn: &mut Conn, organization: OrganizationId, id: SubscriptionId) -> Result<Subscription, Error> {
    let found = store::by_ids(conn, organization, &[id]).await?.pop();
    found.ok_or_else(|| Refusal::not_found("subscription", "subscription", id).into())
}

async fn plan(conn: &mut Conn, organization: OrganizationId, id: PlanId) -> Result<Plan, Error> {
    let found = catalog::store::plans_by_ids(conn, organization, &[id]).await?.pop();
    found.ok_or_else(|| Refusal::not_found("plan", "plan", id).into())
}

fn new_row(organization: OrganizationId, input: &NewSubscription, now: Timestamp) -> Result<Subscription, Refusal> {
    rules::check_end(input.starts_on, input.ends_on)?;
    Ok(Subscription {
        organization_id: organization,
        id: SubscriptionId::new(),
        external_id: external_id(&input.external_id)?,
        customer_id: input.customer,
        plan_id: input.plan,
        starts_on: input.starts_on,
        ends_on: input.ends_on,
        created_at: now,
    })
}

/// The seats a subscription begins with; none for a flat plan.
fn first_seats(plan: &Plan, seats: Option<i64>) -> Result<Option<Seats>, Refusal> {
    match (plan.pricing, seats) {
        (Pricing::Flat, None) => Ok(None),
        (Pricing::Flat, Some(_)) => Err(Refusal::SeatsOfFlatPlan { plan: plan.external_id.clone() }),
        (Pricing::PerSeat, None) => Err(Refusal::invalid("seats", "a per-seat plan begins with a number of seats")),
        (Pricing::PerSeat, Some(quantity)) => {
            let seats = Seats::Quantity(quantity);
            rules::check_size(seats)?;
            Ok(Some(seats))
        }
    }
}

fn check_seats(plan: &Plan) -> Result<(), Refusal> {
    match plan.pricing {
        Pricing::PerSeat => Ok(()),
        Pricing::Flat => Err(Refusal::SeatsOfFlatPlan { plan: plan.external_id.clone() }),
    }
}

fn check_owner(owners: &[Ownership], customer: &Customer, day: Date) -> Result<(), Refusal> {
    match customers::rules::owner_on(owners, day) {
        Some(_) => Ok(()),
        None => Err(Refusal::CustomerNotOwned { customer: customer.external_id.clone(), day }),
    }
}

async fn check_overlap(conn: &mut Conn, row: &Subscription) -> Result<(), Error> {
    let same = store::of_customer_and_plan(conn, row.organization_id, row.customer_id, row.plan_id).await?;
    Ok(check_others(&same, row)?)
}

/// Subscriptions of one customer to one plan share no day.
fn check_others(same: &[Subscription], row: &Subscription) -> Result<(), Refusal> {
    let days = |subscription: &Subscription| (subscription.starts_on, subscription.ends_on);
    match same.iter().find(|other| other.id != row.id && rules::overlap(days(other), days(row))) {
        Some(other) => Err(Refusal::SubscriptionsOverlap { other: other.external_id.clone() }),
        None => Ok(()),
    }
}

async fn facts(conn: &mut Conn, subscription: &Subscription) -> Result<Vec<SeatFact>, Error> {
    let changes = store::seat_changes_of(conn, subscription.organization_id, &[subscription.id]).await?;
    changes.iter().map(SeatChange::fact).collect()
}

/// Appends the change to the facts, behind all that are recorded.
fn next_fact(
    subscription: &Subscription,
    facts: &mut Vec<SeatFact>,
    input: &NewSeatChange,
) -> Result<SeatFact, Refusal> {
    rules::check_inside(subscription.starts_on, subscription.ends_on, input.effective_on)?;
    let last = facts.iter().map(|fact| fact.sequence).max().unwrap_or_default();
    let sequence = last.checked_add(1).ok_or(Refusal::AmountOverflow)?;
    let fact = SeatFact { effective_on: input.effective_on, sequence, seats: input.seats };
    facts.push(fact);
    Ok(fact)
}

fn new_change(subscription: &Subscription, external_id: String, fact: SeatFact, now: Timestamp) -> SeatChange {
    let (quantity, delta) = match fact.seats {
        Seats::Quantity(quantity) => (Some(quantity), None),
        Seats::Delta(delta) => (None, Some(delta)),
    };
    SeatChange {
        organization_id: subscription.organization_id,
        id: SeatChangeId::new(),
        external_id,
        subscription_id: subscription.id,
        sequence: fact.sequence,
        effective_on: fact.effective_on,
        quantity,
        delta,
        created_at: now,
    }
}

async fn append(conn: &mut Conn, change: SeatChange) -> Result<SeatChange, Error> {
    if !store::insert_seat_change(conn, &change).await? {
        return Err(Refusal::ExternalIdTaken { what: "seat change", external_id: change.external_id }.into());
    }
    Ok(change)
}

/// External id of the seat change that a subscription begins with.
fn start_id(subscription: &str) -> String {
    format!("{subscription}/start")
}
