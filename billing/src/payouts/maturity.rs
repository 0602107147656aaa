//! What was held ripens: a posting, made by the job or by whoever takes the amount.
//!
//! Twice is once: a commission that holds nothing has nothing to ripen, and its row is locked when that is looked at.

use billing_db::Conn;
use billing_primitives::{CommissionId, Date, EnrollmentId, OrganizationId, ProgramId, Timestamp};
use serde_json::json;

use super::store::ripening;
use crate::caller::{Actor, Caller};
use crate::commissions::book::{self, BookedStep, Pen};
use crate::commissions::rules::buckets;
use crate::error::Error;
use crate::{Applied, Billing, audit, bulk, organizations, trace};

/// Commissions that ripen in one transaction.
const CHUNK: i64 = 1000;

/// Lets ripen what may by now; returns how many commissions did. For an hourly job.
///
/// # Errors
/// Faults of the database.
pub async fn mature(billing: &Billing, organization: OrganizationId) -> Result<usize, Error> {
    ripen(billing, organization, Ripening::default()).await
}

/// As [`mature`], because somebody asks for it.
///
/// # Errors
/// Faults of the database.
pub async fn mature_now(billing: &Billing, caller: &Caller) -> Result<Applied<u64>, Error> {
    let ripened = u64::try_from(mature(billing, caller.organization).await?).unwrap_or(u64::MAX);
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        let details = json!({ "ripened": ripened });
        audit::record(conn, caller, now, "commission.mature", caller.organization, details).await?;
        Ok::<_, Error>(ripened)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Which commissions ripen, and for which day that is booked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ripening {
    pub program: Option<ProgramId>,
    /// What was ripe when this day ended is booked for it, so that a statement is the same however late the job came.
    /// None: now, and for today.
    pub by_end_of: Option<Date>,
}

/// What one chunk is done by.
struct Moment {
    /// Ripe at this instant.
    ripe: Timestamp,
    on: Date,
    now: Timestamp,
}

/// Lets ripen what was asked for, chunk by chunk, each in a transaction of its own.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn ripen(billing: &Billing, organization: OrganizationId, asked: Ripening) -> Result<usize, Error> {
    let mut ripened = 0;
    let mut after = None;
    loop {
        let work = async |conn: &mut Conn| chunk(conn, billing, organization, asked, after).await;
        let (last, done) = billing.db.patient().scoped(organization, work).await?;
        ripened += done;
        match last {
            None => return Ok(ripened),
            last => after = last,
        }
    }
}

/// One chunk behind a commission: the last one it looked at, and how many ripened.
async fn chunk(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    asked: Ripening,
    after: Option<CommissionId>,
) -> Result<(Option<CommissionId>, usize), Error> {
    let seller = organizations::current(conn, organization).await?;
    let now = billing.clock.now(conn).await?;
    let moment = match asked.by_end_of {
        None => Moment { ripe: now, on: now.date_in(&seller.time_zone), now },
        Some(day) => Moment { ripe: seller.time_zone.start_of(day.next())?.plus_seconds(-1), on: day, now },
    };
    let ripe =
        ripening::Ripe { program: asked.program, at: moment.ripe, known_by: asked.by_end_of.map(|_| moment.ripe) };
    let found = ripening::candidates(conn, organization, ripe, after, CHUNK).await?;
    let Some((last, _)) = found.last().copied() else { return Ok((None, 0)) };
    let enrollments: Vec<EnrollmentId> = bulk::distinct(found.iter().map(|(_, enrollment)| *enrollment));
    super::store::lock_enrollments(conn, organization, &enrollments).await?;
    let ids: Vec<CommissionId> = found.iter().map(|(id, _)| *id).collect();
    let locked = ripening::lock(conn, organization, ripe, &ids).await?;
    let step = |held: &ripening::Held| {
        let step = buckets::mature(held.buckets())?;
        let trace = trace::json(&json!({ "payableAt": held.payable_at }));
        let (commission, enrollment, currency) = (held.id, held.enrollment_id, held.currency);
        Some(BookedStep { commission, enrollment, currency, step, cause: "maturity".to_owned(), trace })
    };
    let steps: Vec<BookedStep> = locked.iter().filter_map(step).collect();
    let actor = Actor::Schedule.to_string();
    let pen = Pen { actor: &actor, occurred_on: moment.on, now: moment.now };
    book::write(conn, organization, &[], &steps, pen).await?;
    Ok((Some(last), steps.len()))
}
