//! Many subscriptions or seat changes in one call, each by the rules of one, in a few statements for all of them.
//!
//! A fact that is recorded already stays as it is: the same again changes nothing, another one is refused. What is
//! refused leaves the others alone, and only what has passed every check is written.

use std::collections::{BTreeMap, HashMap};

use billing_db::Conn;
use billing_primitives::{CustomerId, OrganizationId, PlanId, SeatChangeId, SubscriptionId, Timestamp};
use serde_json::json;

use super::rules::{self, SeatFact};
use super::{NewSeatChange, NewSubscription, SeatChange, Subscription, start_id, store};
use crate::bulk::{Puts, all_new, by, distinct, group, or_refused};
use crate::caller::Caller;
use crate::catalog::{self, Plan};
use crate::customers::{self, Customer, Ownership};
use crate::error::{Error, Refusal};
use crate::invoicing::late;
use crate::organizations::rules::external_id;
use crate::put::Put;
use crate::{Billing, audit};

/// Makes subscriptions, or moves their ends; customer, plan, start and first seats are history. No two inputs may have
/// one external id.
///
/// # Errors
/// Faults of the database. Inputs are refused as by [`super::create`] and [`super::end`], and with
/// [`Refusal::DiffersFromRecorded`].
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    inputs: &[NewSubscription],
) -> Result<Puts<SubscriptionId>, Error> {
    let organization = caller.organization;
    let names: Vec<&str> = inputs.iter().map(|input| input.external_id.as_str()).collect();
    let starts: Vec<String> = names.iter().map(|name| start_id(name)).collect();
    let known = store::by_external_ids(conn, organization, &names).await?;
    let known = by(known, |subscription| subscription.external_id.clone());
    let starts = store::seat_changes_by_external_ids(conn, organization, &starts).await?;
    let starts = by(starts, |change| change.external_id.clone());

    let mut puts = BTreeMap::new();
    let mut new = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let start = starts.get(&start_id(&input.external_id));
        match known.get(&input.external_id) {
            Some(known) => {
                let end = put_end(conn, billing, caller, known, start, input).await;
                puts.insert(index, or_refused(end)?);
            }
            None => match start {
                Some(start) => {
                    puts.insert(index, Err(taken("seat change", &start.external_id)));
                }
                None => new.push((index, input)),
            },
        }
    }
    let now = billing.clock.now(conn).await?;
    let mut ground = Ground::load(conn, organization, &new).await?;
    let mut made = Vec::with_capacity(new.len());
    for (index, input) in new {
        let admitted = ground.admit(organization, input, now);
        puts.insert(
            index,
            admitted.map(|row: Made| {
                let id = row.subscription.id;
                made.push(row);
                Put::Made(id)
            }),
        );
    }
    write(conn, caller, made, now).await?;
    Ok(puts.into_values().collect())
}

async fn put_end(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    known: &Subscription,
    start: Option<&SeatChange>,
    input: &NewSubscription,
) -> Result<Put<SubscriptionId>, Error> {
    let seats = start.filter(|change| change.subscription_id == known.id).and_then(|change| change.quantity);
    for (same, field) in [
        (known.customer_id == input.customer, "customer"),
        (known.plan_id == input.plan, "plan"),
        (known.starts_on == input.starts_on, "startsOn"),
        (seats == input.seats, "seats"),
    ] {
        if !same {
            let external_id = known.external_id.clone();
            return Err(Refusal::DiffersFromRecorded { what: "subscription", external_id, field }.into());
        }
    }
    if known.ends_on == input.ends_on {
        return Ok(Put::Unchanged(known.id));
    }
    Ok(Put::Changed(super::move_end(conn, billing, caller, known.id, input.ends_on).await?.id))
}

/// What new subscriptions stand on, read under the locks.
struct Ground {
    plans: HashMap<PlanId, Plan>,
    customers: HashMap<CustomerId, Customer>,
    owners: HashMap<CustomerId, Vec<Ownership>>,
    /// With those that were admitted since.
    subscriptions: HashMap<(CustomerId, PlanId), Vec<Subscription>>,
}

/// A new subscription that has passed every check.
struct Made {
    subscription: Subscription,
    start: Option<SeatChange>,
}

