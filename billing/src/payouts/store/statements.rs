//! SQL of commission statements.

use std::collections::BTreeMap;

use billing_db::schema::{commission_statement, commission_statement_entry};
use billing_db::{Conn, DbError};
use billing_primitives::{
    CommissionEntryId, CommissionStatementId, Currency, Date, EnrollmentId, Month, OrganizationId, PartnerId,
    ProgramId, Timestamp,
};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::page::Page;
use crate::payouts::model::{Statement, StatementEntry, StatementFilter};

/// Steps that a statement shows and none does yet. `$1` is the organization.
macro_rules! unstated {
    () => {
        "e.organization_id = $1 AND e.stated_minor <> 0 AND NOT EXISTS (
             SELECT FROM commission_statement_entry s
             WHERE s.organization_id = $1 AND s.commission_entry_id = e.id)"
    };
}

/// Whether an earlier statement shows the commission of step `e`.
macro_rules! shown {
    () => {
        "EXISTS (SELECT FROM commission_statement_entry s
                 WHERE s.organization_id = $1 AND s.commission_id = e.commission_id)"
    };
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = Nullable<SqlDate>)]
    day: Option<Date>,
}

/// The earliest day of a step that no statement shows.
pub async fn first_unstated(
    conn: &mut Conn,
    organization: OrganizationId,
    program: Option<ProgramId>,
) -> QueryResult<Option<Date>> {
    let row: First = diesel::sql_query(concat!(
        "SELECT min(e.occurred_on) AS day FROM commission_entry e
         JOIN enrollment n ON n.organization_id = $1 AND n.id = e.enrollment_id
         WHERE ",
        unstated!(),
        " AND ($2::uuid IS NULL OR n.program_id = $2)"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Nullable<Uuid>, _>(program)
    .get_result(conn)
    .await?;
    Ok(row.day)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Uuid)]
    id: EnrollmentId,
}

