//! Touches: a partner was seen to bring somebody. They are evidence; what follows from them is decided at registration.
//!
//! Outside, a code that brings nothing is answered like one that does: with a token to carry on.

use billing_db::Conn;
use billing_primitives::{CustomerId, OrganizationId, Timestamp, TouchId};
use serde_json::{Map, Value, json};

use super::rules::{self, Token, TokenKind};
use super::store::parties::Standing;
use super::{Touch, codes, registration, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::Organization;
use crate::programs::terms::TouchSource;
use crate::{Applied, Billing, customers, organizations};

/// Touches that are kept of one visitor: whoever goes on clicking says nothing new.
const MOST_OF_A_VISITOR: i64 = 100;

/// Longest texts of the evidence, in characters.
const LONGEST_ADDRESS: usize = 2000;
const LONGEST_AGENT: usize = 500;

/// What was seen of a visitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// The page it came to.
    pub url: Option<String>,
    /// The page it came from.
    pub referrer: Option<String>,
    pub user_agent: Option<String>,
    /// Its address in the network; kept as a hash.
    pub address: Option<String>,
}

impl Clues {
    /// As they are stored.
    pub(crate) fn evidence(&self, organization: OrganizationId) -> Value {
        let cut = |text: &Option<String>, most| {
            text.as_ref().map(|text| text.chars().filter(|c| !c.is_control()).take(most).collect::<String>())
        };
        let told = [
            ("url", cut(&self.url, LONGEST_ADDRESS)),
            ("referrer", cut(&self.referrer, LONGEST_ADDRESS)),
            ("userAgent", cut(&self.user_agent, LONGEST_AGENT)),
            ("addressHash", self.address.as_ref().map(|address| rules::address_hash(organization, address))),
        ];
        let told = told.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?))));
        Value::Object(told.collect::<Map<String, Value>>())
    }
}

/// A touch to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTouch {
    pub code: String,
    pub source: TouchSource,
    /// The token that the visitor carries from an earlier touch.
    pub visitor: Option<String>,
    /// Whom it brought, if it is known already.
    pub customer: Option<CustomerId>,
    /// None: now.
    pub occurred_at: Option<Timestamp>,
    pub clues: Clues,
}

/// A touch that was recorded.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RecordedTouch {
    pub touch: Touch,
    /// What the visitor carries to its registration. None when the call was answered from an earlier one.
    #[serde(skip)]
    pub visitor: Option<Token>,
}

/// Sources of touches that are recorded by code; the others come about by what they are named after.
const BY_CODE: [TouchSource; 4] =
    [TouchSource::Link, TouchSource::LandingPage, TouchSource::Code, TouchSource::PromotionCode];

/// Records a touch.
///
/// # Errors
/// [`Refusal::NotFound`] (customer; a code that is unknown or brings nothing), [`Refusal::Invalid`] (a source that does
/// not come from codes, a time to come, a token that is none, a visitor with a hundred touches).
pub async fn record(billing: &Billing, caller: &Caller, input: &NewTouch) -> Result<Applied<RecordedTouch>, Error> {
    let work = async |conn: &mut Conn| {
        let visitor = match input.visitor.as_deref() {
            None => Token::from_random(TokenKind::Visitor, rand::random()),
            Some(given) => Token::parse(TokenKind::Visitor, given)
                .ok_or_else(|| Refusal::invalid("visitor", "a token that an earlier touch was answered with"))?,
        };
        let touch = add(conn, billing, caller, input, &visitor).await?;
        let touch = touch.ok_or_else(|| {
            Refusal::not_found("code", "referral code", input.code.chars().take(64).collect::<String>())
        })?;
        Ok(RecordedTouch { touch, visitor: Some(visitor) })
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`record`], for whoever visits the seller's site: the answer does not depend on the code.
///
/// # Errors
/// Faults of the database.
pub async fn note(
    billing: &Billing,
    organization: OrganizationId,
    code: &str,
    source: TouchSource,
    visitor: Option<&str>,
    clues: &Clues,
) -> Result<Token, Error> {
    let carried = visitor.and_then(|given| Token::parse(TokenKind::Visitor, given));
    let visitor = carried.unwrap_or_else(|| Token::from_random(TokenKind::Visitor, rand::random()));
    let source = if BY_CODE.contains(&source) { source } else { TouchSource::Link };
    let input = NewTouch {
        code: code.to_owned(),
        source,
        visitor: None,
        customer: None,
        occurred_at: None,
        clues: clues.clone(),
    };
    let caller = Caller::visitor(organization);
    billing.db.scoped(organization, async |conn| add(conn, billing, &caller, &input, &visitor).await).await?;
    Ok(visitor)
}

/// None when the code brings nothing, or the visitor has enough touches.
async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewTouch,
    visitor: &Token,
) -> Result<Option<Touch>, Error> {
    if !BY_CODE.contains(&input.source) {
        return Err(Refusal::invalid("source", "LINK, LANDING_PAGE, CODE or PROMOTION_CODE").into());
    }
    let now = billing.clock.now(conn).await?;
    let occurred_at = input.occurred_at.unwrap_or(now);
    if occurred_at > now {
        return Err(Refusal::invalid("occurredAt", "lies in the future").into());
    }
    let organization = organizations::current(conn, caller.organization).await?;
    let hash = visitor.hash();
    let known = store::touches::visitor(conn, organization.id, &hash).await?;
    let customer = match input.customer.or(known.customer_id) {
        None => None,
        Some(id) => {
            let locked = customers::store::lock(conn, organization.id, id).await?;
            Some(locked.ok_or_else(|| Refusal::not_found("customer", "customer", id))?)
        }
    };
    let day = occurred_at.date_in(&organization.time_zone);
    let Some(standing) = codes::resolve(conn, organization.id, &input.code, day).await? else { return Ok(None) };
    if known.touches >= MOST_OF_A_VISITOR {
        return Ok(None);
    }
    let seen = Seen { source: input.source, occurred_at, visitor_hash: Some(hash), clues: &input.clues };
    let touch = write(conn, &organization, &standing, seen, customer.as_ref().map(|customer| customer.id), now).await?;
    if let Some(customer) = &customer {
        registration::settle(conn, billing, caller, &organization, customer, now, registration::Stage::Open).await?;
    }
    Ok(Some(touch))
}

/// What a touch is besides whom it means.
pub(crate) struct Seen<'a> {
    pub source: TouchSource,
    pub occurred_at: Timestamp,
    pub visitor_hash: Option<String>,
    pub clues: &'a Clues,
}

/// Writes a touch of an enrollment.
pub(crate) async fn write(
    conn: &mut Conn,
    organization: &Organization,
    standing: &Standing,
    seen: Seen<'_>,
    customer: Option<CustomerId>,
    now: Timestamp,
) -> Result<Touch, Error> {
    let touch = Touch {
        organization_id: organization.id,
        id: TouchId::new(),
        source: seen.source,
        enrollment_id: standing.enrollment_id,
        referral_code_id: standing.referral_code_id,
        visitor_hash: seen.visitor_hash,
        customer_id: customer,
        occurred_at: seen.occurred_at,
        evidence: seen.clues.evidence(organization.id),
        created_at: now,
    };
    store::touches::insert(conn, &touch).await?;
    Ok(touch)
}