impl Ground {
    async fn load(
        conn: &mut Conn,
        organization: OrganizationId,
        new: &[(usize, &NewSubscription)],
    ) -> Result<Ground, Error> {
        let plans = plans(conn, organization, new.iter().map(|(_, input)| input.plan)).await?;
        let facts = new.iter().map(|(_, input)| (input.customer, input.plan, input.starts_on));
        let customers = hold(conn, organization, facts).await?;
        let ids: Vec<CustomerId> = customers.keys().copied().collect();
        let owners = group(customers::store::owners_of(conn, organization, &ids).await?, |owner| owner.customer_id);
        let subscriptions = store::of_customers(conn, organization, &ids).await?;
        let subscriptions = group(subscriptions, |row| (row.customer_id, row.plan_id));
        Ok(Ground { plans, customers, owners, subscriptions })
    }

    fn admit(
        &mut self,
        organization: OrganizationId,
        input: &NewSubscription,
        now: Timestamp,
    ) -> Result<Made, Refusal> {
        let subscription = super::new_row(organization, input, now)?;
        let plan = self.plans.get(&input.plan).ok_or_else(|| Refusal::not_found("plan", "plan", input.plan))?;
        let seats = super::first_seats(plan, input.seats)?;
        let customer = self.customers.get(&input.customer);
        let customer = customer.ok_or_else(|| Refusal::not_found("customer", "customer", input.customer))?;
        let owners = self.owners.get(&customer.id).map(Vec::as_slice).unwrap_or_default();
        super::check_owner(owners, customer, input.starts_on)?;
        let others = self.subscriptions.entry((input.customer, input.plan)).or_default();
        super::check_others(others, &subscription)?;
        others.push(subscription.clone());
        let start = seats.map(|seats| {
            let fact = SeatFact { effective_on: subscription.starts_on, sequence: 1, seats };
            super::new_change(&subscription, start_id(&subscription.external_id), fact, now)
        });
        Ok(Made { subscription, start })
    }
}

async fn write(conn: &mut Conn, caller: &Caller, made: Vec<Made>, now: Timestamp) -> Result<(), Error> {
    if made.is_empty() {
        return Ok(());
    }
    let mut subscriptions = Vec::with_capacity(made.len());
    let mut starts = Vec::with_capacity(made.len());
    let mut audited = Vec::with_capacity(made.len());
    for Made { subscription, start } in made {
        let seats = start.as_ref().and_then(|start| start.quantity);
        audited.push((subscription.id.to_string(), json!({ "subscription": subscription, "seats": seats })));
        subscriptions.push(subscription);
        starts.extend(start);
    }
    all_new(subscriptions.len(), store::insert_all(conn, &subscriptions).await?)?;
    all_new(starts.len(), store::insert_seat_changes(conn, &starts).await?)?;
    Ok(audit::record_all(conn, caller, now, "subscription.create", audited).await?)
}

/// Records changes of seats in the order of the inputs, unless they are recorded. No two inputs may have one external
/// id.
///
/// # Errors
/// Faults of the database. Inputs are refused as by [`super::change_seats`], and with
/// [`Refusal::DiffersFromRecorded`].
pub(crate) async fn put_seats(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    inputs: &[NewSeatChange],
) -> Result<Puts<SeatChangeId>, Error> {
    let organization = caller.organization;
    let names: Vec<&str> = inputs.iter().map(|input| input.external_id.as_str()).collect();
    let known = store::seat_changes_by_external_ids(conn, organization, &names).await?;
    let known = by(known, |change| change.external_id.clone());
    let new: Vec<_> = inputs.iter().filter(|input| !known.contains_key(&input.external_id)).collect();
    let mut timelines = Timelines::load(conn, organization, &new).await?;
    let now = billing.clock.now(conn).await?;
    let mut puts = Vec::with_capacity(inputs.len());
    let mut made = Vec::new();
    for input in inputs {
        puts.push(match known.get(&input.external_id) {
            Some(known) => or_refused(same_change(known, input))?,
            None => timelines.append(input, now).map(|change| {
                let id = change.id;
                made.push(change);
                Put::Made(id)
            }),
        });
    }
    if !made.is_empty() {
        all_new(made.len(), store::insert_seat_changes(conn, &made).await?)?;
        let audited = made.iter().map(|change| (change.subscription_id.to_string(), json!(change))).collect();
        audit::record_all(conn, caller, now, "subscription.change_seats", audited).await?;
    }
    Ok(puts)
}

