//! Partners in programmes: from when to when, and how each is settled and what it earns otherwise, by dated rows that
//! are only ever added.
//!
//! Nothing that was earned changes behind its back: terms and endings begin after the last commission of the enrollment.

use billing_db::{Conn, Constraint, DbError};
use billing_primitives::{Date, EnrollmentId, EnrollmentTermsId, OrganizationId, PartnerId, ProgramId, Timestamp};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::terms::{Overrides, SettlementMode};
use super::{Program, lock as lock_program, rules, store, versions};
use crate::caller::Caller;
use crate::commissions::again;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::partners::{self, PartnerStatus};
use crate::{Applied, Billing, audit, organizations};

/// A partner in a programme; the row is the lock of its commissions, statements and payouts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::enrollment)]
pub struct Enrollment {
    pub organization_id: OrganizationId,
    pub id: EnrollmentId,
    pub program_id: ProgramId,
    pub partner_id: PartnerId,
    pub enrolled_from: Date,
    /// First day on which it earns nothing any more.
    pub ended_from: Option<Date>,
    pub created_at: Timestamp,
}

/// How a partner is settled and what it earns otherwise than its programme says, from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::enrollment_terms)]
pub struct EnrollmentTerms {
    pub organization_id: OrganizationId,
    pub id: EnrollmentTermsId,
    pub enrollment_id: EnrollmentId,
    pub effective_from: Date,
    pub settlement: SettlementMode,
    pub overrides: Overrides,
    pub created_at: Timestamp,
}

/// A partner to enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnrollment {
    pub program: ProgramId,
    pub partner: PartnerId,
    /// Today unless said; may be dated back.
    pub enrolled_from: Option<Date>,
    pub settlement: SettlementMode,
    pub overrides: Overrides,
}

/// Other terms of an enrollment, from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTerms {
    pub enrollment: EnrollmentId,
    pub effective_from: Date,
    pub settlement: SettlementMode,
    pub overrides: Overrides,
}

/// Which enrollments a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnrollmentFilter {
    pub program: Option<ProgramId>,
    pub partner: Option<PartnerId>,
}

/// Enrols a partner.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::PartnerNotActive`] (terminated), [`Refusal::AlreadyEnrolled`],
/// [`Refusal::Invalid`] with the field of the overrides.
pub async fn enroll(billing: &Billing, caller: &Caller, input: &NewEnrollment) -> Result<Applied<Enrollment>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await
}

/// As [`enroll`], inside a transaction.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewEnrollment,
) -> Result<Enrollment, Error> {
    let organization = caller.organization;
    let program = lock_program(conn, organization, input.program).await?;
    let partner = partners::lock(conn, organization, input.partner).await?;
    if partner.status == PartnerStatus::Terminated {
        return Err(Refusal::PartnerNotActive { partner: partner.external_id }.into());
    }
    let now = billing.clock.now(conn).await?;
    let enrolled_from = match input.enrolled_from {
        Some(day) => day,
        None => now.date_in(&organizations::current(conn, organization).await?.time_zone),
    };
    versions::check_overrides(conn, &program, enrolled_from, (input.settlement, &input.overrides)).await?;
    if store::enrollment_of(conn, organization, program.id, partner.id).await?.is_some() {
        return Err(Refusal::AlreadyEnrolled { partner: partner.external_id, program: program.external_id }.into());
    }
    let enrollment = Enrollment {
        organization_id: organization,
        id: EnrollmentId::new(),
        program_id: program.id,
        partner_id: partner.id,
        enrolled_from,
        ended_from: None,
        created_at: now,
    };
    store::insert_enrollment(conn, &enrollment).await.map_err(met_another)?;
    let terms = EnrollmentTerms {
        organization_id: organization,
        id: EnrollmentTermsId::new(),
        enrollment_id: enrollment.id,
        effective_from: enrolled_from,
        settlement: input.settlement,
        overrides: input.overrides.clone(),
        created_at: now,
    };
    store::insert_terms(conn, &terms).await?;
    // As a parent it may earn on what was paid already.
    again::enqueue(conn, organization, program.id, &enrollment.id.to_string()).await?;
    let details = json!({ "enrollment": enrollment, "terms": terms });
    audit::record(conn, caller, now, "enrollment.create", enrollment.id, details).await?;
    Ok(enrollment)
}

/// Two that enrol the same partner take turns at the programme's row; should they not, the later one is run again.
fn met_another(error: diesel::result::Error) -> Error {
    let error = DbError::from(error);
    match error.refused_by() {
        Some(Constraint::Unique(_)) => DbError::Contention.into(),
        _ => error.into(),
    }
}

