//! What a partner is and how it may change. Pure.

use billing_primitives::{Date, OrganizationId, PartnerId, Timestamp};

use super::{Partner, PartnerProfile, PartnerStatus, VatCheck};
use crate::error::Refusal;
use crate::organizations::rules::{email, external_id, terms_days, text};
use crate::vat::{self, VatStatus};

/// A new partner, active and with an unchecked VAT number.
///
/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn partner(
    organization: OrganizationId,
    id: PartnerId,
    input: &PartnerProfile,
    now: Timestamp,
) -> Result<Partner, Refusal> {
    Ok(Partner {
        organization_id: organization,
        id,
        external_id: external_id(&input.external_id)?,
        legal_name: text("legalName", &input.legal_name)?,
        email: email(&input.email)?,
        street: text("street", &input.street)?,
        postal_code: text("postalCode", &input.postal_code)?,
        city: text("city", &input.city)?,
        country: vat::country("country", &input.country)?,
        vat_number: input.vat_number.as_deref().map(vat::number).transpose()?,
        vat_status: VatStatus::Unchecked,
        vat_checked_at: None,
        vat_answer: None,
        currency: input.currency,
        payment_terms_days: input.payment_terms.map(|(days, _)| terms_days(days)).transpose()?,
        payment_terms_from: input.payment_terms.map(|(_, from)| from),
        parent_partner_id: input.parent,
        status: PartnerStatus::Active,
        terminated_from: None,
        created_at: now,
    })
}

/// The partner with another profile. The check belongs to the number: another number is unchecked.
///
/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn changed(before: &Partner, input: &PartnerProfile) -> Result<Partner, Refusal> {
    let fresh = partner(before.organization_id, before.id, input, before.created_at)?;
    let same_number = fresh.vat_number == before.vat_number;
    Ok(Partner {
        vat_status: if same_number { before.vat_status } else { VatStatus::Unchecked },
        vat_checked_at: before.vat_checked_at.filter(|_| same_number),
        vat_answer: before.vat_answer.clone().filter(|_| same_number),
        status: before.status,
        terminated_from: before.terminated_from,
        ..fresh
    })
}

/// The partner with the outcome of a check; without a time it was checked now.
///
/// # Errors
/// [`Refusal::Invalid`] when there is no number, or the check lies in the future.
pub fn checked(before: &Partner, check: &VatCheck, now: Timestamp) -> Result<Partner, Refusal> {
    if before.vat_number.is_none() {
        return Err(Refusal::invalid("vatNumber", "the partner has no VAT number to check"));
    }
    let at = check.checked_at.unwrap_or(now);
    if at > now {
        return Err(Refusal::invalid("checkedAt", "lies in the future"));
    }
    let done = check.status != VatStatus::Unchecked;
    Ok(Partner {
        vat_status: check.status,
        vat_checked_at: done.then_some(at),
        vat_answer: check.answer.clone().filter(|_| done),
        ..before.clone()
    })
}

/// # Errors
/// [`Refusal::Invalid`] when a termination has no day, or anything else has one; nobody comes back from a termination.
pub fn with_status(before: &Partner, status: PartnerStatus, from: Option<Date>) -> Result<Partner, Refusal> {
    if before.status == PartnerStatus::Terminated && status != PartnerStatus::Terminated {
        return Err(Refusal::invalid("status", "a terminated partner stays terminated"));
    }
    if (status == PartnerStatus::Terminated) != from.is_some() {
        return Err(Refusal::invalid("from", "a termination, and nothing else, has a first day"));
    }
    Ok(Partner { status, terminated_from: from, ..before.clone() })
}
