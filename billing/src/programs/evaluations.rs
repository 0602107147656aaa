//! The tier of each enrollment and month: written once, from what was known on the month's first day, never reopened.
//!
//! A month's tier counts from its first day, up or down at once; a day without an evaluation has the lowest tier.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{
    Currency, Date, EnrollmentId, Month, OrganizationId, ProgramId, ProgramVersionId, TimeZone, Timestamp,
};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::enrollments::Enrollment;
use super::terms::ProgramTier;
use super::versions::{ProgramVersion, published_of};
use super::{Program, rules, store};
use crate::bulk::{by, distinct, group};
use crate::commissions::again;
use crate::error::Error;
use crate::page::{Page, Slice};
use crate::{Billing, organizations};

/// Enrollments evaluated in one transaction.
const CHUNK: i64 = 500;

/// The affiliate tier of a month.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::enrollment_evaluation)]
pub struct EnrollmentEvaluation {
    pub organization_id: OrganizationId,
    pub enrollment_id: EnrollmentId,
    pub month: Month,
    pub program_version_id: ProgramVersionId,
    pub tier_code: String,
    /// Attributed customers with a base still above zero.
    pub converted_customers: i64,
    /// Net bases of the twelve months before, in minor units of `currency`.
    pub net_revenue_minor: i64,
    pub currency: Currency,
    pub created_at: Timestamp,
}

/// What tiers are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    pub enrollment: EnrollmentId,
    pub converted_customers: i64,
    pub net_revenue_minor: i64,
}

/// Which facts are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Customers attributed on this day count.
    pub day: Date,
    /// Revenue from this instant on counts, and facts up to `until`, exclusive.
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Where an enrollment stands: its tier of today and what the next one asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierProgress {
    pub enrollment: EnrollmentId,
    /// The version in force today.
    pub version: ProgramVersionId,
    /// Of the net revenue.
    pub currency: Currency,
    pub tier: ProgramTier,
    /// As they are now; the next evaluation will count at least the same twelve months.
    pub converted_customers: i64,
    pub net_revenue_minor: i64,
    /// None: it is in the highest one.
    pub next: Option<NextTier>,
}

/// The tier above, and what is missing until it; zero: reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextTier {
    pub tier: ProgramTier,
    pub missing_customers: i64,
    pub missing_revenue_minor: i64,
}

/// Evaluates the month it is for the organization, and says how many enrollments were.
///
/// # Errors
/// As [`evaluate_month`].
pub async fn evaluate_current(billing: &Billing, organization: OrganizationId) -> Result<usize, Error> {
    let work = async |conn: &mut Conn| {
        let seller = organizations::current(conn, organization).await?;
        organizations::today(conn, billing, &seller).await
    };
    let today = billing.db.read(organization, work).await?;
    evaluate_month(billing, organization, today.month()).await
}

/// Evaluates the enrollments that are active on the first of the month, have a version in force then and no evaluation
/// of it yet, and says how many were. A month that has not begun has none.
///
/// # Errors
/// Faults of the database.
pub async fn evaluate_month(billing: &Billing, organization: OrganizationId, month: Month) -> Result<usize, Error> {
    let (mut evaluated, mut after) = (0_usize, None);
    loop {
        let chunk = billing
            .db
            .scoped(organization, async |conn| evaluate_chunk(conn, billing, organization, month, after).await)
            .await?;
        evaluated = evaluated.saturating_add(chunk.written);
        match chunk.last {
            Some(last) => after = Some(last),
            None => return Ok(evaluated),
        }
    }
}

struct Chunk {
    written: usize,
    /// None: there are no more.
    last: Option<EnrollmentId>,
}

async fn evaluate_chunk(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    month: Month,
    after: Option<EnrollmentId>,
) -> Result<Chunk, Error> {
    let now = billing.clock.now(conn).await?;
    let zone = organizations::current(conn, organization).await?.time_zone;
    if now.date_in(&zone).month() < month {
        return Ok(Chunk { written: 0, last: None });
    }
    let enrollments = store::unevaluated(conn, organization, month, after, CHUNK).await?;
    let last = enrollments.last().map(|enrollment| enrollment.id);
    let context = Context::load(conn, organization, &enrollments).await?;
    let measured = context.measured(&enrollments, month.first());
    if measured.is_empty() {
        return Ok(Chunk { written: 0, last });
    }
    let ids: Vec<EnrollmentId> = measured.iter().map(|(enrollment, _)| enrollment.id).collect();
    let figures = figures(conn, organization, &ids, month_measure(month, &zone)?).await?;
    let rows = measured.iter().filter_map(|(enrollment, version)| {
        let figures = figures.get(&enrollment.id)?;
        let tier = rules::tier_for(&version.terms, figures.converted_customers, figures.net_revenue_minor)?;
        Some(EnrollmentEvaluation {
            organization_id: organization,
            enrollment_id: enrollment.id,
            month,
            program_version_id: version.id,
            tier_code: tier.code.clone(),
            converted_customers: figures.converted_customers,
            net_revenue_minor: figures.net_revenue_minor,
            currency: context.programs.get(&enrollment.program_id)?.currency,
            created_at: now,
        })
    });
    let rows: Vec<EnrollmentEvaluation> = rows.collect();
    let written = store::insert_evaluations(conn, &rows).await?;
    // A job that comes late finds what was paid meanwhile at the lowest tier.
    let begun = zone.start_of(month.first())?;
    for program in store::earning_since(conn, organization, &ids, begun).await? {
        again::enqueue(conn, organization, program, &format!("evaluation {month}")).await?;
    }
    Ok(Chunk { written, last })
}

