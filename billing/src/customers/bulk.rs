//! Many customers in one call, each by the rules of one, in a few statements for all of them.

use std::collections::{BTreeMap, HashMap};

use billing_db::Conn;
use billing_primitives::{CustomerId, PartnerId, Timestamp};

use super::{Customer, CustomerProfile, NewCustomer, Ownership, change, details, rules, store};
use crate::bulk::{Puts, all_new, by, distinct, group, or_refused};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::partners::{self, Partner};
use crate::put::Put;
use crate::{Billing, audit};

/// Makes customers, or updates their names and countries; who owned them first, and since when, is history. An e-mail
/// or an id at Stripe that an input does not have stays. No two inputs may have one external id.
///
/// # Errors
/// Faults of the database. Inputs are refused as by [`super::create`], and with [`Refusal::DiffersFromRecorded`].
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    inputs: &[NewCustomer],
) -> Result<Puts<CustomerId>, Error> {
    let organization = caller.organization;
    let names: Vec<&str> = inputs.iter().map(|input| input.external_id.as_str()).collect();
    let known = store::by_external_ids(conn, organization, &names).await?;
    let ids: Vec<CustomerId> = known.iter().map(|customer| customer.id).collect();
    let owners = group(store::owners_of(conn, organization, &ids).await?, |owner| owner.customer_id);
    let known = by(known, |customer| customer.external_id.clone());

    let mut puts = BTreeMap::new();
    let mut new = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        match known.get(&input.external_id) {
            Some(known) => {
                let first = owners.get(&known.id).and_then(|owners| owners.first());
                puts.insert(index, or_refused(put_profile(conn, billing, caller, known, first, input).await)?);
            }
            None => new.push((index, input)),
        }
    }
    let now = billing.clock.now(conn).await?;
    // The locks keep the partners' status as it is until the ownerships stand: see `partners::set_status`.
    let partners = distinct(new.iter().filter_map(|(_, input)| input.owner));
    let partners = by(partners::store::lock_all(conn, organization, &partners).await?, |partner| partner.id);
    let mut made = Vec::with_capacity(new.len());
    for (index, input) in new {
        let admitted = admit(caller, &partners, input, now);
        puts.insert(
            index,
            admitted.map(|row| {
                let id = row.0.id;
                made.push(row);
                Put::Made(id)
            }),
        );
    }
    write(conn, caller, made, now).await?;
    Ok(puts.into_values().collect())
}

async fn put_profile(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    known: &Customer,
    first: Option<&Ownership>,
    input: &NewCustomer,
) -> Result<Put<CustomerId>, Error> {
    rules::same_beginning(known, first, input)?;
    let profile = CustomerProfile {
        name: input.name.clone(),
        country: input.country.clone(),
        email: input.email.clone().or_else(|| known.email.clone()),
        stripe_customer_id: input.stripe_customer_id.clone().or_else(|| known.stripe_customer_id.clone()),
    };
    if rules::changed(known, &profile)? == *known {
        return Ok(Put::Unchanged(known.id));
    }
    let (customer, changed) = change(conn, billing, caller, known.id, &profile).await?;
    Ok(if changed { Put::Changed(customer.id) } else { Put::Unchanged(customer.id) })
}

fn admit(
    caller: &Caller,
    partners: &HashMap<PartnerId, Partner>,
    input: &NewCustomer,
    now: Timestamp,
) -> Result<(Customer, Ownership), Refusal> {
    let customer = rules::customer(caller.organization, CustomerId::new(), input, now)?;
    if let Some(owner) = input.owner {
        rules::may_own(partners.get(&owner).ok_or_else(|| Refusal::not_found("owner", "partner", owner))?)?;
    }
    let ownership = Ownership { customer_id: customer.id, owned_from: input.owned_from, partner_id: input.owner };
    Ok((customer, ownership))
}

async fn write(
    conn: &mut Conn,
    caller: &Caller,
    made: Vec<(Customer, Ownership)>,
    now: Timestamp,
) -> Result<(), Error> {
    if made.is_empty() {
        return Ok(());
    }
    let audited = made.iter().map(|(customer, owner)| (customer.id.to_string(), details(customer, owner))).collect();
    let (customers, owners): (Vec<Customer>, Vec<Ownership>) = made.into_iter().unzip();
    all_new(customers.len(), store::insert_all(conn, &customers).await?)?;
    store::insert_owners(conn, caller.organization, &owners, now).await?;
    Ok(audit::record_all(conn, caller, now, "customer.create", audited).await?)
}
