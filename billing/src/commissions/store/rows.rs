//! SQL: commissions as they are booked.

use billing_db::schema::{commission, commission_statement_entry, enrollment};
use billing_db::{Conn, DbError, Keep};
use billing_primitives::{CommissionId, CustomerId, OrganizationId, PartnerId, ProgramId};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::book::{Commission, Moved, SourceKind};
use crate::commissions::situation::{Access, Booked};

/// What is booked on sources, in the order of the commissions' ids, locked if it is to be changed.
pub async fn booked(
    conn: &mut Conn,
    organization: OrganizationId,
    source_ids: &[String],
    access: Access,
) -> QueryResult<Vec<Booked>> {
    let shown = exists(
        commission_statement_entry::table
            .filter(commission_statement_entry::organization_id.eq(organization))
            .filter(commission_statement_entry::commission_id.eq(commission::id)),
    );
    let query = commission::table
        .filter(commission::organization_id.eq(organization))
        // Both kinds, so that the key that leads with the kind finds them.
        .filter(commission::source_kind.eq_any([SourceKind::StripeInvoice, SourceKind::Conversion]))
        .filter(commission::source_id.eq_any(source_ids))
        .order(commission::id)
        .select((Commission::as_select(), shown));
    let rows: Vec<(Commission, bool)> = match access {
        Access::Look => query.load(conn).await?,
        Access::Book => query.for_no_key_update().load(conn).await?,
    };
    Ok(rows.into_iter().map(|(commission, stated)| Booked { commission, stated }).collect())
}

/// Opens commissions, each with what its first steps come to.
pub async fn open(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[Commission],
    first: &[Moved],
) -> Result<(), DbError> {
    macro_rules! column {
        ($field:ident) => {
            rows.iter().map(|row| row.$field.clone()).collect::<Vec<_>>()
        };
    }
    let amounts = |of: fn(&Moved) -> i64| first.iter().map(of).collect::<Vec<_>>();
    let traces: Vec<String> = rows.iter().map(|row| row.trace.to_string()).collect();
    let written = diesel::sql_query(
        "INSERT INTO commission (organization_id, id, source_kind, source_id, level, enrollment_id, partner_id,
             program_id, program_version_id, customer_id, attribution_id, settlement, currency, base_minor,
             base_reversed_minor, earned_at, payable_at, on_hold, trace, created_at, earned_minor, reversed_minor,
             counted_minor, held_minor, payable_minor, taken_minor, owed_minor)
         SELECT seller.organization_id, c.id, c.source_kind, c.source_id, c.level, c.enrollment_id, c.partner_id,
             c.program_id, c.program_version_id, c.customer_id, c.attribution_id, c.settlement, c.currency, c.base_minor,
             c.base_reversed_minor, c.earned_at, c.payable_at, c.on_hold, c.trace::json, c.created_at, c.earned,
             c.reversed, c.counted, c.held, c.payable, c.taken, c.owed
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                     $19, $20, $21, $22, $23, $24, $25, $26, $27)
             AS c (id, source_kind, source_id, level, enrollment_id, partner_id, program_id, program_version_id,
                   customer_id, attribution_id, settlement, currency, base_minor, base_reversed_minor, earned_at,
                   payable_at, on_hold, trace, created_at, earned, reversed, counted, held, payable, taken, owed)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(column!(id))
    .bind::<Array<Text>, _>(column!(source_kind))
    .bind::<Array<Text>, _>(column!(source_id))
    .bind::<Array<Integer>, _>(column!(level))
    .bind::<Array<Uuid>, _>(column!(enrollment_id))
    .bind::<Array<Uuid>, _>(column!(partner_id))
    .bind::<Array<Uuid>, _>(column!(program_id))
    .bind::<Array<Uuid>, _>(column!(program_version_id))
    .bind::<Array<Uuid>, _>(column!(customer_id))
    .bind::<Array<Uuid>, _>(column!(attribution_id))
    .bind::<Array<Text>, _>(column!(settlement))
    .bind::<Array<Text>, _>(column!(currency))
    .bind::<Array<BigInt>, _>(column!(base_minor))
    .bind::<Array<BigInt>, _>(column!(base_reversed_minor))
    .bind::<Array<Timestamptz>, _>(column!(earned_at))
    .bind::<Array<Timestamptz>, _>(column!(payable_at))
    .bind::<Array<Bool>, _>(column!(on_hold))
    .bind::<Array<Text>, _>(traces)
    .bind::<Array<Timestamptz>, _>(column!(created_at))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.earned))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.reversed))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.change.counted))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.change.held))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.change.payable))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.change.taken))
    .bind::<Array<BigInt>, _>(amounts(|moved| moved.change.owed))
    .kept()
    .execute(conn)
    .await?;
    DbError::expect_rows("commission", rows.len(), written)
}

