//! Claim links: a partner prepares a customer and passes it on with a link that works once.
//!
//! Whatever is wrong with a token is one refusal: who tries tokens learns nothing. A link that was used is used up even
//! when two use it at once, for its row is locked before it is looked at.

use billing_db::Conn;
use billing_primitives::{ClaimLinkId, Date, EnrollmentId, OrganizationId, PartnerId, PlanId, Timestamp};
use serde_json::json;

use super::registration::{append, blank};
use super::rules::{self, Token, TokenKind};
use super::store::parties;
use super::touches::{self, Clues, Seen};
use super::{Attribution, ClaimKind, ClaimLink, SELF_REFERRAL, store};
use crate::caller::Caller;
use crate::catalog::{self, Pricing};
use crate::customers::{self, Customer, NewCustomer};
use crate::error::{Error, Refusal};
use crate::organizations::rules::{email, external_id, text};
use crate::organizations::{self, Organization};
use crate::partners::{self, PartnerStatus};
use crate::programs::terms::{SelfReferral, Terms, TouchSource};
use crate::subscriptions::{self, NewSubscription};
use crate::{Applied, Billing, audit};

const DAY_SECONDS: i64 = 86_400;
/// How long a link opens something unless said, in days.
const USUAL_DAYS: i64 = 30;

/// A link to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClaim {
    pub partner: PartnerId,
    pub kind: ClaimKind,
    /// Of an affiliate's link; none: the partner's in the default programme.
    pub enrollment: Option<EnrollmentId>,
    pub customer_external_id: String,
    pub customer_name: String,
    /// Whoever else uses the link is turned away; none: whoever has it may.
    pub email: Option<String>,
    /// What a reseller's customer is subscribed to; none: nothing yet.
    pub plan: Option<PlanId>,
    /// Seats of a per-seat plan; none: 1.
    pub seats: Option<i64>,
    /// 1 to 365; none: 30.
    pub expires_in_days: Option<i64>,
}

/// A link that was just made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CreatedClaim {
    pub link: ClaimLink,
    /// None when the call was answered from an earlier one: it was shown then.
    #[serde(skip)]
    pub token: Option<Token>,
}

/// Makes a claim link; its token is in the answer and nowhere else.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (partner, enrollment, plan), [`Refusal::PartnerNotActive`]; a customer
/// that the link could never bring is [`Refusal::Invalid`], too.
pub async fn create(billing: &Billing, caller: &Caller, input: &NewClaim) -> Result<Applied<CreatedClaim>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = organizations::current(conn, caller.organization).await?;
        let partner = partners::lock(conn, organization.id, input.partner).await?;
        if partner.status != PartnerStatus::Active {
            return Err(Refusal::PartnerNotActive { partner: partner.external_id }.into());
        }
        let now = billing.clock.now(conn).await?;
        check_plan(conn, &organization, input).await?;
        let enrollment = enrollment(conn, &organization, input, now).await?;
        let link = link(&organization, input, enrollment, now)?;
        check_customer(conn, &link, now.date_in(&organization.time_zone)).await?;
        let token = Token::from_random(TokenKind::Claim, rand::random());
        store::claims::insert(conn, &link, &token.hash()).await?;
        audit::record(conn, caller, now, "claim_link.create", link.id, json!(link)).await?;
        Ok::<_, Error>(CreatedClaim { link, token: Some(token) })
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

async fn enrollment(
    conn: &mut Conn,
    organization: &Organization,
    input: &NewClaim,
    now: Timestamp,
) -> Result<Option<EnrollmentId>, Error> {
    match (input.kind, input.enrollment) {
        (ClaimKind::Wholesale, None) => Ok(None),
        (ClaimKind::Wholesale, Some(_)) => {
            Err(Refusal::invalid("enrollment", "a reseller's customer is credited to nobody").into())
        }
        (ClaimKind::Affiliate, given) => {
            let day = now.date_in(&organization.time_zone);
            let standing = parties::of_partner(conn, organization.id, input.partner, given, day).await?;
            let missing = || match given {
                Some(id) => Refusal::not_found("enrollment", "enrollment", id),
                None => Refusal::invalid("enrollment", "the partner is not enrolled in the default programme"),
            };
            Ok(Some(standing.ok_or_else(missing)?.enrollment_id))
        }
    }
}

async fn check_plan(conn: &mut Conn, organization: &Organization, input: &NewClaim) -> Result<(), Error> {
    let Some(plan) = input.plan else { return Ok(()) };
    if catalog::store::plans_by_ids(conn, organization.id, &[plan]).await?.is_empty() {
        return Err(Refusal::not_found("plan", "plan", plan).into());
    }
    match input.kind {
        ClaimKind::Wholesale => Ok(()),
        ClaimKind::Affiliate => Err(Refusal::invalid("plan", "Stripe sells to an affiliate's customer").into()),
    }
}