/// What was known when the month began: its first instant ends what counts.
fn month_measure(month: Month, zone: &TimeZone) -> Result<Measure, Error> {
    let since = zone.start_of(rules::revenue_since(month))?;
    Ok(Measure { day: month.first(), since, until: zone.start_of(month.first())? })
}

/// Programmes and published versions of some enrollments.
struct Context {
    programs: HashMap<ProgramId, Program>,
    published: HashMap<ProgramId, Vec<ProgramVersion>>,
}

impl Context {
    async fn load(conn: &mut Conn, organization: OrganizationId, of: &[Enrollment]) -> Result<Context, Error> {
        let ids = distinct(of.iter().map(|enrollment| enrollment.program_id));
        let programs = by(store::by_ids(conn, organization, &ids).await?, |program| program.id);
        let published = group(published_of(conn, organization, &ids).await?, |version| version.program_id);
        Ok(Context { programs, published })
    }

    /// The enrollments that have a version in force on `day`, each with it.
    fn measured<'a>(&'a self, of: &'a [Enrollment], day: Date) -> Vec<(&'a Enrollment, &'a ProgramVersion)> {
        let version = |enrollment: &Enrollment| rules::version_on(self.published.get(&enrollment.program_id)?, day);
        of.iter().filter_map(|enrollment| Some((enrollment, version(enrollment)?))).collect()
    }
}

async fn figures(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[EnrollmentId],
    measure: Measure,
) -> Result<HashMap<EnrollmentId, Figures>, Error> {
    Ok(by(store::figures(conn, organization, ids, measure).await?, |figures| figures.enrollment))
}

/// Where these enrollments stand; one whose programme has no version in force is left out.
///
/// # Errors
/// Faults of the database.
pub async fn progress(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[EnrollmentId],
) -> Result<Vec<TierProgress>, Error> {
    let work = async |conn: &mut Conn| {
        let zone = organizations::current(conn, organization).await?.time_zone;
        let today = billing.clock.now(conn).await?.date_in(&zone);
        let enrollments = store::enrollments(conn, organization, ids).await?;
        let context = Context::load(conn, organization, &enrollments).await?;
        let measured = context.measured(&enrollments, today);
        let evaluations = store::evaluations_at(conn, organization, ids, &[today.month()]).await?;
        let evaluations = by(evaluations, |row| row.enrollment_id);
        // What the evaluation of next month will look back on, as far as it is known.
        let since = zone.start_of(rules::revenue_since(today.month().next()))?;
        let measure = Measure { day: today, since, until: zone.start_of(today.next())? };
        let figures = figures(conn, organization, ids, measure).await?;
        let standing = measured.iter().filter_map(|(enrollment, version)| {
            let code = evaluations.get(&enrollment.id).map(|row| row.tier_code.as_str());
            let currency = context.programs.get(&enrollment.program_id)?.currency;
            standing(version, currency, code, figures.get(&enrollment.id)?)
        });
        Ok::<_, Error>(standing.collect())
    };
    billing.db.read(organization, work).await
}

fn standing(version: &ProgramVersion, currency: Currency, code: Option<&str>, now: &Figures) -> Option<TierProgress> {
    let tier = rules::tier_named(&version.terms, code)?;
    let next = rules::next_tier(&version.terms, &tier.code).map(|next| NextTier {
        tier: next.clone(),
        missing_customers: next.converted_customers.saturating_sub(now.converted_customers).max(0),
        missing_revenue_minor: next.net_revenue_minor.saturating_sub(now.net_revenue_minor).max(0),
    });
    Some(TierProgress {
        enrollment: now.enrollment,
        version: version.id,
        currency,
        tier: tier.clone(),
        converted_customers: now.converted_customers,
        net_revenue_minor: now.net_revenue_minor,
        next,
    })
}

/// A page of an enrollment's evaluations, the newest first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    enrollment: EnrollmentId,
    page: &Page<Month>,
) -> Result<Slice<EnrollmentEvaluation>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(store::evaluations(conn, organization, enrollment, page).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}
