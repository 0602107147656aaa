//! Registration: a visitor becomes a customer, its touches compete, and the result locks.
//!
//! Where nobody won, the competition stays open until the first paid invoice; afterwards, and wherever an attribution
//! stands, only an administrator decides, with a reason.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{AttributionId, CustomerId, Date, EnrollmentId, OrganizationId, ProgramId, Timestamp};
use serde_json::json;

use super::rules::{self, Competitor, Token, TokenKind, Winner};
use super::store::parties;
use super::store::touches::Candidate;
use super::touches::{self, Clues, Seen};
use super::{Attribution, SELF_REFERRAL, codes, store};
use crate::caller::Caller;
use crate::customers::{Customer, CustomerProfile, NewCustomer};
use crate::error::{Error, Refusal};
use crate::organizations::Organization;
use crate::organizations::rules::text;
use crate::programs::terms::{AttributionTerms, Terms, TouchSource};
use crate::{Applied, Billing, audit, commissions, customers, organizations};

/// Tokens of visitors that one registration may carry.
const MOST_VISITORS: usize = 10;

/// Somebody who registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub external_id: String,
    pub name: String,
    pub email: Option<String>,
    pub country: Option<String>,
    pub stripe_customer_id: Option<String>,
    /// Tokens that touches were answered with.
    pub visitors: Vec<String>,
    /// A code that was typed in; one that brings nothing is passed over.
    pub code: Option<String>,
    /// None: now. Of a customer that is known already it says nothing.
    pub registered_at: Option<Timestamp>,
    pub clues: Clues,
}

/// An attribution by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    pub customer: CustomerId,
    /// None: nobody's from then on.
    pub enrollment: Option<EnrollmentId>,
    /// Invoices paid from this day on count; it may lie in the past.
    pub from: Date,
    pub reason: String,
}

/// When a competition is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// At the registration: what the customer may have paid meanwhile makes no difference.
    Registration,
    /// Later, while nothing is paid.
    Open,
}

/// Registers a customer, sold to directly. Of one that is known by its external id, what is missing is filled in, and
/// its competition goes on if it is open.
///
/// # Errors
/// [`Refusal::Invalid`] (also another id at Stripe than it has), [`Refusal::StripeCustomerTaken`].
pub async fn register(billing: &Billing, caller: &Caller, input: &Registration) -> Result<Applied<Customer>, Error> {
    let work = async |conn: &mut Conn| put(conn, billing, caller, input).await;
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`register`], from the seller's own site, where nobody proves who it is: a customer that is known is only reached
/// by its own e-mail address, nothing of it is filled in, and the answer is the same.
///
/// # Errors
/// [`Refusal::Invalid`].
pub async fn register_visitor(
    billing: &Billing,
    organization: OrganizationId,
    input: &Registration,
) -> Result<(), Error> {
    let caller = Caller::visitor(organization);
    // What Stripe bills belongs to whom the seller's own program says, and so does the past.
    let input = Registration { stripe_customer_id: None, registered_at: None, ..input.clone() };
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        // Checked for known ones, too: the answer is the same.
        let new = new_customer(&input, now.date_in(&organizations::current(conn, organization).await?.time_zone));
        customers::rules::customer(organization, CustomerId::new(), &new, now)?;
        let known = customers::store::by_external_id(conn, organization, &input.external_id).await?;
        if known.as_ref().is_none_or(|known| is_own(known, &input)) {
            put(conn, billing, &caller, &input).await?;
        }
        Ok(())
    };
    billing.db.scoped(organization, work).await
}

/// Whether somebody who registers gives the customer's own address.
fn is_own(known: &Customer, input: &Registration) -> bool {
    match (&known.email, &input.email) {
        (Some(known), Some(given)) => rules::same_address(known, given),
        _ => false,
    }
}

async fn put(conn: &mut Conn, billing: &Billing, caller: &Caller, input: &Registration) -> Result<Customer, Error> {
    let now = billing.clock.now(conn).await?;
    let registered_at = input.registered_at.unwrap_or(now);
    if registered_at > now {
        return Err(Refusal::invalid("registeredAt", "lies in the future").into());
    }
    if input.visitors.len() > MOST_VISITORS {
        return Err(Refusal::invalid("visitors", format!("at most {MOST_VISITORS}")).into());
    }
    let organization = organizations::current(conn, caller.organization).await?;
    let known = customers::store::by_external_id(conn, organization.id, &input.external_id).await?;
    let (customer, at, stage) = match known {
        None => {
            let new = new_customer(input, registered_at.date_in(&organization.time_zone));
            (customers::add(conn, billing, caller, &new).await?, registered_at, Stage::Registration)
        }
        Some(known) => (fill_in(conn, billing, caller, &known, input).await?, now, Stage::Open),
    };
    gather(conn, &organization, &customer, input, at, now).await?;
    settle(conn, billing, caller, &organization, &customer, at, stage).await?;
    Ok(customer)
}

