//! SQL: commissions that ripen.

use billing_db::Conn;
use billing_primitives::{CommissionId, Currency, EnrollmentId, OrganizationId, ProgramId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::rules::Buckets;

/// What may ripen.
#[derive(Debug, Clone, Copy)]
pub struct Ripe {
    pub program: Option<ProgramId>,
    pub at: Timestamp,
    /// Only what was earned by then; none: all.
    pub known_by: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = Uuid)]
    id: CommissionId,
    #[diesel(sql_type = Uuid)]
    enrollment_id: EnrollmentId,
}

/// One that holds something; not all columns, for there may be many.
#[derive(Debug, Clone, QueryableByName)]
pub struct Held {
    #[diesel(sql_type = Uuid)]
    pub id: CommissionId,
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub held_minor: i64,
    #[diesel(sql_type = Timestamptz)]
    pub payable_at: Timestamp,
}

impl Held {
    /// What stands elsewhere does not matter for ripening.
    pub fn buckets(&self) -> Buckets {
        Buckets { held: self.held_minor, ..Buckets::default() }
    }
}

/// Conditions under which something ripens; those of a locking read repeat them, for they may have changed meanwhile.
macro_rules! ripe {
    () => {
        "c.held_minor > 0 AND NOT c.on_hold AND c.payable_at <= $2 AND ($3::uuid IS NULL OR c.program_id = $3)
         AND ($4::timestamptz IS NULL OR c.created_at <= $4)
         AND EXISTS (SELECT FROM partner p
                     WHERE p.organization_id = $1 AND p.id = c.partner_id AND p.status <> 'SUSPENDED')"
    };
}

/// What may ripen behind `after`, in the order of the ids, without a lock.
pub async fn candidates(
    conn: &mut Conn,
    organization: OrganizationId,
    ripe: Ripe,
    after: Option<CommissionId>,
    limit: i64,
) -> QueryResult<Vec<(CommissionId, EnrollmentId)>> {
    let rows: Vec<Candidate> = diesel::sql_query(concat!(
        "SELECT c.id, c.enrollment_id FROM commission c WHERE c.organization_id = $1 AND ",
        ripe!(),
        " AND ($5::uuid IS NULL OR c.id > $5) ORDER BY c.id LIMIT $6"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Timestamptz, _>(ripe.at)
    .bind::<Nullable<Uuid>, _>(ripe.program)
    .bind::<Nullable<Timestamptz>, _>(ripe.known_by)
    .bind::<Nullable<Uuid>, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.enrollment_id)).collect())
}

/// Those of them that may still, locked in the order of their ids.
pub async fn lock(
    conn: &mut Conn,
    organization: OrganizationId,
    ripe: Ripe,
    ids: &[CommissionId],
) -> QueryResult<Vec<Held>> {
    diesel::sql_query(concat!(
        "SELECT c.id, c.enrollment_id, c.currency, c.held_minor, c.payable_at FROM commission c
         WHERE c.organization_id = $1 AND c.id = ANY ($5) AND ",
        ripe!(),
        " ORDER BY c.id FOR NO KEY UPDATE OF c"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Timestamptz, _>(ripe.at)
    .bind::<Nullable<Uuid>, _>(ripe.program)
    .bind::<Nullable<Timestamptz>, _>(ripe.known_by)
    .bind::<Array<Uuid>, _>(ids)
    .load(conn)
    .await
}
