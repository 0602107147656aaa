//! Reading the books: accounts, balances, entries.

use billing_db::Conn;
use billing_primitives::{Currency, Date, LedgerAccountId, LedgerTransactionId, Money, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// An account as it stands in the books.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Account {
    #[diesel(sql_type = SqlUuid)]
    pub id: LedgerAccountId,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub owner_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
}

/// What was debited and credited in all; the balance is the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct AccountBalance {
    #[diesel(sql_type = SqlUuid)]
    pub id: LedgerAccountId,
    #[diesel(sql_type = BigInt)]
    pub debit_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub credit_minor: i64,
}

impl AccountBalance {
    /// Debits less credits.
    pub fn debit_balance(&self) -> i64 {
        self.debit_minor - self.credit_minor
    }
}

/// One transfer with the transaction it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = SqlUuid)]
    pub transaction_id: LedgerTransactionId,
    #[diesel(sql_type = Integer)]
    pub position: i32,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub source: String,
    #[diesel(sql_type = SqlDate)]
    pub occurred_on: Date,
    #[diesel(sql_type = Timestamptz)]
    pub created_at: Timestamp,
    #[diesel(sql_type = SqlUuid)]
    pub debit_account_id: LedgerAccountId,
    #[diesel(sql_type = SqlUuid)]
    pub credit_account_id: LedgerAccountId,
    #[diesel(sql_type = BigInt)]
    pub amount_minor: i64,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
}

impl Entry {
    pub fn amount(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }
}

