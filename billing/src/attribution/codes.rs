//! Referral codes: stable names by which partners bring customers. Written as the partner likes, looked up in capitals,
//! and never given to anybody else, disabled ones neither.

use billing_db::{Conn, DbError};
use billing_primitives::{Date, EnrollmentId, OrganizationId, PartnerId, ReferralCodeId, Timestamp};

use super::store::parties::{self, Standing};
use super::{CodeStatus, ReferralCode, rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::partners::Partner;
use crate::{Applied, Billing, audit, partners};

/// How often a code is told apart from others before the transaction is run again.
const ATTEMPTS: usize = 8;

/// A code to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCode {
    pub partner: PartnerId,
    /// None: the partner's enrollment in the default programme, as it is when the code is used.
    pub enrollment: Option<EnrollmentId>,
    /// 3 to 40 letters, digits, `-` and `_`.
    pub code: String,
    /// Stripe's promotion code (`promo_…`) that means this one.
    pub stripe_promotion_code: Option<String>,
}

/// Makes another code of a partner.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (partner, enrollment), [`Refusal::CodeTaken`],
/// [`Refusal::PromotionCodeTaken`].
pub async fn create(billing: &Billing, caller: &Caller, input: &NewCode) -> Result<Applied<ReferralCode>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let now = billing.clock.now(conn).await?;
        let partner = partners::lock(conn, organization, input.partner).await?;
        if let Some(enrollment) = input.enrollment {
            let days = parties::days_of(conn, organization, enrollment).await?;
            days.filter(|days| days.partner_id == partner.id)
                .ok_or_else(|| Refusal::not_found("enrollment", "enrollment", enrollment))?;
        }
        let row = row(organization, input, now)?;
        if store::codes::is_taken(conn, organization, &row.code_key).await? {
            return Err(Refusal::CodeTaken { code: row.code }.into());
        }
        if let Some(promotion_code) = &row.stripe_promotion_code
            && store::codes::has_promotion(conn, organization, promotion_code).await?
        {
            return Err(Refusal::PromotionCodeTaken { promotion_code: promotion_code.clone() }.into());
        }
        if !store::codes::insert(conn, &row).await? {
            return Err(DbError::Contention.into());
        }
        audit::record(conn, caller, now, "referral_code.create", row.id, serde_json::json!(row)).await?;
        Ok::<_, Error>(row)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

fn row(organization: OrganizationId, input: &NewCode, now: Timestamp) -> Result<ReferralCode, Refusal> {
    let code = rules::code(&input.code)?;
    Ok(ReferralCode {
        organization_id: organization,
        id: ReferralCodeId::new(),
        partner_id: input.partner,
        enrollment_id: input.enrollment,
        code_key: rules::code_key(&code),
        code,
        is_default: false,
        status: CodeStatus::Active,
        stripe_promotion_code: input.stripe_promotion_code.as_deref().map(rules::promotion_code).transpose()?,
        created_at: now,
    })
}

/// Gives a new partner its code; it is part of making the partner, so the audit log does not name it.
pub(crate) async fn add_default(conn: &mut Conn, partner: &Partner, now: Timestamp) -> Result<ReferralCode, Error> {
    let derived = rules::derived_code(&partner.external_id, &partner.legal_name);
    let mut code = derived.clone();
    for _ in 0..ATTEMPTS {
        let row = ReferralCode {
            organization_id: partner.organization_id,
            id: ReferralCodeId::new(),
            partner_id: partner.id,
            enrollment_id: None,
            code_key: rules::code_key(&code),
            code,
            is_default: true,
            status: CodeStatus::Active,
            stripe_promotion_code: None,
            created_at: now,
        };
        if store::codes::insert(conn, &row).await? {
            return Ok(row);
        }
        code = rules::told_apart(&derived, rand::random());
    }
    Err(DbError::Contention.into())
}

/// Disables a code, so that it brings nothing, or enables it again.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn set_status(
    billing: &Billing,
    caller: &Caller,
    id: ReferralCodeId,
    status: CodeStatus,
) -> Result<Applied<ReferralCode>, Error> {
    let work = async |conn: &mut Conn| {
        let before = store::codes::lock(conn, caller.organization, id).await?;
        let before = before.ok_or_else(|| Refusal::not_found("code", "referral code", id))?;
        if before.status == status {
            return Ok(before);
        }
        let after = ReferralCode { status, ..before };
        store::codes::update_status(conn, &after).await?;
        let now = billing.clock.now(conn).await?;
        let details = serde_json::json!({ "code": after.code, "status": after.status });
        audit::record(conn, caller, now, "referral_code.set_status", id, details).await?;
        Ok::<_, Error>(after)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Whom a code means on a day; none for every reason there may be.
pub(crate) async fn resolve(
    conn: &mut Conn,
    organization: OrganizationId,
    code: &str,
    day: Date,
) -> Result<Option<Standing>, Error> {
    match rules::code(code.trim()) {
        Ok(code) => Ok(parties::by_code(conn, organization, &rules::code_key(&code), day).await?),
        Err(_) => Ok(None),
    }
}
