//! SQL: what is due to enrollments, and what they owe.

use billing_db::Conn;
use billing_primitives::{
    CommissionId, Currency, Date, EnrollmentId, OrganizationId, PartnerId, ProgramId, ProgramVersionId,
};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::rules::Buckets;
use crate::partners::PartnerStatus;
use crate::payouts::iban::Iban;

/// What an enrollment owes: clawbacks of what was taken out, less what payouts have netted. `$1` is the organization,
/// `n` the enrollment.
macro_rules! debt {
    () => {
        "(SELECT coalesce(sum(c.owed_minor), 0) FROM commission c
          WHERE c.organization_id = $1 AND c.enrollment_id = n.id AND c.owed_minor > 0)
         - (SELECT coalesce(sum(p.offset_minor), 0) FROM payout p
            WHERE p.organization_id = $1 AND p.enrollment_id = n.id
              AND p.status IN ('APPROVED', 'SENT', 'PAID', 'UNKNOWN'))"
    };
}

/// An enrollment to which something may be due, or that may owe something.
#[derive(Debug, Clone, QueryableByName)]
pub struct Candidate {
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Text)]
    pub status: PartnerStatus,
    #[diesel(sql_type = BigInt)]
    pub debt_minor: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub holder: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub iban: Option<Iban>,
    #[diesel(sql_type = Bool)]
    pub verified: bool,
}