/// Settles an enrollment otherwise, or changes what it earns by agreement, from a day on. Terms equal to those that
/// hold then change nothing.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::DateBefore`] before it begins or not after its last commission,
/// [`Refusal::Invalid`] with the field of the overrides.
pub async fn change_terms(
    billing: &Billing,
    caller: &Caller,
    input: &NewTerms,
) -> Result<Applied<EnrollmentTerms>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let (program, enrollment) = lock_with_program(conn, organization, input.enrollment).await?;
        rules::not_before("effectiveFrom", input.effective_from, enrollment.enrolled_from)?;
        let rows = store::terms_of(conn, organization, &[enrollment.id]).await?;
        if let Some(last) = rows.last()
            && last.effective_from <= input.effective_from
            && last.settlement == input.settlement
            && last.overrides == input.overrides
        {
            return Ok(last.clone());
        }
        after_last_commission(conn, "effectiveFrom", &enrollment, input.effective_from).await?;
        let agreed = (input.settlement, &input.overrides);
        versions::check_overrides(conn, &program, input.effective_from, agreed).await?;
        let now = billing.clock.now(conn).await?;
        let terms = EnrollmentTerms {
            organization_id: organization,
            id: EnrollmentTermsId::new(),
            enrollment_id: enrollment.id,
            effective_from: input.effective_from,
            settlement: input.settlement,
            overrides: input.overrides.clone(),
            created_at: now,
        };
        store::insert_terms(conn, &terms).await?;
        audit::record(conn, caller, now, "enrollment.change_terms", enrollment.id, json!(terms)).await?;
        Ok(terms)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Ends an enrollment: from `from` on it earns nothing. What it has earned stays, and is paid.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::DateBefore`] before it begins or not after its last commission,
/// [`Refusal::Invalid`] when it has ended already.
pub async fn end(
    billing: &Billing,
    caller: &Caller,
    id: EnrollmentId,
    from: Date,
) -> Result<Applied<Enrollment>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let (_, before) = lock_with_program(conn, organization, id).await?;
        if before.ended_from == Some(from) {
            return Ok(before);
        }
        let now = billing.clock.now(conn).await?;
        let today = now.date_in(&organizations::current(conn, organization).await?.time_zone);
        if let Some(ended) = before.ended_from
            && ended <= today
        {
            return Err(Refusal::invalid("from", format!("the enrollment ended on {ended}")).into());
        }
        rules::not_before("from", from, before.enrolled_from)?;
        after_last_commission(conn, "from", &before, from).await?;
        let after = Enrollment { ended_from: Some(from), ..before };
        store::end_enrollment(conn, &after).await?;
        audit::record(conn, caller, now, "enrollment.end", id, json!({ "from": from })).await?;
        Ok(after)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// The programme's lock first, as everywhere.
async fn lock_with_program(
    conn: &mut Conn,
    organization: OrganizationId,
    id: EnrollmentId,
) -> Result<(Program, Enrollment), Error> {
    let missing = || Refusal::not_found("enrollment", "enrollment", id);
    let known = store::enrollments(conn, organization, &[id]).await?.pop().ok_or_else(missing)?;
    let program = lock_program(conn, organization, known.program_id).await?;
    let enrollment = lock(conn, organization, &[id]).await?.pop().ok_or_else(missing)?;
    Ok((program, enrollment))
}

/// # Errors
/// [`Refusal::DateBefore`] when a commission was earned on `day` or later.
async fn after_last_commission(
    conn: &mut Conn,
    field: &'static str,
    enrollment: &Enrollment,
    day: Date,
) -> Result<(), Error> {
    let Some(last) = store::last_earned(conn, enrollment.organization_id, enrollment.id).await? else { return Ok(()) };
    let zone = organizations::current(conn, enrollment.organization_id).await?.time_zone;
    Ok(rules::not_before(field, day, last.date_in(&zone).next())?)
}

/// Locks enrollments in the order of their ids: what books their commissions, statements and payouts takes turns here.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn lock(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> Result<Vec<Enrollment>, Error> {
    Ok(store::lock_enrollments(conn, organization, ids).await?)
}

/// The enrollments of these partners in all programmes, by partner and programme.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn of_partners_in(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<Vec<Enrollment>, Error> {
    Ok(store::enrollments_of_partners(conn, organization, partners).await?)
}

/// The terms of these enrollments, by enrollment, day and writing, as [`rules::in_force`] reads them.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn terms_in(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> Result<Vec<EnrollmentTerms>, Error> {
    Ok(store::terms_of(conn, organization, ids).await?)
}

/// A page of enrollments in the order in which they were made.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<EnrollmentId>,
    filter: &EnrollmentFilter,
) -> Result<Slice<Enrollment>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(store::enrollment_page(conn, organization, page, filter).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> Result<Vec<Enrollment>, Error> {
    billing.db.read(organization, async |conn| Ok(store::enrollments(conn, organization, ids).await?)).await
}

/// The enrollments of these partners, by partner and programme.
///
/// # Errors
/// Faults of the database.
pub async fn of_partners(
    billing: &Billing,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<Vec<Enrollment>, Error> {
    billing.db.read(organization, async |conn| of_partners_in(conn, organization, partners).await).await
}

/// The terms of these enrollments, by enrollment, day and writing.
///
/// # Errors
/// Faults of the database.
pub async fn terms_of(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> Result<Vec<EnrollmentTerms>, Error> {
    billing.db.read(organization, async |conn| terms_in(conn, organization, ids).await).await
}
