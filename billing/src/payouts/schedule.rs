//! Runs that open by themselves: by the schedule of the version in force, once per programme and period.

use billing_db::Conn;
use billing_primitives::{Month, OrganizationId, ProgramId};

use super::model::{NewPayoutRun, PayoutRun};
use super::runs;
use super::store::runs as sql;
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Billing, organizations};

/// When runs of a programme open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutSchedule {
    pub program: ProgramId,
    /// Minute, hour, day of month, month, weekday, on the clock of the organization's zone.
    pub cron: String,
}

/// The schedules of the organization's programmes, as the versions in force today say.
///
/// # Errors
/// Faults of the database.
pub async fn schedules(billing: &Billing, organization: OrganizationId) -> Result<Vec<PayoutSchedule>, Error> {
    let work = async |conn: &mut Conn| {
        let seller = organizations::current(conn, organization).await?;
        let today = organizations::today(conn, billing, &seller).await?;
        Ok::<_, Error>(sql::scheduled(conn, organization, today).await?)
    };
    let rows = billing.db.read(organization, work).await?;
    Ok(rows.into_iter().map(|row| PayoutSchedule { program: row.program_id, cron: row.cron }).collect())
}

/// Opens the run of a period, up to the end of `month`; none when it was opened before, under the period as its key.
///
/// # Errors
/// As [`runs::open`].
pub async fn open_scheduled(
    billing: &Billing,
    organization: OrganizationId,
    program: ProgramId,
    month: Month,
) -> Result<Option<PayoutRun>, Error> {
    let input = NewPayoutRun { program, run_key: month.to_string(), cut_off: Some(month.last()) };
    match runs::open(billing, &Caller::schedule(organization), &input).await {
        Ok(opened) => Ok(Some(opened.into_inner())),
        Err(Error::Refused(Refusal::PayoutRunExists { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