/// Enrollments behind `after` with something to show for the month, which has no statement of it or a later one; in
/// the order of their ids.
pub async fn unstated_enrollments(
    conn: &mut Conn,
    organization: OrganizationId,
    month: Month,
    program: Option<ProgramId>,
    after: Option<EnrollmentId>,
    limit: i64,
) -> QueryResult<Vec<EnrollmentId>> {
    let rows: Vec<Found> = diesel::sql_query(concat!(
        "SELECT DISTINCT e.enrollment_id AS id FROM commission_entry e
         JOIN enrollment n ON n.organization_id = $1 AND n.id = e.enrollment_id
         WHERE ",
        unstated!(),
        " AND e.occurred_on <= $2 AND ($3::uuid IS NULL OR n.program_id = $3)
           AND ($4::uuid IS NULL OR e.enrollment_id > $4)
           AND NOT EXISTS (SELECT FROM commission_statement t
                WHERE t.organization_id = $1 AND t.enrollment_id = e.enrollment_id AND t.month >= $5)
         ORDER BY 1 LIMIT $6"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<SqlDate, _>(month.last())
    .bind::<Nullable<Uuid>, _>(program)
    .bind::<Nullable<Uuid>, _>(after)
    .bind::<SqlDate, _>(month)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// What the steps of one enrollment come to; clawbacks as amounts above zero.
#[derive(Debug, Clone, QueryableByName)]
pub struct Sums {
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub earned_minor: i64,
    /// Clawbacks of what no statement shows.
    #[diesel(sql_type = BigInt)]
    pub unshown_minor: i64,
    /// Clawbacks of what an earlier statement shows.
    #[diesel(sql_type = BigInt)]
    pub shown_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub entries: i64,
}

/// The sums of these enrollments' unstated steps up to the end of the month. Those that were given a statement of it
/// meanwhile are left out.
pub async fn unstated_sums(
    conn: &mut Conn,
    organization: OrganizationId,
    month: Month,
    enrollments: &[EnrollmentId],
) -> QueryResult<Vec<Sums>> {
    diesel::sql_query(concat!(
        "SELECT u.enrollment_id, n.partner_id, n.program_id, u.currency,
             coalesce(sum(u.stated_minor) FILTER (WHERE u.stated_minor > 0), 0)::bigint AS earned_minor,
             coalesce(-sum(u.stated_minor) FILTER (WHERE u.stated_minor < 0 AND NOT u.shown), 0)::bigint AS unshown_minor,
             coalesce(-sum(u.stated_minor) FILTER (WHERE u.stated_minor < 0 AND u.shown), 0)::bigint AS shown_minor,
             count(*) AS entries
         FROM (SELECT e.enrollment_id, e.currency, e.stated_minor, ",
        shown!(),
        " AS shown FROM commission_entry e
               WHERE ",
        unstated!(),
        " AND e.enrollment_id = ANY ($2) AND e.occurred_on <= $3) AS u
         JOIN enrollment n ON n.organization_id = $1 AND n.id = u.enrollment_id
         WHERE NOT EXISTS (SELECT FROM commission_statement t
                WHERE t.organization_id = $1 AND t.enrollment_id = u.enrollment_id AND t.month >= $4)
         GROUP BY u.enrollment_id, n.partner_id, n.program_id, u.currency ORDER BY u.enrollment_id"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(enrollments)
    .bind::<SqlDate, _>(month.last())
    .bind::<SqlDate, _>(month)
    .load(conn)
    .await
}

/// What stood before a statement.
#[derive(Debug, Clone, QueryableByName)]
pub struct Carried {
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    /// What all statements before have shown.
    #[diesel(sql_type = BigInt)]
    pub stated_minor: i64,
    /// What was paid out or credited by the end of the month and did not come back.
    #[diesel(sql_type = BigInt)]
    pub gone_minor: i64,
    #[diesel(sql_type = Nullable<Uuid>)]
    pub previous: Option<CommissionStatementId>,
    #[diesel(sql_type = Nullable<SqlDate>)]
    pub previous_month: Option<Month>,
}

impl Carried {
    /// Of an enrollment with neither statements nor payouts.
    pub fn none(sums: &Sums) -> Carried {
        let enrollment_id = sums.enrollment_id;
        Carried { enrollment_id, stated_minor: 0, gone_minor: 0, previous: None, previous_month: None }
    }
}

/// What these enrollments carry into the month; `end` is the instant at which it ends.
pub async fn carried(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollments: &[EnrollmentId],
    month: Month,
    end: Timestamp,
) -> QueryResult<Vec<Carried>> {
    diesel::sql_query(
        "SELECT n.id AS enrollment_id, coalesce(t.stated, 0)::bigint AS stated_minor,
             coalesce(g.gone, 0)::bigint AS gone_minor, l.id AS previous, l.month AS previous_month
         FROM enrollment n
         LEFT JOIN LATERAL (
             SELECT sum(t.earned_minor - t.clawed_back_minor) AS stated FROM commission_statement t
             WHERE t.organization_id = $1 AND t.enrollment_id = n.id) AS t ON true
         LEFT JOIN LATERAL (
             SELECT sum(p.net_minor) AS gone FROM payout p
             LEFT JOIN payout_run r ON r.organization_id = $1 AND r.id = p.payout_run_id
             WHERE p.organization_id = $1 AND p.enrollment_id = n.id
               AND p.status IN ('APPROVED', 'SENT', 'PAID', 'UNKNOWN')
               AND CASE WHEN p.method = 'CREDIT' THEN p.settled_on <= $3 ELSE r.approved_at < $4 END) AS g ON true
         LEFT JOIN LATERAL (
             SELECT t.id, t.month FROM commission_statement t
             WHERE t.organization_id = $1 AND t.enrollment_id = n.id ORDER BY t.month DESC LIMIT 1) AS l ON true
         WHERE n.organization_id = $1 AND n.id = ANY ($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(enrollments)
    .bind::<SqlDate, _>(month.last())
    .bind::<Timestamptz, _>(end)
    .load(conn)
    .await
}

pub async fn insert(conn: &mut Conn, organization: OrganizationId, rows: &[Statement]) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Statement) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let written = diesel::sql_query(
        "INSERT INTO commission_statement (organization_id, id, enrollment_id, partner_id, program_id, month, currency,
             carried_minor, earned_minor, clawed_back_minor, vat_bps, earned_vat_minor, clawed_back_vat_minor,
             balance_minor, trace, created_at)
         SELECT seller.organization_id, s.id, s.enrollment_id, s.partner_id, s.program_id, s.month, s.currency, s.carried,
             s.earned, s.clawed_back, s.vat_bps, s.earned_vat, s.clawed_back_vat, s.balance, s.trace::json, s.created_at
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             AS s (id, enrollment_id, partner_id, program_id, month, currency, carried, earned, clawed_back, vat_bps,
                   earned_vat, clawed_back_vat, balance, trace, created_at)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.enrollment_id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.partner_id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.program_id).collect::<Vec<_>>())
    .bind::<Array<SqlDate>, _>(rows.iter().map(|row| row.month).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.currency).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|row| row.carried_minor))
    .bind::<Array<BigInt>, _>(column(|row| row.earned_minor))
    .bind::<Array<BigInt>, _>(column(|row| row.clawed_back_minor))
    .bind::<Array<Integer>, _>(rows.iter().map(|row| row.vat_bps).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|row| row.earned_vat_minor))
    .bind::<Array<BigInt>, _>(column(|row| row.clawed_back_vat_minor))
    .bind::<Array<BigInt>, _>(column(|row| row.balance_minor))
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.trace.to_string()).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("commission_statement", rows.len(), written)
}