/// The enrollments of a programme that runs pay: those that are not credited, and those of terminated partners, who
/// get no more invoices. In the order of their ids.
pub async fn candidates(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    today: Date,
) -> QueryResult<Vec<Candidate>> {
    diesel::sql_query(concat!(
        "SELECT n.id AS enrollment_id, n.partner_id, p.status, (",
        debt!(),
        ")::bigint AS debt_minor, d.holder, d.iban, d.verified_at IS NOT NULL AS verified
         FROM enrollment n
         JOIN partner p ON p.organization_id = $1 AND p.id = n.partner_id
         LEFT JOIN payout_details d ON d.organization_id = $1 AND d.partner_id = n.partner_id
         LEFT JOIN LATERAL (
             SELECT t.settlement FROM enrollment_terms t
             WHERE t.organization_id = $1 AND t.enrollment_id = n.id AND t.effective_from <= $3
             ORDER BY t.effective_from DESC, t.id DESC LIMIT 1) AS t ON true
         WHERE n.organization_id = $1 AND n.program_id = $2
           AND (coalesce(t.settlement, 'PAYOUT') <> 'CREDIT' OR p.status = 'TERMINATED')
           AND EXISTS (SELECT FROM commission c WHERE c.organization_id = $1 AND c.enrollment_id = n.id
                       AND (c.payable_minor > 0 OR c.owed_minor > 0))
         ORDER BY n.id"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(program)
    .bind::<SqlDate, _>(today)
    .load(conn)
    .await
}

/// What one commission may give, with everything that decides it.
#[derive(Debug, Clone, QueryableByName)]
pub struct Payable {
    #[diesel(sql_type = Uuid)]
    pub id: CommissionId,
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub payable_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub taken_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub owed_minor: i64,
    /// What statements up to the cut-off have shown.
    #[diesel(sql_type = BigInt)]
    pub stated_minor: i64,
}

impl Payable {
    /// What is held or counted plays no part in payouts.
    pub fn buckets(&self) -> Buckets {
        let Payable { payable_minor: payable, taken_minor: taken, owed_minor: owed, .. } = *self;
        Buckets { payable, taken, owed, ..Buckets::default() }
    }
}

macro_rules! payable {
    () => {
        "SELECT c.id, c.enrollment_id, c.currency, c.payable_minor, c.taken_minor, c.owed_minor,
             coalesce(s.stated, 0)::bigint AS stated_minor
         FROM commission c
         LEFT JOIN LATERAL (
             SELECT sum(e.amount_minor) AS stated FROM commission_statement_entry e
             JOIN commission_statement t ON t.organization_id = $1 AND t.id = e.statement_id AND t.month <= $3
             WHERE e.organization_id = $1 AND e.commission_id = c.id) AS s ON true
         WHERE c.organization_id = $1 AND c.enrollment_id = ANY ($2) AND c.payable_minor > 0
         ORDER BY c.id"
    };
}

/// What is payable to enrollments, in the order of the commissions' ids.
pub async fn payable(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollments: &[EnrollmentId],
    cut_off: Date,
) -> QueryResult<Vec<Payable>> {
    diesel::sql_query(payable!())
        .bind::<Uuid, _>(organization)
        .bind::<Array<Uuid>, _>(enrollments)
        .bind::<SqlDate, _>(cut_off)
        .load(conn)
        .await
}

/// As [`payable`], locked.
pub async fn lock_payable(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollments: &[EnrollmentId],
    cut_off: Date,
) -> QueryResult<Vec<Payable>> {
    diesel::sql_query(concat!(payable!(), " FOR NO KEY UPDATE OF c"))
        .bind::<Uuid, _>(organization)
        .bind::<Array<Uuid>, _>(enrollments)
        .bind::<SqlDate, _>(cut_off)
        .load(conn)
        .await
}

/// A commission that an item of a payout took from.
#[derive(Debug, Clone, QueryableByName)]
pub struct Taken {
    #[diesel(sql_type = Uuid)]
    pub id: CommissionId,
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub payable_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub taken_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub amount_minor: i64,
    #[diesel(sql_type = Uuid)]
    pub payout_id: billing_primitives::PayoutId,
}

impl Taken {
    /// What is held, counted or owed plays no part in giving back.
    pub fn buckets(&self) -> Buckets {
        Buckets { payable: self.payable_minor, taken: self.taken_minor, ..Buckets::default() }
    }
}

/// Locks the commissions that these payouts took from.
pub async fn lock_taken(
    conn: &mut Conn,
    organization: OrganizationId,
    payouts: &[billing_primitives::PayoutId],
) -> QueryResult<Vec<Taken>> {
    diesel::sql_query(
        "SELECT c.id, c.enrollment_id, c.currency, c.payable_minor, c.taken_minor, i.amount_minor, i.payout_id
         FROM payout_item i JOIN commission c ON c.organization_id = $1 AND c.id = i.commission_id
         WHERE i.organization_id = $1 AND i.payout_id = ANY ($2) ORDER BY c.id FOR NO KEY UPDATE OF c",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(payouts)
    .load(conn)
    .await
}

/// The terms of a programme on a day.
#[derive(Debug, Clone, QueryableByName)]
pub struct InForce {
    #[diesel(sql_type = Uuid)]
    pub id: ProgramVersionId,
    #[diesel(sql_type = Text)]
    pub terms: String,
}

/// The version of a programme that is in force on a day.
pub async fn in_force(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    day: Date,
) -> QueryResult<Option<InForce>> {
    diesel::sql_query(
        "SELECT id, terms::text AS terms FROM program_version
         WHERE organization_id = $1 AND program_id = $2 AND status = 'PUBLISHED' AND effective_from <= $3
         ORDER BY effective_from DESC LIMIT 1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(program)
    .bind::<SqlDate, _>(day)
    .get_result(conn)
    .await
    .optional()
}

/// An enrollment whose partner is credited in a currency, and what it owes.
#[derive(Debug, Clone, QueryableByName)]
pub struct Credited {
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
}

/// The enrollments of these partners that are settled by credit on a day and have something payable, in the order of
/// their ids. Partners without any cost nothing more than this.
pub async fn credited(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    on: Date,
) -> QueryResult<Vec<Credited>> {
    diesel::sql_query(
        "SELECT n.id AS enrollment_id, n.partner_id, n.program_id, g.currency
         FROM enrollment n
         JOIN program g ON g.organization_id = $1 AND g.id = n.program_id
         JOIN partner p ON p.organization_id = $1 AND p.id = n.partner_id AND p.status = 'ACTIVE'
         JOIN LATERAL (
             SELECT t.settlement FROM enrollment_terms t
             WHERE t.organization_id = $1 AND t.enrollment_id = n.id AND t.effective_from <= $3
             ORDER BY t.effective_from DESC, t.id DESC LIMIT 1) AS t ON t.settlement = 'CREDIT'
         WHERE n.organization_id = $1 AND n.partner_id = ANY ($2)
           AND EXISTS (SELECT FROM commission c
                       WHERE c.organization_id = $1 AND c.enrollment_id = n.id AND c.payable_minor > 0)
         ORDER BY n.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(partners)
    .bind::<SqlDate, _>(on)
    .load(conn)
    .await
}

#[derive(QueryableByName)]
struct Debt {
    #[diesel(sql_type = Uuid)]
    id: EnrollmentId,
    #[diesel(sql_type = BigInt)]
    debt_minor: i64,
}

/// What enrollments owe.
pub async fn debts(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollments: &[EnrollmentId],
) -> QueryResult<Vec<(EnrollmentId, i64)>> {
    let rows: Vec<Debt> = diesel::sql_query(concat!(
        "SELECT n.id, (",
        debt!(),
        ")::bigint AS debt_minor FROM enrollment n WHERE n.organization_id = $1 AND n.id = ANY ($2)"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(enrollments)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.debt_minor)).collect())
}

/// Where the amounts of an enrollment stand.
#[derive(Debug, Clone, QueryableByName)]
pub struct Standing {
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub counted_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub held_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub payable_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub debt_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub in_payout_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub paid_minor: i64,
}

/// One row for each enrollment that there is.
pub async fn standings(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollments: &[EnrollmentId],
) -> QueryResult<Vec<Standing>> {
    diesel::sql_query(concat!(
        "SELECT n.id AS enrollment_id, g.currency, coalesce(c.counted, 0)::bigint AS counted_minor,
             coalesce(c.held, 0)::bigint AS held_minor, coalesce(c.payable, 0)::bigint AS payable_minor, (",
        debt!(),
        ")::bigint AS debt_minor, coalesce(o.under_way, 0)::bigint AS in_payout_minor,
             coalesce(o.paid, 0)::bigint AS paid_minor
         FROM enrollment n
         JOIN program g ON g.organization_id = $1 AND g.id = n.program_id
         LEFT JOIN LATERAL (
             SELECT sum(c.counted_minor) AS counted, sum(c.held_minor) AS held, sum(c.payable_minor) AS payable
             FROM commission c WHERE c.organization_id = $1 AND c.enrollment_id = n.id) AS c ON true
         LEFT JOIN LATERAL (
             SELECT sum(p.net_minor) FILTER (WHERE p.status IN ('APPROVED', 'SENT', 'UNKNOWN')) AS under_way,
                 sum(p.net_minor) FILTER (WHERE p.status = 'PAID') AS paid
             FROM payout p WHERE p.organization_id = $1 AND p.enrollment_id = n.id) AS o ON true
         WHERE n.organization_id = $1 AND n.id = ANY ($2)"
    ))
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(enrollments)
    .load(conn)
    .await
}
