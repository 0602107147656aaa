//! How the demonstration's customers come to be credited: by code, link, lead, claim link or by hand.

use billing::attribution::claims::{self, NewClaim};
use billing::attribution::leads::{self, NewLead};
use billing::attribution::links::{self, NewLink};
use billing::attribution::registration::{self, ByHand, Registration};
use billing::attribution::touches::{self, Clues, NewTouch};
use billing::attribution::{self, ClaimKind, ReferralCode};
use billing::customers::{self, Customer};
use billing::programs::terms::TouchSource;
use billing_primitives::PartnerId;

use super::affiliate::Stage;
use super::cast::{BUYERS, Buyer, Way};
use crate::cli::Failure;

/// The page that a partner's link leads to.
const PAGE: &str = "https://soelvranke.example/prov";

/// Whoever comes in a month comes, and whoever is credited by hand in it is.
///
/// # Errors
/// Faults; refusals only when somebody changed what the story needs.
pub async fn arrive(stage: &Stage<'_>, month: usize) -> Result<(), Failure> {
    for buyer in &BUYERS {
        if buyer.from == month {
            come(stage, buyer).await?;
        }
        if buyer.way == (Way::ByHand { in_month: month }) {
            credit(stage, buyer).await?;
        }
    }
    Ok(())
}

async fn come(stage: &Stage<'_>, buyer: &Buyer) -> Result<(), Failure> {
    let Stage { billing, organization, caller, .. } = stage;
    let known = customers::by_external_id(billing, organization.id, buyer.external_id).await?;
    if known.as_ref().is_some_and(|customer| customer.stripe_customer_id.is_some()) {
        return Ok(());
    }
    let partner = stage.partner(buyer.partner).await?;
    let mut registration = registration(buyer);
    match buyer.way {
        Way::Code => registration.code = Some(code(stage, partner).await?.code),
        Way::Link => registration.visitors = vec![follow(stage, partner).await?],
        Way::Lead => {
            let new = NewLead {
                code: code(stage, partner).await?.code,
                name: buyer.name.to_owned(),
                email: buyer.email.to_owned(),
                company: None,
                message: None,
                visitor: None,
                clues: Clues::default(),
            };
            leads::submit(billing, organization.id, &new).await?;
        }
        Way::Claim if known.is_none() => claim(stage, buyer, partner).await?,
        Way::Claim | Way::ByHand { .. } => {}
    }
    // Of a customer that a claim link made, this fills in what Stripe calls it.
    registration::register(billing, caller, &registration).await?;
    Ok(())
}

fn registration(buyer: &Buyer) -> Registration {
    Registration {
        external_id: buyer.external_id.to_owned(),
        name: buyer.name.to_owned(),
        email: Some(buyer.email.to_owned()),
        country: Some("DK".to_owned()),
        stripe_customer_id: Some(buyer.stripe_id()),
        visitors: Vec::new(),
        code: None,
        registered_at: None,
        clues: Clues::default(),
    }
}

/// The code that the partner was made with.
async fn code(stage: &Stage<'_>, partner: PartnerId) -> Result<ReferralCode, Failure> {
    let all = attribution::codes_of_partners(&stage.billing, stage.organization.id, &[partner]).await?;
    let found = all.into_iter().find(|code| code.is_default);
    found.ok_or_else(|| Failure::fault("the partner has no code"))
}

/// Makes the partner's link and follows it; what the visitor carries from then on.
async fn follow(stage: &Stage<'_>, partner: PartnerId) -> Result<String, Failure> {
    let Stage { billing, organization, caller, .. } = stage;
    let code = code(stage, partner).await?;
    if attribution::links_of_codes(billing, organization.id, &[code.id]).await?.is_empty() {
        let new = NewLink { code: code.id, name: "Nyhedsbrev".to_owned(), destination: PAGE.to_owned() };
        links::create(billing, caller, &new).await?;
    }
    let new = NewTouch {
        code: code.code,
        source: TouchSource::Link,
        visitor: None,
        customer: None,
        occurred_at: None,
        clues: Clues { url: Some(PAGE.to_owned()), ..Clues::default() },
    };
    let touch = touches::record(billing, caller, &new).await?.into_inner();
    let visitor = touch.visitor.ok_or_else(|| Failure::fault("a touch without a visitor"))?;
    Ok(visitor.reveal().to_owned())
}

/// The partner prepares the customer, which uses the link.
async fn claim(stage: &Stage<'_>, buyer: &Buyer, partner: PartnerId) -> Result<(), Failure> {
    let Stage { billing, caller, .. } = stage;
    let new = NewClaim {
        partner,
        kind: ClaimKind::Affiliate,
        enrollment: None,
        customer_external_id: buyer.external_id.to_owned(),
        customer_name: buyer.name.to_owned(),
        email: Some(buyer.email.to_owned()),
        plan: None,
        seats: None,
        expires_in_days: None,
    };
    let made = claims::create(billing, caller, &new).await?.into_inner();
    let token = made.token.ok_or_else(|| Failure::fault("a claim link without a token"))?;
    claims::redeem(billing, caller, token.reveal(), buyer.email).await?;
    Ok(())
}

/// Credits a customer by hand, back to the day on which it registered.
async fn credit(stage: &Stage<'_>, buyer: &Buyer) -> Result<(), Failure> {
    let Stage { billing, organization, caller, .. } = stage;
    let customer = registered(stage, buyer).await?;
    if !attribution::attributions_of(billing, organization.id, &[customer.id]).await?.is_empty() {
        return Ok(());
    }
    let owners = customers::owners_of(billing, organization.id, &[customer.id]).await?;
    let from = owners.iter().map(|owner| owner.owned_from).min();
    let enrollment = stage.enrollment(stage.partner(buyer.partner).await?).await?;
    let input = ByHand {
        customer: customer.id,
        enrollment: enrollment.map(|enrollment| enrollment.id),
        from: from.ok_or_else(|| Failure::fault("the customer was never registered"))?,
        reason: "Anbefalet på messen; koden blev glemt".to_owned(),
    };
    registration::attribute(billing, caller, &input).await?;
    Ok(())
}

async fn registered(stage: &Stage<'_>, buyer: &Buyer) -> Result<Customer, Failure> {
    let found = customers::by_external_id(&stage.billing, stage.organization.id, buyer.external_id).await?;
    found.ok_or_else(|| Failure::Fault(format!("{} is missing", buyer.external_id)))
}
