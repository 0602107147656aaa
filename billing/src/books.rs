//! The organization's books as its readers see them: accounts, balances, entries. Nothing here posts.
//!
//! Balances are debits less credits: what is owed to the organization is above zero, what it owes, its revenue and its
//! VAT are below. Over all accounts of a currency they add up to zero.

use billing_db::Conn;
use billing_primitives::{
    Currency, EnrollmentId, LedgerAccountId, LedgerTransactionId, Money, OrganizationId, PartnerId,
};

pub use billing_ledger::{AccountBalance, Entry, KindTotal};

use crate::Billing;
use crate::chart::kind;
use crate::error::Error;
use crate::page::{Page, Slice};

/// An account of the chart in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerAccount {
    pub id: LedgerAccountId,
    /// One of [`crate::chart::kind::ALL`].
    pub kind: String,
    /// The partner whose it is; none: the organization's own, or an enrollment's.
    pub partner: Option<PartnerId>,
    /// The enrollment whose it is.
    pub enrollment: Option<EnrollmentId>,
    pub currency: Currency,
}

impl From<billing_ledger::Account> for LedgerAccount {
    fn from(row: billing_ledger::Account) -> Self {
        // The kind says whose account it is.
        let (partner, enrollment) = match row.owner_id {
            Some(owner) if kind::OF_ENROLLMENTS.contains(&row.kind.as_str()) => {
                (None, Some(EnrollmentId::from_uuid(owner)))
            }
            owner => (owner.map(PartnerId::from_uuid), None),
        };
        LedgerAccount { id: row.id, kind: row.kind, partner, enrollment, currency: row.currency }
    }
}

/// Where an entry stands in its account.
pub type EntryKey = (LedgerTransactionId, i32);

/// A page of accounts in the order of their ids.
///
/// # Errors
/// Faults of the database.
pub async fn accounts(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<LedgerAccountId>,
) -> Result<Slice<LedgerAccount>, Error> {
    let work = async |conn: &mut Conn| {
        Ok::<_, Error>(billing_ledger::accounts(conn, organization, None, page.after, page.limit()).await?)
    };
    let rows = billing.db.read(organization, work).await?;
    Ok(page.slice(rows.into_iter().map(LedgerAccount::from).collect()))
}

/// Accounts by their ids, in no order.
///
/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[LedgerAccountId],
) -> Result<Vec<LedgerAccount>, Error> {
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let work = async |conn: &mut Conn| {
        Ok::<_, Error>(billing_ledger::accounts(conn, organization, Some(ids), None, limit).await?)
    };
    let rows = billing.db.read(organization, work).await?;
    Ok(rows.into_iter().map(LedgerAccount::from).collect())
}

/// Debits and credits of some accounts; one that was never posted to has no row.
///
/// # Errors
/// Faults of the database.
pub async fn balances_of(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[LedgerAccountId],
) -> Result<Vec<AccountBalance>, Error> {
    let work = async |conn: &mut Conn| Ok(billing_ledger::balances(conn, organization, ids).await?);
    billing.db.read(organization, work).await
}

/// A page of an account's entries in the order in which they were written.
///
/// # Errors
/// Faults of the database.
pub async fn entries(
    billing: &Billing,
    organization: OrganizationId,
    account: LedgerAccountId,
    page: &Page<EntryKey>,
) -> Result<Slice<Entry>, Error> {
    let work = async |conn: &mut Conn| {
        Ok::<_, Error>(billing_ledger::account_entries(conn, organization, account, page.after, page.limit()).await?)
    };
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// Debits and credits per kind of account and currency, in this order.
///
/// # Errors
/// Faults of the database.
pub async fn trial_balance(billing: &Billing, organization: OrganizationId) -> Result<Vec<KindTotal>, Error> {
    let work = async |conn: &mut Conn| Ok(billing_ledger::totals_by_kind(conn, organization).await?);
    billing.db.read(organization, work).await
}

/// The balance as an amount.
///
/// # Errors
/// [`crate::Refusal::AmountOverflow`].
pub fn balance(debit_minor: i64, credit_minor: i64, currency: Currency) -> Result<Money, Error> {
    Ok(Money::new(debit_minor, currency).checked_sub(Money::new(credit_minor, currency))?)
}
