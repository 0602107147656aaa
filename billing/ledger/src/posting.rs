//! Writing postings, many at a time.

use std::collections::BTreeMap;

use billing_db::{Conn, DbError, Keep};
use billing_primitives::{Date, LedgerAccountId, LedgerTransactionId, Money, OrganizationId};
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::account::AccountKey;

/// An amount above zero from one account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    pub debit: AccountKey,
    pub credit: AccountKey,
    pub amount: Money,
}

/// One business fact in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub kind: &'static str,
    /// The fact's id. A fact of one kind is posted once: the second time is a unique violation.
    pub source: String,
    pub occurred_on: Date,
    /// Transfers of nothing are left out; a posting without any is not written.
    pub transfers: Vec<Transfer>,
}

/// Writes postings in three statements, however many they are. Returns how many were written.
///
/// # Errors
/// Faults of the database; a unique violation when a fact was posted before; a check violation for amounts below zero
/// and for transfers within one account.
pub async fn post(conn: &mut Conn, organization: OrganizationId, postings: &[Posting]) -> Result<usize, DbError> {
    let mut rows = Rows::default();
    for posting in postings {
        rows.add(organization, posting);
    }
    if rows.transactions.id.is_empty() {
        return Ok(0);
    }
    open_accounts(conn, organization, &rows.accounts).await?;
    insert_transactions(conn, organization, &rows.transactions).await?;
    insert_transfers(conn, organization, &rows.transfers).await?;
    Ok(rows.transactions.id.len())
}

#[derive(Default)]
struct Rows {
    accounts: BTreeMap<LedgerAccountId, AccountKey>,
    transactions: Transactions,
    transfers: Transfers,
}

#[derive(Default)]
struct Transactions {
    id: Vec<LedgerTransactionId>,
    kind: Vec<&'static str>,
    source: Vec<String>,
    occurred_on: Vec<Date>,
}

#[derive(Default)]
struct Transfers {
    transaction: Vec<LedgerTransactionId>,
    position: Vec<i32>,
    debit: Vec<LedgerAccountId>,
    credit: Vec<LedgerAccountId>,
    amount: Vec<i64>,
    currency: Vec<billing_primitives::Currency>,
}

impl Rows {
    fn add(&mut self, organization: OrganizationId, posting: &Posting) {
        let id = LedgerTransactionId::new();
        let real = posting.transfers.iter().filter(|transfer| !transfer.amount.is_zero());
        let mut position = 0;
        for transfer in real {
            position += 1;
            let (debit, credit) = (transfer.debit.id(organization), transfer.credit.id(organization));
            self.accounts.insert(debit, transfer.debit);
            self.accounts.insert(credit, transfer.credit);
            self.transfers.transaction.push(id);
            self.transfers.position.push(position);
            self.transfers.debit.push(debit);
            self.transfers.credit.push(credit);
            self.transfers.amount.push(transfer.amount.minor);
            self.transfers.currency.push(transfer.amount.currency);
        }
        if position > 0 {
            self.transactions.id.push(id);
            self.transactions.kind.push(posting.kind);
            self.transactions.source.push(posting.source.clone());
            self.transactions.occurred_on.push(posting.occurred_on);
        }
    }
}

/// Opens the accounts that are not there yet, in the order of their ids, so that two writers never wait for each other
/// in a circle.
async fn open_accounts(
    conn: &mut Conn,
    organization: OrganizationId,
    accounts: &BTreeMap<LedgerAccountId, AccountKey>,
) -> Result<(), DbError> {
    let ids: Vec<LedgerAccountId> = accounts.keys().copied().collect();
    let kinds: Vec<&str> = accounts.values().map(|account| account.kind).collect();
    let owners: Vec<Option<Uuid>> = accounts.values().map(|account| account.owner).collect();
    let currencies: Vec<_> = accounts.values().map(|account| account.currency).collect();
    diesel::sql_query(
        "INSERT INTO ledger_account (organization_id, id, kind, owner_id, currency)
         SELECT seller.organization_id, a.id, a.kind, a.owner_id, a.currency
         FROM organization seller, unnest($2, $3, $4, $5) AS a (id, kind, owner_id, currency)
         WHERE seller.organization_id = $1
           AND NOT EXISTS (SELECT FROM ledger_account known WHERE known.organization_id = $1 AND known.id = a.id)
         ORDER BY a.id
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Nullable<SqlUuid>>, _>(owners)
    .bind::<Array<Text>, _>(currencies)
    .kept()
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_transactions(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &Transactions,
) -> Result<(), DbError> {
    let written = diesel::sql_query(
        "INSERT INTO ledger_transaction (organization_id, id, kind, source, occurred_on)
         SELECT seller.organization_id, t.id, t.kind, t.source, t.occurred_on
         FROM organization seller, unnest($2, $3, $4, $5) AS t (id, kind, source, occurred_on)
         WHERE seller.organization_id = $1",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(&rows.id)
    .bind::<Array<Text>, _>(&rows.kind)
    .bind::<Array<Text>, _>(&rows.source)
    .bind::<Array<SqlDate>, _>(&rows.occurred_on)
    .kept()
    .execute(conn)
    .await?;
    DbError::expect_rows("ledger_transaction", rows.id.len(), written)
}

async fn insert_transfers(conn: &mut Conn, organization: OrganizationId, rows: &Transfers) -> Result<(), DbError> {
    let written = diesel::sql_query(
        "INSERT INTO ledger_transfer
             (organization_id, transaction_id, position, debit_account_id, credit_account_id, amount_minor, currency)
         SELECT seller.organization_id, t.transaction_id, t.position, t.debit, t.credit, t.amount, t.currency
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7)
             AS t (transaction_id, position, debit, credit, amount, currency)
         WHERE seller.organization_id = $1",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(&rows.transaction)
    .bind::<Array<Integer>, _>(&rows.position)
    .bind::<Array<SqlUuid>, _>(&rows.debit)
    .bind::<Array<SqlUuid>, _>(&rows.credit)
    .bind::<Array<BigInt>, _>(&rows.amount)
    .bind::<Array<Text>, _>(&rows.currency)
    .kept()
    .execute(conn)
    .await?;
    DbError::expect_rows("ledger_transfer", rows.transaction.len(), written)
}
