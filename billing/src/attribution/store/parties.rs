//! SQL that finds who is meant: the enrollment behind a code, and what its programme says on a day.

use billing_db::Conn;
use billing_primitives::{Date, EnrollmentId, OrganizationId, PartnerId, ProgramId, ReferralCodeId};
use diesel::prelude::*;
use diesel::sql_types::{self, Array, Json, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;

/// An enrollment that can bring customers on the day asked for.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Standing {
    #[diesel(sql_type = Uuid)]
    pub enrollment_id: EnrollmentId,
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Text)]
    pub partner_email: String,
    /// The code by which it was found.
    #[diesel(sql_type = Nullable<Uuid>)]
    pub referral_code_id: Option<ReferralCodeId>,
}

/// The enrollment that a code means. None for one that is unknown or disabled, whose partner is suspended or
/// terminated, or whose enrollment does not run on the day: nobody can tell these apart.
pub async fn by_code(
    conn: &mut Conn,
    organization: OrganizationId,
    code_key: &str,
    day: Date,
) -> QueryResult<Option<Standing>> {
    diesel::sql_query(
        "SELECT e.id AS enrollment_id, e.program_id, e.partner_id, p.email AS partner_email, c.id AS referral_code_id
         FROM referral_code c
         JOIN partner p ON p.organization_id = c.organization_id AND p.id = c.partner_id
         JOIN enrollment e ON e.organization_id = c.organization_id AND e.partner_id = c.partner_id
         JOIN program g ON g.organization_id = e.organization_id AND g.id = e.program_id
         WHERE c.organization_id = $1 AND c.code_key = $2 AND c.status = 'ACTIVE'
           AND CASE WHEN c.enrollment_id IS NULL THEN g.is_default ELSE e.id = c.enrollment_id END
           AND (p.status = 'ACTIVE' OR p.terminated_from > $3)
           AND e.enrolled_from <= $3 AND (e.ended_from IS NULL OR e.ended_from > $3)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Text, _>(code_key)
    .bind::<sql_types::Date, _>(day)
    .get_result(conn)
    .await
    .optional()
}

/// The enrollment with this id, or a partner's in the default programme, if it can bring customers on the day.
pub async fn of_partner(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    enrollment: Option<EnrollmentId>,
    day: Date,
) -> QueryResult<Option<Standing>> {
    diesel::sql_query(
        "SELECT e.id AS enrollment_id, e.program_id, e.partner_id, p.email AS partner_email,
                NULL::uuid AS referral_code_id
         FROM enrollment e
         JOIN partner p ON p.organization_id = e.organization_id AND p.id = e.partner_id
         JOIN program g ON g.organization_id = e.organization_id AND g.id = e.program_id
         WHERE e.organization_id = $1 AND e.partner_id = $2
           AND CASE WHEN $3::uuid IS NULL THEN g.is_default ELSE e.id = $3 END
           AND (p.status = 'ACTIVE' OR p.terminated_from > $4)
           AND e.enrolled_from <= $4 AND (e.ended_from IS NULL OR e.ended_from > $4)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(partner)
    .bind::<Nullable<Uuid>, _>(enrollment)
    .bind::<sql_types::Date, _>(day)
    .get_result(conn)
    .await
    .optional()
}

/// An enrollment with the days on which it runs.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Days {
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Text)]
    pub partner: String,
    #[diesel(sql_type = sql_types::Date)]
    pub enrolled_from: Date,
    #[diesel(sql_type = Nullable<sql_types::Date>)]
    pub ended_from: Option<Date>,
}

impl Days {
    pub fn contain(&self, day: Date) -> bool {
        self.enrolled_from <= day && self.ended_from.is_none_or(|end| day < end)
    }
}

pub async fn days_of(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollment: EnrollmentId,
) -> QueryResult<Option<Days>> {
    diesel::sql_query(
        "SELECT e.partner_id, p.external_id AS partner, e.enrolled_from, e.ended_from
         FROM enrollment e JOIN partner p ON p.organization_id = e.organization_id AND p.id = e.partner_id
         WHERE e.organization_id = $1 AND e.id = $2",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(enrollment)
    .get_result(conn)
    .await
    .optional()
}

/// What a programme says.
#[derive(Debug, QueryableByName)]
pub struct StoredTerms {
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = Json)]
    pub terms: serde_json::Value,
}

/// The terms of the versions that are in force on the day; programmes that have none are left out.
pub async fn terms_on(
    conn: &mut Conn,
    organization: OrganizationId,
    programs: &[ProgramId],
    day: Date,
) -> QueryResult<Vec<StoredTerms>> {
    diesel::sql_query(
        "SELECT DISTINCT ON (program_id) program_id, terms FROM program_version
         WHERE organization_id = $1 AND program_id = ANY($2) AND status = 'PUBLISHED' AND effective_from <= $3
         ORDER BY program_id, effective_from DESC",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(programs)
    .bind::<sql_types::Date, _>(day)
    .load(conn)
    .await
}
