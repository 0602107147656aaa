//! What an enrollment has coming and what it owes, at this moment.

use billing_primitives::{EnrollmentId, Money, OrganizationId};

use super::store::due;
use crate::Billing;
use crate::error::Error;

/// Where the amounts of an enrollment stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub enrollment: EnrollmentId,
    /// REPORT_ONLY: counted and never payable.
    pub counted: Money,
    /// Earned, and not ripe yet.
    pub held: Money,
    /// Ripe, and in no payout; debts are not taken off.
    pub payable: Money,
    /// Clawed back after it was paid out, and netted by no payout yet.
    pub debt: Money,
    /// In payouts that are approved and not settled.
    pub in_payout: Money,
    /// Transferred or credited so far.
    pub paid: Money,
}

/// The balances of enrollments, in the currencies of their programmes.
///
/// # Errors
/// Faults of the database.
pub async fn balances_of(
    billing: &Billing,
    organization: OrganizationId,
    enrollments: &[EnrollmentId],
) -> Result<Vec<Balance>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(due::standings(conn, organization, enrollments).await?))
        .await?;
    let balance = |row: due::Standing| {
        let money = |minor| Money::new(minor, row.currency);
        Balance {
            enrollment: row.enrollment_id,
            counted: money(row.counted_minor),
            held: money(row.held_minor),
            payable: money(row.payable_minor),
            debt: money(row.debt_minor),
            in_payout: money(row.in_payout_minor),
            paid: money(row.paid_minor),
        }
    };
    Ok(rows.into_iter().map(balance).collect())
}
