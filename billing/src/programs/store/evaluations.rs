//! SQL of evaluations and of what they measure.

use billing_db::Conn;
use billing_db::schema::{enrollment, enrollment_evaluation as evaluation};
use billing_primitives::{EnrollmentId, Month, OrganizationId};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::page::Page;
use crate::programs::enrollments::Enrollment;
use crate::programs::evaluations::{EnrollmentEvaluation, Figures, Measure};

/// Enrollments that are active on the first of the month and have no evaluation of it, in the order of their ids.
pub async fn unevaluated(
    conn: &mut Conn,
    organization: OrganizationId,
    month: Month,
    after: Option<EnrollmentId>,
    most: i64,
) -> QueryResult<Vec<Enrollment>> {
    let first = month.first();
    let done = evaluation::table
        .filter(evaluation::organization_id.eq(enrollment::organization_id))
        .filter(evaluation::enrollment_id.eq(enrollment::id))
        .filter(evaluation::month.eq(month));
    let mut query = enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .filter(enrollment::enrolled_from.le(first))
        .filter(enrollment::ended_from.is_null().or(enrollment::ended_from.gt(first)))
        .filter(not(exists(done)))
        .order(enrollment::id)
        .limit(most)
        .select(Enrollment::as_select())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(enrollment::id.gt(after));
    }
    query.load(conn).await
}

/// Writes the rows whose months are not evaluated yet, and says how many.
pub async fn insert_evaluations(conn: &mut Conn, rows: &[EnrollmentEvaluation]) -> QueryResult<usize> {
    diesel::insert_into(evaluation::table).values(rows).on_conflict_do_nothing().execute(conn).await
}

/// The newest first.
pub async fn evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    id: EnrollmentId,
    page: &Page<Month>,
) -> QueryResult<Vec<EnrollmentEvaluation>> {
    let mut query = evaluation::table
        .filter(evaluation::organization_id.eq(organization))
        .filter(evaluation::enrollment_id.eq(id))
        .order(evaluation::month.desc())
        .limit(page.limit())
        .select(EnrollmentEvaluation::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(evaluation::month.lt(after));
    }
    query.load(conn).await
}

/// Every one of `ids` in every one of `months`.
pub async fn evaluations_at(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
    months: &[Month],
) -> QueryResult<Vec<EnrollmentEvaluation>> {
    evaluation::table
        .filter(evaluation::organization_id.eq(organization))
        .filter(evaluation::enrollment_id.eq_any(ids))
        .filter(evaluation::month.eq_any(months))
        .order((evaluation::enrollment_id, evaluation::month))
        .select(EnrollmentEvaluation::as_select())
        .load(conn)
        .await
}

#[derive(QueryableByName)]
struct Measured {
    #[diesel(sql_type = Uuid)]
    enrollment_id: EnrollmentId,
    #[diesel(sql_type = BigInt)]
    converted_customers: i64,
    #[diesel(sql_type = BigInt)]
    net_revenue_minor: i64,
}

/// Of each of these enrollments: how many customers attributed to it on the day have a base above zero, whoever earned
/// on it, and the net bases on which it earned itself at level 1.
pub async fn figures(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
    measure: Measure,
) -> QueryResult<Vec<Figures>> {
    let rows: Vec<Measured> = diesel::sql_query(
        "WITH candidate AS (
             SELECT DISTINCT customer_id FROM attribution
             WHERE organization_id = $1 AND enrollment_id = ANY ($2) AND effective_from <= $3
         ), attributed AS (
             SELECT DISTINCT ON (a.customer_id) a.customer_id, a.enrollment_id
             FROM attribution a JOIN candidate ON candidate.customer_id = a.customer_id
             WHERE a.organization_id = $1 AND a.effective_from <= $3
             ORDER BY a.customer_id, a.effective_from DESC, a.sequence DESC
         ), paying AS (
             SELECT c.customer_id FROM commission c JOIN candidate ON candidate.customer_id = c.customer_id
             WHERE c.organization_id = $1 AND c.level = 1 AND c.earned_at < $5
             GROUP BY c.customer_id HAVING sum(c.base_minor - c.base_reversed_minor) > 0
         ), converted AS (
             SELECT a.enrollment_id, count(*) AS customers
             FROM attributed a JOIN paying ON paying.customer_id = a.customer_id GROUP BY a.enrollment_id
         ), revenue AS (
             SELECT enrollment_id, sum(base_minor - base_reversed_minor)::bigint AS minor FROM commission
             WHERE organization_id = $1 AND level = 1 AND enrollment_id = ANY ($2)
               AND earned_at >= $4 AND earned_at < $5
             GROUP BY enrollment_id
         )
         SELECT asked.id AS enrollment_id, coalesce(converted.customers, 0) AS converted_customers,
             coalesce(revenue.minor, 0) AS net_revenue_minor
         FROM unnest($2) AS asked (id)
         LEFT JOIN converted ON converted.enrollment_id = asked.id
         LEFT JOIN revenue ON revenue.enrollment_id = asked.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Date, _>(measure.day)
    .bind::<Timestamptz, _>(measure.since)
    .bind::<Timestamptz, _>(measure.until)
    .load(conn)
    .await?;
    let figures = |row: Measured| Figures {
        enrollment: row.enrollment_id,
        converted_customers: row.converted_customers,
        net_revenue_minor: row.net_revenue_minor,
    };
    Ok(rows.into_iter().map(figures).collect())
}
