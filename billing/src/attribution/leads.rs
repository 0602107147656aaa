//! Leads: somebody leaves an address with a partner's form. Whoever registers with that address has been brought by it.

use billing_db::Conn;
use billing_primitives::{LeadId, OrganizationId};

use super::rules::{Token, TokenKind};
use super::touches::{self, Clues, Seen};
use super::{Lead, LeadStatus, codes, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::rules::{email, text};
use crate::programs::terms::TouchSource;
use crate::{Applied, Billing, audit, organizations};

/// Longest message, in characters.
const LONGEST_MESSAGE: usize = 2000;

/// What a form sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLead {
    pub code: String,
    pub name: String,
    pub email: String,
    pub company: Option<String>,
    pub message: Option<String>,
    /// The token that the visitor carries from an earlier touch.
    pub visitor: Option<String>,
    pub clues: Clues,
}

/// Takes a lead, from whoever visits the form. The answer does not depend on the code, nor on whether the address is
/// known: an address that is an open lead of the partner already stays one lead.
///
/// # Errors
/// [`Refusal::Invalid`] with the field.
pub async fn submit(billing: &Billing, organization: OrganizationId, input: &NewLead) -> Result<Token, Error> {
    let carried = input.visitor.as_deref().and_then(|given| Token::parse(TokenKind::Visitor, given));
    let visitor = carried.unwrap_or_else(|| Token::from_random(TokenKind::Visitor, rand::random()));
    let caller = Caller::visitor(organization);
    billing.db.scoped(organization, async |conn| add(conn, billing, &caller, input, &visitor).await).await?;
    Ok(visitor)
}

async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewLead,
    visitor: &Token,
) -> Result<Option<Lead>, Error> {
    let (name, email) = (text("name", &input.name)?, email(&input.email)?);
    let company = input.company.as_deref().map(|company| text("company", company)).transpose()?;
    let message = input.message.as_deref().unwrap_or_default().trim().to_owned();
    if message.chars().count() > LONGEST_MESSAGE {
        return Err(Refusal::invalid("message", format!("at most {LONGEST_MESSAGE} characters")).into());
    }
    let now = billing.clock.now(conn).await?;
    let organization = organizations::current(conn, caller.organization).await?;
    let day = now.date_in(&organization.time_zone);
    let Some(standing) = codes::resolve(conn, organization.id, &input.code, day).await? else { return Ok(None) };
    if store::leads::is_open(conn, organization.id, standing.enrollment_id, &email).await? {
        return Ok(None);
    }
    let seen = Seen {
        source: TouchSource::LeadForm,
        occurred_at: now,
        visitor_hash: Some(visitor.hash()),
        clues: &input.clues,
    };
    let touch = touches::write(conn, &organization, &standing, seen, None, now).await?;
    let lead = Lead {
        organization_id: organization.id,
        id: LeadId::new(),
        enrollment_id: standing.enrollment_id,
        touch_id: touch.id,
        name,
        email,
        company,
        message,
        status: LeadStatus::Open,
        customer_id: None,
        created_at: now,
    };
    store::leads::insert(conn, &lead).await?;
    audit::record(conn, caller, now, "lead.submit", lead.id, serde_json::json!({ "enrollment": lead.enrollment_id }))
        .await?;
    Ok(Some(lead))
}

/// Closes a lead that comes to nothing, or opens it again. A converted one stays converted.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Invalid`].
pub async fn set_status(
    billing: &Billing,
    caller: &Caller,
    id: LeadId,
    status: LeadStatus,
) -> Result<Applied<Lead>, Error> {
    let work = async |conn: &mut Conn| {
        let before = store::leads::lock(conn, caller.organization, id).await?;
        let before = before.ok_or_else(|| Refusal::not_found("lead", "lead", id))?;
        if before.status == status {
            return Ok(before);
        }
        if before.status == LeadStatus::Converted || status == LeadStatus::Converted {
            return Err(Refusal::invalid("lead", "only a registration converts a lead, and for good").into());
        }
        let after = Lead { status, ..before };
        store::leads::update_status(conn, &after).await?;
        let now = billing.clock.now(conn).await?;
        audit::record(conn, caller, now, "lead.set_status", id, serde_json::json!({ "status": status })).await?;
        Ok::<_, Error>(after)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}