fn new_customer(input: &Registration, owned_from: Date) -> NewCustomer {
    NewCustomer {
        external_id: input.external_id.clone(),
        name: input.name.clone(),
        country: input.country.clone(),
        email: input.email.clone(),
        stripe_customer_id: input.stripe_customer_id.clone(),
        owner: None,
        owned_from,
    }
}

/// Locks a customer that is known and fills in what it does not have; what it has stays. Another id at Stripe is
/// refused: whoever gives it expects that what is paid under it counts.
async fn fill_in(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    known: &Customer,
    input: &Registration,
) -> Result<Customer, Error> {
    let locked = customers::store::lock(conn, caller.organization, known.id).await?;
    let locked = locked.ok_or_else(|| Refusal::not_found("externalId", "customer", known.id))?;
    if let (Some(has), Some(given)) = (&locked.stripe_customer_id, &input.stripe_customer_id)
        && has != given
    {
        return Err(Refusal::invalid("stripeCustomerId", "the customer has another one already").into());
    }
    let profile = CustomerProfile {
        name: locked.name.clone(),
        country: locked.country.clone().or_else(|| input.country.clone()),
        email: locked.email.clone().or_else(|| input.email.clone()),
        stripe_customer_id: locked.stripe_customer_id.clone().or_else(|| input.stripe_customer_id.clone()),
    };
    Ok(customers::change(conn, billing, caller, locked.id, &profile).await?.0)
}

/// Collects what brought the customer: the code it typed, its visits, its leads.
async fn gather(
    conn: &mut Conn,
    organization: &Organization,
    customer: &Customer,
    input: &Registration,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(code) = &input.code {
        let day = at.date_in(&organization.time_zone);
        let typed = codes::resolve(conn, organization.id, code, day).await?;
        let before = store::touches::of(conn, organization.id, &[customer.id]).await?;
        let is_new =
            |code| !before.iter().any(|touch| touch.source == TouchSource::Code && touch.referral_code_id == code);
        if let Some(standing) = typed.filter(|standing| is_new(standing.referral_code_id)) {
            let seen = Seen { source: TouchSource::Code, occurred_at: at, visitor_hash: None, clues: &input.clues };
            touches::write(conn, organization, &standing, seen, Some(customer.id), now).await?;
        }
    }
    let tokens = input.visitors.iter().filter_map(|given| Token::parse(TokenKind::Visitor, given));
    let hashes: Vec<String> = tokens.map(|token| token.hash()).collect();
    if !hashes.is_empty() {
        store::touches::bind_visitors(conn, organization.id, &hashes, customer.id, now).await?;
    }
    if let Some(email) = &customer.email {
        let brought = store::leads::convert(conn, organization.id, email, customer.id).await?;
        store::touches::bind(conn, organization.id, &brought, customer.id).await?;
    }
    Ok(())
}

/// Lets the touches of a locked customer compete if its competition is open, and writes the result.
pub(crate) async fn settle(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    organization: &Organization,
    customer: &Customer,
    at: Timestamp,
    stage: Stage,
) -> Result<Option<Attribution>, Error> {
    if store::attributions::is_attributed(conn, organization.id, customer.id).await? {
        return Ok(None);
    }
    if stage == Stage::Open && store::attributions::has_paid(conn, organization.id, customer.id).await? {
        return Ok(None);
    }
    let day = at.date_in(&organization.time_zone);
    let candidates = store::touches::candidates(conn, organization.id, customer.id, day).await?;
    let terms = terms_of(conn, organization.id, &candidates, day).await?;
    let field: Vec<Competitor<'_>> = candidates
        .iter()
        .filter_map(|candidate| Some(competitor(candidate, terms.get(&candidate.program_id)?, customer)))
        .collect();
    let outcome = rules::compete(&field, at);
    if !outcome.blocked.is_empty() {
        store::touches::mark_own(conn, organization.id, &outcome.blocked).await?;
    }
    let Some(winner) = outcome.winner else { return Ok(None) };
    let since = since(conn, organization, customer, &winner).await?;
    let flags = if winner.own { vec![SELF_REFERRAL.to_owned()] } else { Vec::new() };
    let row = Attribution {
        touch_id: Some(winner.touch),
        source: winner.source,
        flags,
        ..blank(caller, customer.id, Some(winner.enrollment), since, billing.clock.now(conn).await?)
    };
    append(conn, billing, caller, row, "attribution.lock").await.map(Some)
}

