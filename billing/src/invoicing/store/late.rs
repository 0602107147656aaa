//! SQL of late changes: marks on finalized months.

use billing_db::Conn;
use billing_db::schema::{late_change, tier_evaluation};
use billing_primitives::{CustomerId, Date, Month, OrganizationId, PartnerId, PlanId};
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;

pub async fn last_finalized_month(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<Month>> {
    tier_evaluation::table
        .filter(tier_evaluation::organization_id.eq(organization))
        .select(max(tier_evaluation::month))
        .get_result(conn)
        .await
}

/// Takes the locks of the partners that own the customer on `from` or later, in the order of their ids.
pub async fn lock_owners(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
    from: Date,
) -> QueryResult<usize> {
    diesel::sql_query(
        "SELECT p.id FROM partner p
         WHERE p.organization_id = $1 AND p.id IN (
             SELECT o.partner_id FROM customer_owner o
             WHERE o.organization_id = $1 AND o.customer_id = $2 AND NOT EXISTS (
                 SELECT FROM customer_owner later
                 WHERE later.organization_id = $1 AND later.customer_id = $2
                   AND later.owned_from > o.owned_from AND later.owned_from <= $3))
         ORDER BY p.id FOR NO KEY UPDATE",
    )
    .bind::<sql_types::Uuid, _>(organization)
    .bind::<sql_types::Uuid, _>(customer)
    .bind::<sql_types::Date, _>(from)
    .execute(conn)
    .await
}

/// Marks the finalized months, from the month of `from` on, in which some partner owned the customer.
pub async fn mark_late(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
    plan: PlanId,
    from: Date,
) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO late_change (organization_id, partner_id, customer_id, plan_id, month)
         SELECT DISTINCT $1, e.partner_id, $2, $3, e.month
         FROM customer_owner o
         JOIN tier_evaluation e ON e.organization_id = $1 AND e.partner_id = o.partner_id
         WHERE o.organization_id = $1 AND o.customer_id = $2
           AND e.month >= date_trunc('month', $4::date)::date
           AND o.owned_from < e.month + interval '1 month'
           AND NOT EXISTS (
               SELECT FROM customer_owner later
               WHERE later.organization_id = $1 AND later.customer_id = $2
                 AND later.owned_from > o.owned_from AND later.owned_from <= e.month)
         ON CONFLICT DO NOTHING",
    )
    .bind::<sql_types::Uuid, _>(organization)
    .bind::<sql_types::Uuid, _>(customer)
    .bind::<sql_types::Uuid, _>(plan)
    .bind::<sql_types::Date, _>(from)
    .execute(conn)
    .await
    .map(|_| ())
}

/// A mark: this customer and plan of the partner have to be re-rated for this month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Queryable)]
pub struct Mark {
    pub partner: PartnerId,
    pub customer: CustomerId,
    pub plan: PlanId,
    pub month: Month,
}

/// The marks of some partners on months before `month`.
pub async fn marks(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
) -> QueryResult<Vec<Mark>> {
    late_change::table
        .filter(late_change::organization_id.eq(organization))
        .filter(late_change::partner_id.eq_any(partners))
        .filter(late_change::month.lt(month))
        .order((late_change::partner_id, late_change::month, late_change::customer_id, late_change::plan_id))
        .select((late_change::partner_id, late_change::customer_id, late_change::plan_id, late_change::month))
        .load(conn)
        .await
}

/// Takes away the marks that a finalized month has settled.
pub async fn settle_marks(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
) -> QueryResult<usize> {
    diesel::delete(late_change::table)
        .filter(late_change::organization_id.eq(organization))
        .filter(late_change::partner_id.eq_any(partners))
        .filter(late_change::month.lt(month))
        .execute(conn)
        .await
}
