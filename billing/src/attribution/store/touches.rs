//! SQL of touches. What a touch saw never changes; whom it brought, and that it was blocked, is added to it.

use billing_db::Conn;
use billing_db::schema::touch;
use billing_primitives::{CustomerId, Date, EnrollmentId, OrganizationId, ProgramId, Timestamp, TouchId};
use diesel::prelude::*;
use diesel::sql_types::{self, Array, BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::by_ids;
use crate::attribution::{Conflict, Touch};
use crate::page::Page;
use crate::programs::terms::TouchSource;

by_ids!(touch, TouchId => Touch);

pub async fn insert(conn: &mut Conn, row: &Touch) -> QueryResult<()> {
    diesel::insert_into(touch::table).values(row).execute(conn).await.map(|_| ())
}

/// How many touches a visitor has, and the one customer that they brought, if it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Visitor {
    #[diesel(sql_type = BigInt)]
    pub touches: i64,
    #[diesel(sql_type = Nullable<Uuid>)]
    pub customer_id: Option<CustomerId>,
}

pub async fn visitor(conn: &mut Conn, organization: OrganizationId, visitor_hash: &str) -> QueryResult<Visitor> {
    diesel::sql_query(
        "SELECT count(*) AS touches,
                CASE WHEN count(DISTINCT customer_id) = 1 THEN (array_agg(customer_id ORDER BY customer_id))[1] END
                    AS customer_id
         FROM touch WHERE organization_id = $1 AND visitor_hash = $2",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Text, _>(visitor_hash)
    .get_result(conn)
    .await
}

/// Says that these visitors' touches brought the customer. Those that brought somebody else already stay with that
/// one, and the customer gets copies: one person may register twice.
pub async fn bind_visitors(
    conn: &mut Conn,
    organization: OrganizationId,
    visitor_hashes: &[String],
    customer: CustomerId,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::update(touch::table)
        .filter(touch::organization_id.eq(organization))
        .filter(touch::visitor_hash.eq_any(visitor_hashes))
        .filter(touch::customer_id.is_null())
        .set(touch::customer_id.eq(customer))
        .execute(conn)
        .await?;
    let known: Vec<Touch> = touch::table
        .filter(touch::organization_id.eq(organization))
        .filter(touch::visitor_hash.eq_any(visitor_hashes))
        .order(touch::id)
        .select(Touch::as_select())
        .load(conn)
        .await?;
    let seen = |row: &Touch| (row.enrollment_id, row.source, row.occurred_at);
    let mut own: Vec<_> = known.iter().filter(|row| row.customer_id == Some(customer)).map(seen).collect();
    let mut copies = Vec::new();
    for row in &known {
        if !own.contains(&seen(row)) {
            own.push(seen(row));
            copies.push(Touch { id: TouchId::new(), customer_id: Some(customer), created_at: now, ..row.clone() });
        }
    }
    diesel::insert_into(touch::table).values(copies).execute(conn).await.map(|_| ())
}

/// Says that these touches brought the customer.
pub async fn bind(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[TouchId],
    customer: CustomerId,
) -> QueryResult<()> {
    diesel::update(touch::table)
        .filter(touch::organization_id.eq(organization))
        .filter(touch::id.eq_any(ids))
        .filter(touch::customer_id.is_null())
        .set(touch::customer_id.eq(customer))
        .execute(conn)
        .await
        .map(|_| ())
}

/// Says that these touches did not compete because their partner refers itself.
pub async fn mark_own(conn: &mut Conn, organization: OrganizationId, ids: &[TouchId]) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE touch SET evidence = evidence || '{\"selfReferral\": true}'::jsonb
         WHERE organization_id = $1 AND id = ANY($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .execute(conn)
    .await
    .map(|_| ())
}

pub async fn of(conn: &mut Conn, organization: OrganizationId, customers: &[CustomerId]) -> QueryResult<Vec<Touch>> {
    let first: Vec<Named> = diesel::sql_query(
        "SELECT t.id FROM unnest($2) AS c (id) CROSS JOIN LATERAL (
             SELECT id FROM touch WHERE organization_id = $1 AND customer_id = c.id
             ORDER BY occurred_at, id LIMIT 100) t",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(customers)
    .load(conn)
    .await?;
    let ids: Vec<TouchId> = first.into_iter().map(|row| row.id).collect();
    let mut touches = by_ids(conn, organization, &ids).await?;
    touches.sort_by_key(|row| (row.occurred_at, row.id));
    Ok(touches)
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Uuid)]
    id: TouchId,
}

/// A touch that may compete for a customer.
#[derive(Debug, Clone, QueryableByName)]
pub struct Candidate {
    #[diesel(sql_type = Uuid)]
    pub id: TouchId,
    #[diesel(sql_type = Text)]
    pub source: TouchSource,
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Timestamptz)]
    pub occurred_at: Timestamp,
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = Text)]
    pub partner_email: String,
}

/// The customer's touches of enrollments that run on the day and whose partners are not terminated then. What a partner
/// did before it was suspended counts.
pub async fn candidates(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
    day: Date,
) -> QueryResult<Vec<Candidate>> {
    diesel::sql_query(
        "SELECT t.id, t.source, t.enrollment_id, t.occurred_at, e.program_id, p.email AS partner_email
         FROM touch t
         JOIN enrollment e ON e.organization_id = t.organization_id AND e.id = t.enrollment_id
         JOIN partner p ON p.organization_id = e.organization_id AND p.id = e.partner_id
         WHERE t.organization_id = $1 AND t.customer_id = $2
           AND e.enrolled_from <= $3 AND (e.ended_from IS NULL OR e.ended_from > $3)
           AND (p.terminated_from IS NULL OR p.terminated_from > $3)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(customer)
    .bind::<sql_types::Date, _>(day)
    .load(conn)
    .await
}

#[derive(QueryableByName)]
struct Contested {
    #[diesel(sql_type = Uuid)]
    customer_id: CustomerId,
    #[diesel(sql_type = Array<Uuid>)]
    enrollments: Vec<EnrollmentId>,
}

pub async fn conflicts(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<CustomerId>,
) -> QueryResult<Vec<Conflict>> {
    let rows: Vec<Contested> = diesel::sql_query(
        "SELECT customer_id, array_agg(DISTINCT enrollment_id) AS enrollments FROM touch
         WHERE organization_id = $1 AND customer_id IS NOT NULL AND ($2::uuid IS NULL OR customer_id < $2)
         GROUP BY customer_id HAVING count(DISTINCT enrollment_id) > 1
         ORDER BY customer_id DESC LIMIT $3",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Nullable<Uuid>, _>(page.after)
    .bind::<BigInt, _>(page.limit())
    .load(conn)
    .await?;
    let conflict = |row: Contested| Conflict { customer_id: row.customer_id, enrollments: row.enrollments };
    Ok(rows.into_iter().map(conflict).collect())
}