/// Writes what a derivation found beside the amounts: base, day of ripening, hold, and the reasons.
pub async fn restate(conn: &mut Conn, organization: OrganizationId, rows: &[Commission]) -> Result<(), DbError> {
    macro_rules! column {
        ($field:ident) => {
            rows.iter().map(|row| row.$field.clone()).collect::<Vec<_>>()
        };
    }
    let ids: Vec<CommissionId> = column!(id);
    let traces: Vec<String> = rows.iter().map(|row| row.trace.to_string()).collect();
    let written = diesel::sql_query(
        "UPDATE commission c SET program_version_id = n.program_version_id, attribution_id = n.attribution_id,
             base_minor = n.base_minor, base_reversed_minor = n.base_reversed_minor, earned_at = n.earned_at,
             payable_at = n.payable_at, on_hold = n.on_hold, trace = n.trace::json
         FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)
             AS n (id, program_version_id, attribution_id, base_minor, base_reversed_minor, earned_at, payable_at,
                   on_hold, trace)
         WHERE c.organization_id = $1 AND c.id = n.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Uuid>, _>(column!(program_version_id))
    .bind::<Array<Uuid>, _>(column!(attribution_id))
    .bind::<Array<BigInt>, _>(column!(base_minor))
    .bind::<Array<BigInt>, _>(column!(base_reversed_minor))
    .bind::<Array<Timestamptz>, _>(column!(earned_at))
    .bind::<Array<Timestamptz>, _>(column!(payable_at))
    .bind::<Array<Bool>, _>(column!(on_hold))
    .bind::<Array<Text>, _>(traces)
    .kept()
    .execute(conn)
    .await?;
    DbError::expect_rows("commission", rows.len(), written)
}

#[derive(QueryableByName)]
struct Credited {
    #[diesel(sql_type = Uuid)]
    customer_id: CustomerId,
}

/// Customers that are or were credited to somebody (of a programme), behind a customer, in the order of their ids.
pub async fn customers_of(
    conn: &mut Conn,
    organization: OrganizationId,
    program: Option<ProgramId>,
    after: Option<CustomerId>,
    limit: i64,
) -> QueryResult<Vec<CustomerId>> {
    let rows: Vec<Credited> = diesel::sql_query(
        "SELECT DISTINCT a.customer_id FROM attribution a
         LEFT JOIN enrollment e ON e.organization_id = $1 AND e.id = a.enrollment_id
         WHERE a.organization_id = $1 AND ($2 IS NULL OR e.program_id = $2) AND ($3 IS NULL OR a.customer_id > $3)
         ORDER BY a.customer_id LIMIT $4",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Nullable<Uuid>, _>(program)
    .bind::<Nullable<Uuid>, _>(after)
    .bind::<BigInt, _>(limit)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.customer_id).collect())
}

pub async fn programs_of(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
) -> QueryResult<Vec<ProgramId>> {
    enrollment::table
        .filter(enrollment::organization_id.eq(organization))
        .filter(enrollment::partner_id.eq(partner))
        .order(enrollment::program_id)
        .select(enrollment::program_id)
        .load(conn)
        .await
}
