//! SQL of enrollments and their terms.

use billing_db::schema::{commission, enrollment, enrollment_terms};
use billing_db::{Conn, DbError};
use billing_primitives::{Date, EnrollmentId, OrganizationId, PartnerId, ProgramId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Date as SqlDate, Uuid};
use diesel_async::RunQueryDsl;

use crate::page::Page;
use crate::programs::enrollments::{Enrollment, EnrollmentFilter, EnrollmentTerms};

pub async fn insert_enrollment(conn: &mut Conn, row: &Enrollment) -> QueryResult<()> {
    diesel::insert_into(enrollment::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn end_enrollment(conn: &mut Conn, row: &Enrollment) -> Result<(), DbError> {
    let written = diesel::update(enrollment::table)
        .filter(enrollment::organization_id.eq(row.organization_id))
        .filter(enrollment::id.eq(row.id))
        .set(enrollment::ended_from.eq(row.ended_from))
        .execute(conn)
        .await?;
    DbError::expect_rows("enrollment", 1, written)
}

pub async fn insert_terms(conn: &mut Conn, row: &EnrollmentTerms) -> QueryResult<()> {
    diesel::insert_into(enrollment_terms::table).values(row).execute(conn).await.map(|_| ())
}

/// Locks them in the order of their ids.
pub async fn lock_enrollments(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> QueryResult<Vec<Enrollment>> {
    enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .filter(enrollment::id.eq_any(ids))
        .order(enrollment::id)
        .select(Enrollment::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

pub async fn enrollments(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> QueryResult<Vec<Enrollment>> {
    enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .filter(enrollment::id.eq_any(ids))
        .select(Enrollment::as_select())
        .load(conn)
        .await
}

pub async fn enrollment_of(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    partner: PartnerId,
) -> QueryResult<Option<Enrollment>> {
    enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .filter(enrollment::program_id.eq(program))
        .filter(enrollment::partner_id.eq(partner))
        .select(Enrollment::as_select())
        .first(conn)
        .await
        .optional()
}

/// By partner and programme.
pub async fn enrollments_of_partners(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<Enrollment>> {
    enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .filter(enrollment::partner_id.eq_any(partners))
        .order((enrollment::partner_id, enrollment::program_id))
        .select(Enrollment::as_select())
        .load(conn)
        .await
}

/// In the order of their ids, which is that of their making.
pub async fn enrollment_page(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<EnrollmentId>,
    filter: &EnrollmentFilter,
) -> QueryResult<Vec<Enrollment>> {
    let mut query = enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .order(enrollment::id)
        .limit(page.limit())
        .select(Enrollment::as_select())
        .into_boxed();
    if let Some(program) = filter.program {
        query = query.filter(enrollment::program_id.eq(program));
    }
    if let Some(partner) = filter.partner {
        query = query.filter(enrollment::partner_id.eq(partner));
    }
    if let Some(after) = page.after {
        query = query.filter(enrollment::id.gt(after));
    }
    query.load(conn).await
}

/// By enrollment, day and writing.
pub async fn terms_of(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> QueryResult<Vec<EnrollmentTerms>> {
    enrollment_terms::table
        .filter(enrollment_terms::organization_id.eq(organization))
        .filter(enrollment_terms::enrollment_id.eq_any(ids))
        .order((enrollment_terms::enrollment_id, enrollment_terms::effective_from, enrollment_terms::id))
        .select(EnrollmentTerms::as_select())
        .load(conn)
        .await
}

/// What is agreed with enrollments of the programme besides its own rates and holds on `day` or later.
pub async fn terms_from(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    day: Date,
) -> QueryResult<Vec<EnrollmentTerms>> {
    diesel::sql_query(
        "SELECT t.* FROM enrollment e
         JOIN enrollment_terms t ON t.organization_id = e.organization_id AND t.enrollment_id = e.id
         WHERE e.organization_id = $1 AND e.program_id = $2 AND (e.ended_from IS NULL OR e.ended_from > $3)
           AND (json_typeof(t.overrides->'phases') = 'array' OR json_array_length(t.overrides->'planRules') > 0)
           AND NOT EXISTS (SELECT FROM enrollment_terms later
               WHERE later.organization_id = t.organization_id AND later.enrollment_id = t.enrollment_id
                 AND (later.effective_from, later.id) > (t.effective_from, t.id) AND later.effective_from <= $3)
         ORDER BY t.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(program)
    .bind::<SqlDate, _>(day)
    .load(conn)
    .await
}

/// When the enrollment last earned something, at any level.
pub async fn last_earned(
    conn: &mut Conn,
    organization: OrganizationId,
    id: EnrollmentId,
) -> QueryResult<Option<Timestamp>> {
    commission::table
        .filter(commission::organization_id.eq(organization))
        .filter(commission::enrollment_id.eq(id))
        .select(diesel::dsl::max(commission::earned_at))
        .first(conn)
        .await
}

/// The programmes of those of these enrollments that earned something since an instant.
pub async fn earning_since(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
    since: Timestamp,
) -> QueryResult<Vec<ProgramId>> {
    commission::table
        .filter(commission::organization_id.eq(organization))
        .filter(commission::enrollment_id.eq_any(ids))
        .filter(commission::earned_at.ge(since))
        .select(commission::program_id)
        .distinct()
        .load(conn)
        .await
}
