//! Where a partner is paid. Every change has to be verified again before anything is transferred there.

use billing_db::Conn;
use billing_primitives::{OrganizationId, PartnerId, Timestamp};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::iban::Iban;
use super::store::payouts as sql;
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::rules::text;
use crate::{Applied, Billing, audit, partners};

/// Where a partner is paid. The account number is shown masked.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::payout_details)]
pub struct PayoutDetails {
    pub partner_id: PartnerId,
    /// In whose name the account is.
    pub holder: String,
    pub iban: Iban,
    /// None: nobody has confirmed them, or they changed since.
    pub verified_at: Option<Timestamp>,
    pub verified_by: Option<String>,
    pub updated_at: Timestamp,
}

pub(super) type DetailsRow = PayoutDetails;

/// Where a partner wants to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayoutDetails {
    pub partner: PartnerId,
    pub holder: String,
    /// Blanks and small letters are taken.
    pub iban: String,
}

/// Records where a partner is paid. The same again changes nothing; anything else is unverified.
///
/// # Errors
/// [`Refusal::NotFound`]; [`Refusal::Invalid`] (a number whose check digits are wrong).
pub async fn set_details(
    billing: &Billing,
    caller: &Caller,
    input: &NewPayoutDetails,
) -> Result<Applied<PayoutDetails>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let now = billing.clock.now(conn).await?;
        let partner_id = partners::lock(conn, organization, input.partner).await?.id;
        let holder = text("holder", &input.holder)?;
        let iban = Iban::read(&input.iban).ok_or_else(|| Refusal::invalid("iban", "is no possible account number"))?;
        let before = sql::details(conn, organization, &[partner_id]).await?.pop();
        if let Some(same) = before.filter(|known| known.holder == holder && known.iban == iban) {
            return Ok::<_, Error>(same);
        }
        let row = PayoutDetails { partner_id, holder, iban, verified_at: None, verified_by: None, updated_at: now };
        sql::put_details(conn, organization, &row).await?;
        let details = json!({ "holder": row.holder, "iban": row.iban });
        audit::record(conn, caller, now, "payout_details.set", partner_id, details).await?;
        Ok(row)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Confirms that the partner is paid there; verified before, it stays as it was.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn verify_details(
    billing: &Billing,
    caller: &Caller,
    partner: PartnerId,
) -> Result<Applied<PayoutDetails>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let now = billing.clock.now(conn).await?;
        partners::lock(conn, organization, partner).await?;
        let known = sql::details(conn, organization, &[partner]).await?.pop();
        let known = known.ok_or_else(|| Refusal::not_found("partner", "payout details of partner", partner))?;
        if known.verified_at.is_some() {
            return Ok::<_, Error>(known);
        }
        let row = PayoutDetails { verified_at: Some(now), verified_by: Some(caller.actor.to_string()), ..known };
        sql::put_details(conn, organization, &row).await?;
        let details = json!({ "holder": row.holder, "iban": row.iban });
        audit::record(conn, caller, now, "payout_details.verify", partner, details).await?;
        Ok(row)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Where partners are paid; one that never said so has no row.
///
/// # Errors
/// Faults of the database.
pub async fn details_of(
    billing: &Billing,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<Vec<PayoutDetails>, Error> {
    billing.db.read(organization, async |conn| Ok(sql::details(conn, organization, partners).await?)).await
}