fn link(
    organization: &Organization,
    input: &NewClaim,
    enrollment: Option<EnrollmentId>,
    now: Timestamp,
) -> Result<ClaimLink, Refusal> {
    let days = input.expires_in_days.unwrap_or(USUAL_DAYS);
    if !(1..=365).contains(&days) {
        return Err(Refusal::invalid("expiresInDays", "1 to 365 days"));
    }
    let seats = input.seats.unwrap_or(1);
    if !(1..=1_000_000_000).contains(&seats) {
        return Err(Refusal::invalid("seats", "1 to 1000000000 seats"));
    }
    Ok(ClaimLink {
        organization_id: organization.id,
        id: ClaimLinkId::new(),
        partner_id: input.partner,
        enrollment_id: enrollment,
        kind: input.kind,
        customer_external_id: external_id(&input.customer_external_id).map_err(|error| match error {
            Refusal::Invalid { reason, .. } => Refusal::Invalid { field: "customerExternalId", reason },
            other => other,
        })?,
        customer_name: text("customerName", &input.customer_name)?,
        email: input.email.as_deref().map(email).transpose()?,
        plan_id: input.plan,
        seats,
        expires_at: now.plus_seconds(days * DAY_SECONDS),
        used_at: None,
        revoked_at: None,
        customer_id: None,
        created_at: now,
    })
}

/// Turns away a link that nobody could use as things stand: who prepares it can name another customer, who opens it
/// learns nothing.
async fn check_customer(conn: &mut Conn, link: &ClaimLink, today: Date) -> Result<(), Error> {
    let known = customers::store::by_external_id(conn, link.organization_id, &link.customer_external_id).await?;
    let Some(known) = known else { return Ok(()) };
    let reason = match link.kind {
        ClaimKind::Wholesale => "there is a customer of that external id already",
        ClaimKind::Affiliate => {
            if is_free(conn, &known, today).await? {
                return Ok(());
            }
            "the customer is a reseller's, or is credited already"
        }
    };
    Err(Refusal::invalid("customerExternalId", reason).into())
}

/// Whether the customer is sold to directly and credited to nobody.
async fn is_free(conn: &mut Conn, customer: &Customer, today: Date) -> Result<bool, Error> {
    let organization = customer.organization_id;
    let owners = customers::store::owners_of(conn, organization, &[customer.id]).await?;
    let direct = customers::rules::owner_on(&owners, today).is_some_and(|owner| owner.partner_id.is_none());
    Ok(direct && !store::attributions::is_attributed(conn, organization, customer.id).await?)
}

