//! SQL: who earns on a customer, and by which terms.

use billing_db::{Conn, Keep};
use billing_primitives::{
    AttributionId, Currency, CustomerId, Date, EnrollmentId, OrganizationId, PartnerId, ProgramId, ProgramVersionId,
};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;

use crate::programs::terms::SettlementMode;

/// To whom a customer is credited from a day on.
#[derive(Debug, Clone, QueryableByName)]
pub struct AttributionRow {
    #[diesel(sql_type = Uuid)]
    pub id: AttributionId,
    #[diesel(sql_type = Uuid)]
    pub customer_id: CustomerId,
    #[diesel(sql_type = SqlDate)]
    pub effective_from: Date,
    /// None: to nobody.
    #[diesel(sql_type = Nullable<Uuid>)]
    pub enrollment_id: Option<EnrollmentId>,
    #[diesel(sql_type = Nullable<Uuid>)]
    pub program_id: Option<ProgramId>,
    #[diesel(sql_type = Nullable<Text>)]
    pub currency: Option<Currency>,
}

/// All of them, in the order in which they hold: of one day the one written last is behind.
pub async fn attributions(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> QueryResult<Vec<AttributionRow>> {
    diesel::sql_query(
        "SELECT a.id, a.customer_id, a.effective_from, a.enrollment_id, e.program_id, p.currency
         FROM attribution a
         LEFT JOIN enrollment e ON e.organization_id = $1 AND e.id = a.enrollment_id
         LEFT JOIN program p ON p.organization_id = $1 AND p.id = e.program_id
         WHERE a.organization_id = $1 AND a.customer_id = ANY($2)
         ORDER BY a.customer_id, a.effective_from, a.sequence",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(customers)
    .kept()
    .load(conn)
    .await
}

/// One partner of a chain; they come level by level.
#[derive(Debug, Clone, QueryableByName)]
pub struct Link {
    #[diesel(sql_type = Uuid)]
    pub asked: EnrollmentId,
    #[diesel(sql_type = SqlDate)]
    pub day: Date,
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Nullable<Text>)]
    pub settlement: Option<SettlementMode>,
    #[diesel(sql_type = Nullable<Text>)]
    pub overrides: Option<String>,
    /// None: not evaluated that month.
    #[diesel(sql_type = Nullable<Text>)]
    pub tier_code: Option<String>,
}

/// The chains of enrollments on days: upward along the parents of that day, until the first one that has no active
/// enrollment in the programme that day. Nothing for an enrollment that is not active itself.
pub async fn chains(
    conn: &mut Conn,
    organization: OrganizationId,
    asked: &[(EnrollmentId, Date)],
) -> QueryResult<Vec<Link>> {
    let enrollments: Vec<EnrollmentId> = asked.iter().map(|(enrollment, _)| *enrollment).collect();
    let days: Vec<Date> = asked.iter().map(|(_, day)| *day).collect();
    diesel::sql_query(
        "WITH RECURSIVE climb AS (
             SELECT a.enrollment_id AS asked, a.day, 1 AS level, e.program_id, e.partner_id, e.id AS enrollment_id,
                    ARRAY[e.partner_id] AS path
             FROM unnest($2, $3) AS a (enrollment_id, day)
             JOIN enrollment e ON e.organization_id = $1 AND e.id = a.enrollment_id
             JOIN partner p ON p.organization_id = $1 AND p.id = e.partner_id
             WHERE e.enrolled_from <= a.day AND (e.ended_from IS NULL OR e.ended_from > a.day)
               AND (p.terminated_from IS NULL OR p.terminated_from > a.day)
             UNION ALL
             SELECT c.asked, c.day, c.level + 1, c.program_id, e.partner_id, e.id, c.path || e.partner_id
             FROM climb c
             JOIN partner_parent up ON up.organization_id = $1 AND up.partner_id = c.partner_id
               AND up.effective_from = (SELECT max(u.effective_from) FROM partner_parent u
                    WHERE u.organization_id = $1 AND u.partner_id = c.partner_id AND u.effective_from <= c.day)
             JOIN enrollment e ON e.organization_id = $1 AND e.program_id = c.program_id
               AND e.partner_id = up.parent_partner_id
             JOIN partner p ON p.organization_id = $1 AND p.id = e.partner_id
             WHERE e.enrolled_from <= c.day AND (e.ended_from IS NULL OR e.ended_from > c.day)
               AND (p.terminated_from IS NULL OR p.terminated_from > c.day) AND c.level < 10
               AND e.partner_id <> ALL (c.path)
         )
         SELECT c.asked, c.day, c.enrollment_id, c.partner_id, t.settlement, t.overrides, v.tier_code
         FROM climb c
         LEFT JOIN LATERAL (
             SELECT t.settlement, t.overrides::text AS overrides FROM enrollment_terms t
             WHERE t.organization_id = $1 AND t.enrollment_id = c.enrollment_id AND t.effective_from <= c.day
             ORDER BY t.effective_from DESC, t.id DESC LIMIT 1
         ) AS t ON true
         LEFT JOIN enrollment_evaluation v ON v.organization_id = $1 AND v.enrollment_id = c.enrollment_id
           AND v.month = date_trunc('month', c.day::timestamp)::date
         ORDER BY c.asked, c.day, c.level",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(enrollments)
    .bind::<Array<SqlDate>, _>(days)
    .kept()
    .load(conn)
    .await
}