/// A page of accounts in the order of their ids; `ids` picks some of them.
///
/// # Errors
/// Faults of the database.
pub async fn accounts(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: Option<&[LedgerAccountId]>,
    after: Option<LedgerAccountId>,
    limit: i64,
) -> QueryResult<Vec<Account>> {
    diesel::sql_query(
        "SELECT id, kind, owner_id, currency FROM ledger_account
         WHERE organization_id = $1 AND ($2::uuid[] IS NULL OR id = ANY ($2)) AND ($3::uuid IS NULL OR id > $3)
         ORDER BY id LIMIT $4",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Nullable<Array<SqlUuid>>, _>(ids.map(<[_]>::to_vec))
    .bind::<Nullable<SqlUuid>, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await
}

/// Balances of some accounts; an account that was never posted to has no row.
///
/// # Errors
/// Faults of the database.
pub async fn balances(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[LedgerAccountId],
) -> QueryResult<Vec<AccountBalance>> {
    diesel::sql_query(
        "SELECT side.id, sum(side.debit)::bigint AS debit_minor, sum(side.credit)::bigint AS credit_minor
         FROM (
             SELECT debit_account_id AS id, amount_minor AS debit, 0 AS credit FROM ledger_transfer
             WHERE organization_id = $1 AND debit_account_id = ANY ($2)
             UNION ALL
             SELECT credit_account_id, 0, amount_minor FROM ledger_transfer
             WHERE organization_id = $1 AND credit_account_id = ANY ($2)
         ) AS side GROUP BY side.id ORDER BY side.id",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(ids.to_vec())
    .load(conn)
    .await
}

/// The balance of every account that was posted to.
///
/// # Errors
/// Faults of the database.
pub async fn trial_balance(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<AccountBalance>> {
    diesel::sql_query(
        "SELECT side.id, sum(side.debit)::bigint AS debit_minor, sum(side.credit)::bigint AS credit_minor
         FROM (
             SELECT debit_account_id AS id, amount_minor AS debit, 0 AS credit FROM ledger_transfer
             WHERE organization_id = $1
             UNION ALL
             SELECT credit_account_id, 0, amount_minor FROM ledger_transfer WHERE organization_id = $1
         ) AS side GROUP BY side.id ORDER BY side.id",
    )
    .bind::<SqlUuid, _>(organization)
    .load(conn)
    .await
}

/// What was debited and credited on all accounts of one kind and currency.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct KindTotal {
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub debit_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub credit_minor: i64,
}

/// The trial balance by kind of account: its length does not grow with the number of owners. In the order of currency
/// and kind.
///
/// # Errors
/// Faults of the database.
pub async fn totals_by_kind(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<KindTotal>> {
    diesel::sql_query(
        "SELECT a.kind, a.currency, sum(side.debit)::bigint AS debit_minor, sum(side.credit)::bigint AS credit_minor
         FROM (
             SELECT debit_account_id AS id, sum(amount_minor) AS debit, 0 AS credit FROM ledger_transfer
             WHERE organization_id = $1 GROUP BY debit_account_id
             UNION ALL
             SELECT credit_account_id, 0, sum(amount_minor) FROM ledger_transfer
             WHERE organization_id = $1 GROUP BY credit_account_id
         ) AS side
         JOIN ledger_account a ON a.organization_id = $1 AND a.id = side.id
         GROUP BY a.kind, a.currency ORDER BY a.currency, a.kind",
    )
    .bind::<SqlUuid, _>(organization)
    .load(conn)
    .await
}

const ENTRY: &str = "SELECT f.transaction_id, f.position, t.kind, t.source, t.occurred_on, t.created_at,
       f.debit_account_id, f.credit_account_id, f.amount_minor, f.currency
     FROM ledger_transfer f
     JOIN ledger_transaction t ON t.organization_id = f.organization_id AND t.id = f.transaction_id
     WHERE f.organization_id = $1";

/// A page of an account's entries in the order they were written.
///
/// # Errors
/// Faults of the database.
pub async fn account_entries(
    conn: &mut Conn,
    organization: OrganizationId,
    account: LedgerAccountId,
    after: Option<(LedgerTransactionId, i32)>,
    limit: i64,
) -> QueryResult<Vec<Entry>> {
    diesel::sql_query(format!(
        "{ENTRY} AND (f.debit_account_id = $2 OR f.credit_account_id = $2)
           AND ($3::uuid IS NULL OR (f.transaction_id, f.position) > ($3, $4))
         ORDER BY f.transaction_id, f.position LIMIT $5"
    ))
    .bind::<SqlUuid, _>(organization)
    .bind::<SqlUuid, _>(account)
    .bind::<Nullable<SqlUuid>, _>(after.map(|(transaction, _)| transaction))
    .bind::<Integer, _>(after.map_or(0, |(_, position)| position))
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await
}

/// What was posted for some facts.
///
/// # Errors
/// Faults of the database.
pub async fn entries_of_sources(
    conn: &mut Conn,
    organization: OrganizationId,
    sources: &[String],
) -> QueryResult<Vec<Entry>> {
    diesel::sql_query(format!("{ENTRY} AND t.source = ANY ($2) ORDER BY f.transaction_id, f.position"))
        .bind::<SqlUuid, _>(organization)
        .bind::<Array<Text>, _>(sources.to_vec())
        .load(conn)
        .await
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    id: LedgerTransactionId,
}

/// Transactions that hold nothing, or transfers between accounts of other currencies: there should be none.
///
/// # Errors
/// Faults of the database.
pub async fn unbalanced_transactions(
    conn: &mut Conn,
    organization: OrganizationId,
) -> QueryResult<Vec<LedgerTransactionId>> {
    let rows: Vec<Found> = diesel::sql_query(
        "SELECT t.id FROM ledger_transaction t
         WHERE t.organization_id = $1 AND NOT EXISTS (
             SELECT FROM ledger_transfer f WHERE f.organization_id = $1 AND f.transaction_id = t.id)
         UNION
         SELECT f.transaction_id FROM ledger_transfer f
         JOIN ledger_account d ON d.organization_id = $1 AND d.id = f.debit_account_id
         JOIN ledger_account c ON c.organization_id = $1 AND c.id = f.credit_account_id
         WHERE f.organization_id = $1 AND (d.currency <> f.currency OR c.currency <> f.currency)
         ORDER BY 1",
    )
    .bind::<SqlUuid, _>(organization)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
