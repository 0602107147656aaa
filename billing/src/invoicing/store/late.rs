//! SQL of late changes: marks on finalized months.

use billing_db::Conn;
use billing_db::schema::{late_change, tier_evaluation};
use billing_primitives::{CustomerId, Date, Month, OrganizationId, PartnerId, PlanId};
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::{self, Array};
use diesel_async::RunQueryDsl;

pub async fn last_finalized_month(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<Month>> {
    tier_evaluation::table
        .filter(tier_evaluation::organization_id.eq(organization))
        .select(max(tier_evaluation::month))
        .get_result(conn)
        .await
}

/// A fact about a customer's plan that counts from a day on.
pub type Fact = (CustomerId, PlanId, Date);

/// Takes the locks of the partners that own the customers on the days of the facts or later, in the order of their ids.
pub async fn lock_owners(conn: &mut Conn, organization: OrganizationId, facts: &[Fact]) -> QueryResult<usize> {
    diesel::sql_query(
        "SELECT p.id FROM partner p
         WHERE p.organization_id = $1 AND p.id IN (
             SELECT o.partner_id FROM unnest($2, $3) fact (customer_id, since)
             JOIN customer_owner o ON o.organization_id = $1 AND o.customer_id = fact.customer_id
             WHERE NOT EXISTS (
                 SELECT FROM customer_owner later
                 WHERE later.organization_id = $1 AND later.customer_id = o.customer_id
                   AND later.owned_from > o.owned_from AND later.owned_from <= fact.since))
         ORDER BY p.id FOR NO KEY UPDATE",
    )
    .bind::<sql_types::Uuid, _>(organization)
    .bind::<Array<sql_types::Uuid>, _>(column(facts, |(customer, _, _)| *customer))
    .bind::<Array<sql_types::Date>, _>(column(facts, |(_, _, since)| *since))
    .execute(conn)
    .await
}

/// Marks the finalized months, from those of the facts on, in which some partner owned the customers.
pub async fn mark_late(conn: &mut Conn, organization: OrganizationId, facts: &[Fact]) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO late_change (organization_id, partner_id, customer_id, plan_id, month)
         SELECT DISTINCT e.organization_id, e.partner_id, fact.customer_id, fact.plan_id, e.month
         FROM unnest($2, $3, $4) fact (customer_id, plan_id, since)
         JOIN customer_owner o ON o.organization_id = $1 AND o.customer_id = fact.customer_id
         JOIN tier_evaluation e ON e.organization_id = $1 AND e.partner_id = o.partner_id
         WHERE e.month >= date_trunc('month', fact.since)::date
           AND o.owned_from < e.month + interval '1 month'
           AND NOT EXISTS (
               SELECT FROM customer_owner later
               WHERE later.organization_id = $1 AND later.customer_id = o.customer_id
                 AND later.owned_from > o.owned_from AND later.owned_from <= e.month)
         ON CONFLICT DO NOTHING",
    )
    .bind::<sql_types::Uuid, _>(organization)
    .bind::<Array<sql_types::Uuid>, _>(column(facts, |(customer, _, _)| *customer))
    .bind::<Array<sql_types::Uuid>, _>(column(facts, |(_, plan, _)| *plan))
    .bind::<Array<sql_types::Date>, _>(column(facts, |(_, _, since)| *since))
    .execute(conn)
    .await
    .map(|_| ())
}

fn column<T>(facts: &[Fact], of: impl Fn(&Fact) -> T) -> Vec<T> {
    facts.iter().map(of).collect()
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
