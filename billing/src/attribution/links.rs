//! Referral links: pages of the seller's with a partner's code in their addresses.

use billing_db::Conn;
use billing_primitives::{ReferralCodeId, ReferralLinkId};

use super::{ReferralLink, rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::rules::text;
use crate::{Applied, Billing, audit};

/// A link to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    pub code: ReferralCodeId,
    /// What it is for, such as a campaign.
    pub name: String,
    /// The page it leads to, `https://…`.
    pub destination: String,
}

/// Makes a link.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (code).
pub async fn create(billing: &Billing, caller: &Caller, input: &NewLink) -> Result<Applied<ReferralLink>, Error> {
    let work = async |conn: &mut Conn| {
        if store::codes::by_ids(conn, caller.organization, &[input.code]).await?.is_empty() {
            return Err(Refusal::not_found("code", "referral code", input.code).into());
        }
        let now = billing.clock.now(conn).await?;
        let row = ReferralLink {
            organization_id: caller.organization,
            id: ReferralLinkId::new(),
            referral_code_id: input.code,
            name: text("name", &input.name)?,
            destination: rules::destination(&input.destination)?,
            created_at: now,
        };
        store::codes::insert_link(conn, &row).await?;
        audit::record(conn, caller, now, "referral_link.create", row.id, serde_json::json!(row)).await?;
        Ok::<_, Error>(row)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}