/// Ends a link that nobody has used.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::ClaimLinkUsed`].
pub async fn revoke(billing: &Billing, caller: &Caller, id: ClaimLinkId) -> Result<Applied<ClaimLink>, Error> {
    let work = async |conn: &mut Conn| {
        let before = store::claims::lock(conn, caller.organization, id).await?;
        let before = before.ok_or_else(|| Refusal::not_found("claimLink", "claim link", id))?;
        if before.used_at.is_some() {
            return Err(Refusal::ClaimLinkUsed.into());
        }
        if before.revoked_at.is_some() {
            return Ok(before);
        }
        let now = billing.clock.now(conn).await?;
        let after = ClaimLink { revoked_at: Some(now), ..before };
        store::claims::end(conn, &after).await?;
        audit::record(conn, caller, now, "claim_link.revoke", id, json!({})).await?;
        Ok::<_, Error>(after)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Uses a link: its customer is made, and is the partner's from today on, or credited to it.
///
/// # Errors
/// [`Refusal::ClaimLinkInvalid`], whatever is wrong.
pub async fn redeem(billing: &Billing, caller: &Caller, token: &str, by: &str) -> Result<Applied<Customer>, Error> {
    let work = async |conn: &mut Conn| use_up(conn, billing, caller, token, by).await;
    let done = billing.db.write(caller.organization, caller.key.as_ref(), work).await;
    // What does not fit any more, such as a plan without seats or a name taken since, is the same answer.
    done.map_err(|error| match error {
        Error::Refused(_) => Refusal::ClaimLinkInvalid.into(),
        fault => fault,
    })
}

/// As [`redeem`], for whoever visits the seller's site.
///
/// # Errors
/// As [`redeem`].
pub async fn redeem_visitor(
    billing: &Billing,
    organization: OrganizationId,
    token: &str,
    by: &str,
) -> Result<Customer, Error> {
    redeem(billing, &Caller::visitor(organization), token, by).await.map(Applied::into_inner)
}

async fn use_up(conn: &mut Conn, billing: &Billing, caller: &Caller, token: &str, by: &str) -> Result<Customer, Error> {
    let by = email(by)?;
    let token = Token::parse(TokenKind::Claim, token).ok_or(Refusal::ClaimLinkInvalid)?;
    let now = billing.clock.now(conn).await?;
    let link = store::claims::lock_by_hash(conn, caller.organization, &token.hash()).await?;
    let link = link.filter(|link| opens(link, &by, now)).ok_or(Refusal::ClaimLinkInvalid)?;
    let organization = organizations::current(conn, caller.organization).await?;
    let customer = match link.kind {
        ClaimKind::Wholesale => resell(conn, billing, caller, &organization, &link, by, now).await?,
        ClaimKind::Affiliate => refer(conn, billing, caller, &organization, &link, by, now).await?,
    };
    let used = ClaimLink { used_at: Some(now), customer_id: Some(customer.id), ..link };
    store::claims::end(conn, &used).await?;
    audit::record(conn, caller, now, "claim_link.redeem", used.id, json!({ "customer": customer.id })).await?;
    Ok(customer)
}

fn opens(link: &ClaimLink, by: &str, now: Timestamp) -> bool {
    let whose = link.email.as_deref().is_none_or(|email| rules::same_address(email, by));
    whose && link.used_at.is_none() && link.revoked_at.is_none() && now < link.expires_at
}

/// The customer becomes the partner's, with its subscription.
async fn resell(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    organization: &Organization,
    link: &ClaimLink,
    by: String,
    now: Timestamp,
) -> Result<Customer, Error> {
    let today = now.date_in(&organization.time_zone);
    let new = NewCustomer { owner: Some(link.partner_id), owned_from: today, ..prepared(link, by, today) };
    let customer = customers::add(conn, billing, caller, &new).await?;
    if let Some(plan) = link.plan_id {
        let sold = catalog::store::plans_by_ids(conn, organization.id, &[plan]).await?.pop();
        let sold = sold.ok_or_else(|| Refusal::not_found("plan", "plan", plan))?;
        let subscription = NewSubscription {
            external_id: link.id.to_string(),
            customer: customer.id,
            plan,
            starts_on: today,
            ends_on: None,
            seats: (sold.pricing == Pricing::PerSeat).then_some(link.seats),
        };
        subscriptions::add(conn, billing, caller, &subscription).await?;
    }
    Ok(customer)
}

fn prepared(link: &ClaimLink, by: String, owned_from: Date) -> NewCustomer {
    NewCustomer {
        external_id: link.customer_external_id.clone(),
        name: link.customer_name.clone(),
        country: None,
        email: Some(by),
        stripe_customer_id: None,
        owner: None,
        owned_from,
    }
}

/// The customer is sold to directly and credited to the partner; one that is direct already may be, too, as long as
/// it is nobody's.
async fn refer(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    organization: &Organization,
    link: &ClaimLink,
    by: String,
    now: Timestamp,
) -> Result<Customer, Error> {
    let today = now.date_in(&organization.time_zone);
    let partner = partners::lock(conn, organization.id, link.partner_id).await?;
    let standing = parties::of_partner(conn, organization.id, partner.id, link.enrollment_id, today).await?;
    let standing = standing.filter(|_| partner.status == PartnerStatus::Active).ok_or(Refusal::ClaimLinkInvalid)?;
    let terms = parties::terms_on(conn, organization.id, &[standing.program_id], today).await?.pop();
    let terms: Terms = serde_json::from_value(terms.ok_or(Refusal::ClaimLinkInvalid)?.terms)
        .map_err(|error| Error::Corrupt(format!("terms of {}: {error}", standing.program_id)))?;
    let own = rules::same_house(&by, &partner.email);
    if own && terms.attribution.self_referral == SelfReferral::Block {
        return Err(Refusal::ClaimLinkInvalid.into());
    }
    let customer = free(conn, billing, caller, link, by, today).await?;
    let clues = Clues::default();
    let seen = Seen { source: TouchSource::ClaimLink, occurred_at: now, visitor_hash: None, clues: &clues };
    let touch = touches::write(conn, organization, &standing, seen, Some(customer.id), now).await?;
    let row = Attribution {
        source: TouchSource::ClaimLink,
        touch_id: Some(touch.id),
        flags: if own { vec![SELF_REFERRAL.to_owned()] } else { Vec::new() },
        ..blank(caller, customer.id, link.enrollment_id, today, now)
    };
    append(conn, billing, caller, row, "attribution.claim").await?;
    Ok(customer)
}

/// The link's customer, locked: a new one, or one that is sold to directly and credited to nobody.
async fn free(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    link: &ClaimLink,
    by: String,
    today: Date,
) -> Result<Customer, Error> {
    let organization = caller.organization;
    let known = customers::store::by_external_id(conn, organization, &link.customer_external_id).await?;
    let Some(known) = known else {
        return customers::add(conn, billing, caller, &prepared(link, by, today)).await;
    };
    let locked = customers::store::lock(conn, organization, known.id).await?.ok_or(Refusal::ClaimLinkInvalid)?;
    if is_free(conn, &locked, today).await? { Ok(locked) } else { Err(Refusal::ClaimLinkInvalid.into()) }
}
