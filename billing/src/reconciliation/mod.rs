//! `avance verify`: everything that was computed is computed again and compared.
//!
//! Each check says how many things it looked at, so that a clean report also says what it covers.

mod documents;
mod evaluations;
pub(crate) mod store;
mod usage;

use billing_db::Conn;
use billing_ledger::ChainReport;
use billing_primitives::{OrganizationId, PartnerId};
use serde::{Deserialize, Serialize};

use crate::commissions::again;
use crate::error::Error;
use crate::{Billing, organizations, payments};

/// Partners that are looked at in one transaction.
const CHUNK: i64 = 200;

/// What one check looked at and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    /// How many things were compared.
    pub checked: u64,
    /// What differs, in words; empty when all is well.
    pub differences: Vec<String>,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub checks: Vec<Check>,
    /// Ledger and audit rows that no block of the hash chain covers yet.
    pub unsealed: u64,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.differences.is_empty())
    }

    pub fn differences(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().flat_map(|check| check.differences.iter().map(|found| (check.name.as_str(), found.as_str())))
    }
}

impl Check {
    fn new(name: &str) -> Self {
        Check { name: name.to_owned(), checked: 0, differences: Vec::new() }
    }

    fn count(&mut self, checked: usize) {
        self.checked += u64::try_from(checked).unwrap_or(u64::MAX);
    }

    fn expect(&mut self, right: bool, difference: impl FnOnce() -> String) {
        self.checked += 1;
        if !right {
            self.differences.push(difference());
        }
    }
}

/// Verifies an organization. Reads in transactions of limited size; what is written meanwhile may be seen or not.
///
/// # Errors
/// Faults of the database. Differences are no error; they stand in the report.
pub async fn verify(billing: &Billing, organization: OrganizationId) -> Result<Report, Error> {
    let db = billing.db.patient();
    let (books, unsealed) = db.read(organization, async |conn| ledger(conn, organization).await).await?;
    let numbers = db.read(organization, async |conn| documents::numbers(conn, organization).await).await?;
    let mut totals = Check::new("documents: totals, VAT and content hashes");
    let mut tiers = Check::new("tier evaluations follow from users, pins and the months before");
    let mut used = Check::new("invoices follow from seats and prices");
    let mut after = String::new();
    loop {
        let partners = db
            .read(organization, async |conn| Ok::<_, Error>(store::partners(conn, organization, &after, CHUNK).await?))
            .await?;
        let Some((_, last)) = partners.last() else { break };
        let ids: Vec<PartnerId> = partners.iter().map(|(id, _)| *id).collect();
        let found = db.read(organization, async |conn| partner_checks(conn, organization, &ids).await).await?;
        for (sum, part) in [&mut totals, &mut tiers, &mut used].into_iter().zip(found) {
            sum.checked += part.checked;
            sum.differences.extend(part.differences);
        }
        after.clone_from(last);
    }
    let mut checks = books;
    checks.extend(db.read(organization, async |conn| store::commissions::checks(conn, organization).await).await?);
    checks.extend([accruals(billing, organization).await?, numbers, totals, tiers, used]);
    Ok(Report { checks, unsealed })
}

/// Derives the commissions of every customer again from the stored facts.
async fn accruals(billing: &Billing, organization: OrganizationId) -> Result<Check, Error> {
    let mut check = Check::new("commissions follow from the facts of their customers");
    let mut after = None;
    loop {
        let chunk = async |conn: &mut Conn| again::compare(conn, billing, organization, after).await;
        let compared = billing.db.patient().read(organization, chunk).await?;
        check.count(compared.customers);
        check.differences.extend(compared.differences);
        match compared.last {
            Some(last) => after = Some(last),
            None => return Ok(check),
        }
    }
}

async fn partner_checks(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<[Check; 3], Error> {
    let organization = organizations::current(conn, organization).await?;
    let totals = documents::contents(conn, &organization, partners).await?;
    let tiers = evaluations::check(conn, &organization, partners).await?;
    let used = usage::check(conn, &organization, partners).await?;
    Ok([totals, tiers, used])
}

async fn ledger(conn: &mut Conn, organization: OrganizationId) -> Result<(Vec<Check>, u64), Error> {
    let mut balance = Check::new("ledger: transactions and trial balance");
    let accounts = billing_ledger::trial_balance(conn, organization).await?;
    balance.count(accounts.len());
    let sum: i128 = accounts.iter().map(|account| i128::from(account.debit_balance())).sum();
    balance.expect(sum == 0, || format!("the accounts sum to {sum} instead of 0"));
    for id in billing_ledger::unbalanced_transactions(conn, organization).await? {
        balance.differences.push(format!("{id} is empty or mixes currencies"));
    }
    let chain = billing_ledger::verify_chain(conn, organization).await?;
    let ChainReport { sealed, unsealed, broken, .. } = chain;
    let sealed =
        Check { name: "hash chain over ledger and audit log".to_owned(), checked: sealed, differences: broken };
    let mut posted = Check::new("ledger: documents are posted as they stand");
    store::posted(conn, organization, &mut posted).await?;
    let mut settled = Check::new("settlements, payments and credit balances");
    settled.differences = payments::reconcile(conn, organization).await?;
    settled.checked = store::settlements(conn, organization).await?;
    Ok((vec![balance, sealed, posted, settled], unsealed))
}

/// Seals what has been committed to the books and the audit log; returns how many rows.
///
/// # Errors
/// Faults of the database.
pub async fn seal(billing: &Billing, organization: OrganizationId) -> Result<usize, Error> {
    let mut sealed = 0;
    loop {
        let block = billing.db.patient();
        let block =
            block.scoped(organization, async |conn| Ok::<_, Error>(billing_ledger::seal(conn, organization).await?));
        match block.await? {
            0 => return Ok(sealed),
            rows => sealed += rows,
        }
    }
}