/// A published version.
#[derive(Debug, Clone, QueryableByName)]
pub struct VersionRow {
    #[diesel(sql_type = Uuid)]
    pub id: ProgramVersionId,
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = SqlDate)]
    pub effective_from: Date,
    #[diesel(sql_type = Bool)]
    pub new_customers_only: bool,
    #[diesel(sql_type = Text)]
    pub terms: String,
}

/// The published versions of programmes, in the order of their days.
pub async fn versions(
    conn: &mut Conn,
    organization: OrganizationId,
    programs: &[ProgramId],
) -> QueryResult<Vec<VersionRow>> {
    diesel::sql_query(
        "SELECT id, program_id, effective_from, new_customers_only, terms::text AS terms FROM program_version
         WHERE organization_id = $1 AND program_id = ANY($2) AND status = 'PUBLISHED'
         ORDER BY program_id, effective_from",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(programs)
    .kept()
    .load(conn)
    .await
}

/// A list price of the organization's.
#[derive(Debug, Clone, QueryableByName)]
pub struct ListPrice {
    #[diesel(sql_type = BigInt)]
    pub position: i64,
    #[diesel(sql_type = BigInt)]
    pub unit_price_minor: i64,
    #[diesel(sql_type = Bool)]
    pub per_seat: bool,
}

/// The organization's own list prices of plans on days, by the position of what was asked; nothing where there is none.
pub async fn list_prices(
    conn: &mut Conn,
    organization: OrganizationId,
    asked: &[(billing_primitives::PlanId, Currency, Date)],
) -> QueryResult<Vec<ListPrice>> {
    let plans: Vec<_> = asked.iter().map(|(plan, ..)| *plan).collect();
    let currencies: Vec<_> = asked.iter().map(|(_, currency, _)| *currency).collect();
    let days: Vec<_> = asked.iter().map(|(.., day)| *day).collect();
    diesel::sql_query(
        "SELECT a.position, price.unit_price_minor, plan.pricing = 'PER_SEAT' AS per_seat
         FROM unnest($2, $3, $4) WITH ORDINALITY AS a (plan_id, currency, day, position)
         JOIN plan ON plan.organization_id = $1 AND plan.id = a.plan_id
         JOIN LATERAL (
             SELECT p.unit_price_minor FROM price_list l
             JOIN price_list_version v ON v.organization_id = $1 AND v.price_list_id = l.id AND v.effective_on <= a.day
             LEFT JOIN price p ON p.organization_id = $1 AND p.price_list_version_id = v.id AND p.plan_id = a.plan_id
             WHERE l.organization_id = $1 AND l.partner_id IS NULL AND l.currency = a.currency
             ORDER BY v.effective_on DESC LIMIT 1
         ) AS price ON price.unit_price_minor IS NOT NULL",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(plans)
    .bind::<Array<Text>, _>(currencies)
    .bind::<Array<SqlDate>, _>(days)
    .kept()
    .load(conn)
    .await
}