/// Puts the unstated steps of the enrollments on their new statements; returns how many.
pub async fn insert_entries(
    conn: &mut Conn,
    organization: OrganizationId,
    month: Month,
    statements: &BTreeMap<EnrollmentId, CommissionStatementId>,
) -> QueryResult<usize> {
    diesel::sql_query(concat!(
        "INSERT INTO commission_statement_entry
             (organization_id, commission_entry_id, statement_id, commission_id, part, amount_minor, currency)
         SELECT e.organization_id, e.id, n.statement_id, e.commission_id,
             CASE WHEN e.stated_minor < 0 AND ",
        shown!(),
        " THEN 'CLAWED_BACK' ELSE 'EARNED' END, e.stated_minor, e.currency
         FROM unnest($2, $3) AS n (enrollment_id, statement_id)
         JOIN commission_entry e ON e.organization_id = $1 AND e.enrollment_id = n.enrollment_id
         WHERE ",
        unstated!(),
        " AND e.occurred_on <= $4"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(statements.keys().copied().collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(statements.values().copied().collect::<Vec<_>>())
    .bind::<SqlDate, _>(month.last())
    .execute(conn)
    .await
}

/// A page of statements, the ones made last first.
pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<CommissionStatementId>,
    filter: &StatementFilter,
) -> QueryResult<Vec<Statement>> {
    let mut query = commission_statement::table
        .filter(commission_statement::organization_id.eq(organization))
        .order(commission_statement::id.desc())
        .limit(page.limit())
        .select(Statement::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(commission_statement::id.lt(after));
    }
    if let Some(enrollment) = filter.enrollment {
        query = query.filter(commission_statement::enrollment_id.eq(enrollment));
    }
    if let Some(partner) = filter.partner {
        query = query.filter(commission_statement::partner_id.eq(partner));
    }
    if let Some(month) = filter.month {
        query = query.filter(commission_statement::month.eq(month));
    }
    query.load(conn).await
}

pub async fn by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CommissionStatementId],
) -> QueryResult<Vec<Statement>> {
    commission_statement::table
        .filter(commission_statement::organization_id.eq(organization))
        .filter(commission_statement::id.eq_any(ids))
        .select(Statement::as_select())
        .load(conn)
        .await
}

/// A page of what a statement shows, in the order in which the steps were written.
pub async fn entries(
    conn: &mut Conn,
    organization: OrganizationId,
    statement: CommissionStatementId,
    page: &Page<CommissionEntryId>,
) -> QueryResult<Vec<StatementEntry>> {
    let mut query = commission_statement_entry::table
        .filter(commission_statement_entry::organization_id.eq(organization))
        .filter(commission_statement_entry::statement_id.eq(statement))
        .order(commission_statement_entry::commission_entry_id)
        .limit(page.limit())
        .select(StatementEntry::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(commission_statement_entry::commission_entry_id.gt(after));
    }
    query.load(conn).await
}