fn same_change(known: &SeatChange, input: &NewSeatChange) -> Result<Put<SeatChangeId>, Error> {
    for (same, field) in [
        (known.subscription_id == input.subscription, "subscription"),
        (known.effective_on == input.effective_on, "effectiveOn"),
        (known.seats()? == input.seats, "seats"),
    ] {
        if !same {
            let external_id = known.external_id.clone();
            return Err(Refusal::DiffersFromRecorded { what: "seat change", external_id, field }.into());
        }
    }
    Ok(Put::Unchanged(known.id))
}

/// The subscriptions that change and all they hold, read under the locks.
struct Timelines {
    plans: HashMap<PlanId, Plan>,
    subscriptions: HashMap<SubscriptionId, Subscription>,
    /// With those that were appended since.
    facts: HashMap<SubscriptionId, Vec<SeatFact>>,
}

impl Timelines {
    async fn load(conn: &mut Conn, organization: OrganizationId, new: &[&NewSeatChange]) -> Result<Timelines, Error> {
        let ids = distinct(new.iter().map(|input| input.subscription));
        let rows = by(store::by_ids(conn, organization, &ids).await?, |row| row.id);
        let plans = plans(conn, organization, rows.values().map(|row| row.plan_id)).await?;
        let touched = new.iter().filter_map(|input| rows.get(&input.subscription).map(|row| (row, input)));
        let touched = touched.map(|(row, input)| (row.customer_id, row.plan_id, input.effective_on));
        hold(conn, organization, touched).await?;
        // Read again: under the locks the ends stand still.
        let subscriptions = by(store::by_ids(conn, organization, &ids).await?, |row| row.id);
        let mut facts: HashMap<_, Vec<SeatFact>> = HashMap::with_capacity(ids.len());
        for change in store::seat_changes_of(conn, organization, &ids).await? {
            facts.entry(change.subscription_id).or_default().push(change.fact()?);
        }
        Ok(Timelines { plans, subscriptions, facts })
    }

    fn append(&mut self, input: &NewSeatChange, now: Timestamp) -> Result<SeatChange, Refusal> {
        let external_id = external_id(&input.external_id)?;
        rules::check_size(input.seats)?;
        let missing = || Refusal::not_found("subscription", "subscription", input.subscription);
        let subscription = self.subscriptions.get(&input.subscription).ok_or_else(missing)?;
        let plan = self.plans.get(&subscription.plan_id);
        super::check_seats(plan.ok_or_else(|| Refusal::not_found("plan", "plan", subscription.plan_id))?)?;
        let facts = self.facts.entry(subscription.id).or_default();
        let fact = super::next_fact(subscription, facts, input)?;
        let checked = rules::check_facts(facts, subscription.ends_on);
        if checked.is_err() {
            facts.pop();
        }
        checked?;
        Ok(super::new_change(subscription, external_id, fact, now))
    }
}

/// As [`super::hold`], for many facts at once: all marks and owners, then all customers.
async fn hold(
    conn: &mut Conn,
    organization: OrganizationId,
    facts: impl Iterator<Item = late::Fact>,
) -> Result<HashMap<CustomerId, Customer>, Error> {
    let facts: Vec<late::Fact> = facts.collect();
    late::mark(conn, organization, &facts).await?;
    let ids = distinct(facts.into_iter().map(|(customer, _, _)| customer));
    Ok(by(customers::store::lock_all(conn, organization, &ids).await?, |customer| customer.id))
}

async fn plans(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: impl Iterator<Item = PlanId>,
) -> Result<HashMap<PlanId, Plan>, Error> {
    Ok(by(catalog::store::plans_by_ids(conn, organization, &distinct(ids)).await?, |plan| plan.id))
}

fn taken(what: &'static str, external_id: &str) -> Refusal {
    Refusal::ExternalIdTaken { what, external_id: external_id.to_owned() }
}