/// The terms of attribution of each programme that has touches; without a version in force nobody competes for it.
async fn terms_of(
    conn: &mut Conn,
    organization: OrganizationId,
    candidates: &[Candidate],
    day: Date,
) -> Result<HashMap<ProgramId, AttributionTerms>, Error> {
    let programs: Vec<ProgramId> = candidates.iter().map(|candidate| candidate.program_id).collect();
    let stored = parties::terms_on(conn, organization, &programs, day).await?;
    let read = |row: parties::StoredTerms| {
        let terms: Terms = serde_json::from_value(row.terms)
            .map_err(|error| Error::Corrupt(format!("terms of {}: {error}", row.program_id)))?;
        Ok((row.program_id, terms.attribution))
    };
    stored.into_iter().map(read).collect()
}

fn competitor<'a>(candidate: &Candidate, terms: &'a AttributionTerms, customer: &Customer) -> Competitor<'a> {
    let own = customer.email.as_deref().is_some_and(|email| rules::same_house(email, &candidate.partner_email));
    Competitor {
        touch: candidate.id,
        enrollment: candidate.enrollment_id,
        source: candidate.source,
        occurred_at: candidate.occurred_at,
        terms,
        own,
    }
}

/// The day from which a touch credits: that of the registration, or its own if it came later.
async fn since(
    conn: &mut Conn,
    organization: &Organization,
    customer: &Customer,
    winner: &Winner,
) -> Result<Date, Error> {
    let touched = winner.occurred_at.date_in(&organization.time_zone);
    let owners = customers::store::owners_of(conn, organization.id, &[customer.id]).await?;
    let registered = owners.iter().map(|owner| owner.owned_from).min();
    Ok(registered.map_or(touched, |registered| registered.max(touched)))
}

/// Credits a customer to an enrollment, or to nobody, from a day on; also the first time. Only commissions that no
/// statement has shown move.
///
/// # Errors
/// [`Refusal::NotFound`] (customer, enrollment), [`Refusal::Invalid`] (no reason), [`Refusal::EnrollmentEnded`] when the
/// enrollment does not run on that day.
pub async fn attribute(billing: &Billing, caller: &Caller, input: &ByHand) -> Result<Applied<Attribution>, Error> {
    let work = async |conn: &mut Conn| {
        let reason = text("reason", &input.reason)?;
        let locked = customers::store::lock(conn, caller.organization, input.customer).await?;
        locked.ok_or_else(|| Refusal::not_found("customer", "customer", input.customer))?;
        if let Some(enrollment) = input.enrollment {
            let days = parties::days_of(conn, caller.organization, enrollment).await?;
            let days = days.ok_or_else(|| Refusal::not_found("enrollment", "enrollment", enrollment))?;
            if !days.contain(input.from) {
                return Err(Refusal::EnrollmentEnded { partner: days.partner, day: input.from }.into());
            }
        }
        let now = billing.clock.now(conn).await?;
        let row =
            Attribution { reason: Some(reason), ..blank(caller, input.customer, input.enrollment, input.from, now) };
        append(conn, billing, caller, row, "attribution.set").await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// An attribution by hand, without a reason yet.
pub(crate) fn blank(
    caller: &Caller,
    customer: CustomerId,
    enrollment: Option<EnrollmentId>,
    from: Date,
    now: Timestamp,
) -> Attribution {
    Attribution {
        organization_id: caller.organization,
        id: AttributionId::new(),
        // The database counts.
        sequence: 0,
        customer_id: customer,
        enrollment_id: enrollment,
        effective_from: from,
        source: TouchSource::Manual,
        touch_id: None,
        reason: None,
        flags: Vec::new(),
        actor: caller.actor.to_string(),
        created_at: now,
    }
}

/// Appends an attribution of a locked customer and has its commissions derived again.
pub(crate) async fn append(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    row: Attribution,
    action: &str,
) -> Result<Attribution, Error> {
    let row = store::attributions::insert(conn, &row).await?;
    audit::record(conn, caller, row.created_at, action, row.customer_id, json!(row)).await?;
    commissions::customers_changed(conn, billing, caller, &[row.customer_id], action).await?;
    Ok(row)
}
