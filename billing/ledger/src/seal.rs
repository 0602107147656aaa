//! The hash chain over ledger and audit rows.
//!
//! A job seals what has been committed, block by block, so no business transaction waits for a chain. A changed, added
//! or missing row of a sealed block gives another hash, and each block covers the one before it.

use std::fmt::Write;

use billing_db::{Conn, DbError};
use billing_primitives::OrganizationId;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Rows of one block at most.
const BLOCK: i64 = 10_000;
/// What the first block names as the one before it.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainReport {
    pub blocks: u64,
    pub sealed: u64,
    /// Rows that no block covers yet.
    pub unsealed: u64,
    /// What is wrong, in words.
    pub broken: Vec<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    entry_kind: String,
    #[diesel(sql_type = SqlUuid)]
    entry_id: Uuid,
    #[diesel(sql_type = Text)]
    content: String,
}

#[derive(QueryableByName)]
struct Block {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    previous_hash: String,
    #[diesel(sql_type = Text)]
    hash: String,
    #[diesel(sql_type = BigInt)]
    entries: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The content of an entry, as text that is the same wherever and whenever it is written.
const CONTENT: &str = "
    SELECT 'TRANSACTION' AS entry_kind, t.id AS entry_id, concat_ws('|', t.kind, t.source, t.occurred_on,
        extract(epoch FROM t.created_at)::text,
        (SELECT string_agg(concat_ws(':', f.position, f.debit_account_id, f.credit_account_id, f.amount_minor,
                f.currency), ',' ORDER BY f.position)
         FROM ledger_transfer f WHERE f.organization_id = $1 AND f.transaction_id = t.id)) AS content
    FROM ledger_transaction t WHERE t.organization_id = $1 AND {transactions}
    UNION ALL
    SELECT 'AUDIT', a.id, concat_ws('|', a.actor, a.action, a.subject, a.details::text,
        extract(epoch FROM a.created_at)::text)
    FROM audit_entry a WHERE a.organization_id = $1 AND {audits}";

fn content(transactions: &str, audits: &str) -> String {
    CONTENT.replace("{transactions}", transactions).replace("{audits}", audits)
}

fn unsealed() -> String {
    content(
        "t.id > $2 AND NOT EXISTS (SELECT FROM ledger_sealed s WHERE s.organization_id = $1
             AND s.entry_kind = 'TRANSACTION' AND s.entry_id = t.id)",
        "a.id > $2 AND NOT EXISTS (SELECT FROM ledger_sealed s WHERE s.organization_id = $1
             AND s.entry_kind = 'AUDIT' AND s.entry_id = a.id)",
    )
}

/// Seals up to one block of committed rows; returns how many. Zero: there was nothing to seal.
///
/// Two sealers at once write the same block number: one of them loses and seals the rest the next time.
///
/// # Errors
/// Faults of the database.
pub async fn seal(conn: &mut Conn, organization: OrganizationId) -> Result<usize, DbError> {
    let last = last_block(conn, organization).await?;
    let rows: Vec<Row> = diesel::sql_query(format!("{} ORDER BY entry_kind, entry_id LIMIT $3", unsealed()))
        .bind::<SqlUuid, _>(organization)
        .bind::<SqlUuid, _>(Uuid::nil())
        .bind::<BigInt, _>(BLOCK)
        .load(conn)
        .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (number, previous) = last.map_or((1, BEGINNING.to_owned()), |block| (block.number + 1, block.hash));
    let hash = block_hash(number, &previous, &rows);
    insert_block(conn, organization, number, &previous, &hash, &rows).await?;
    Ok(rows.len())
}

async fn last_block(conn: &mut Conn, organization: OrganizationId) -> Result<Option<Block>, DbError> {
    let block = diesel::sql_query(
        "SELECT number, previous_hash, hash, entries FROM ledger_block
         WHERE organization_id = $1 ORDER BY number DESC LIMIT 1",
    )
    .bind::<SqlUuid, _>(organization)
    .get_result(conn)
    .await
    .optional()?;
    Ok(block)
}

async fn insert_block(
    conn: &mut Conn,
    organization: OrganizationId,
    number: i64,
    previous: &str,
    hash: &str,
    rows: &[Row],
) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO ledger_block (organization_id, number, previous_hash, hash, entries) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<BigInt, _>(number)
    .bind::<Text, _>(previous)
    .bind::<Text, _>(hash)
    .bind::<BigInt, _>(i64::try_from(rows.len()).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    let kinds: Vec<&str> = rows.iter().map(|row| row.entry_kind.as_str()).collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.entry_id).collect();
    let written = diesel::sql_query(
        "INSERT INTO ledger_sealed (organization_id, entry_kind, entry_id, block_number)
         SELECT seller.organization_id, e.kind, e.id, $4 FROM organization seller, unnest($2, $3) AS e (kind, id)
         WHERE seller.organization_id = $1",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<BigInt, _>(number)
    .execute(conn)
    .await?;
    DbError::expect_rows("ledger_sealed", rows.len(), written)
}

fn block_hash(number: i64, previous: &str, rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    let mut line = String::new();
    hash.update(format!("{number}\n{previous}\n"));
    for row in rows {
        line.clear();
        // Writing into a String cannot fail; the length keeps one content from running into the next.
        let _ = writeln!(line, "{} {} {} {}", row.entry_kind, row.entry_id, row.content.len(), row.content);
        hash.update(&line);
    }
    hex::encode(hash.finalize())
}

/// Computes the chain again from the rows as they stand, one block at a time.
///
/// # Errors
/// Faults of the database.
pub async fn verify_chain(conn: &mut Conn, organization: OrganizationId) -> Result<ChainReport, DbError> {
    let mut report = ChainReport::default();
    let mut previous = BEGINNING.to_owned();
    let mut number = 0;
    while let Some(block) = block_after(conn, organization, number).await? {
        if block.number != number + 1 {
            report.broken.push(format!("block {} is missing from the chain", number + 1));
        }
        let rows = rows_of(conn, organization, block.number).await?;
        let counted = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if counted != block.entries {
            report.broken.push(format!("block {} sealed {} rows, {counted} are there", block.number, block.entries));
        }
        if block.previous_hash != previous || block_hash(block.number, &previous, &rows) != block.hash {
            report.broken.push(format!("block {} does not match its rows or the block before it", block.number));
        }
        report.blocks += 1;
        report.sealed += u64::try_from(counted).unwrap_or_default();
        (number, previous) = (block.number, block.hash);
    }
    let left: Count = diesel::sql_query(format!("SELECT count(*) AS count FROM ({}) AS open", unsealed()))
        .bind::<SqlUuid, _>(organization)
        .bind::<SqlUuid, _>(Uuid::nil())
        .get_result(conn)
        .await?;
    report.unsealed = u64::try_from(left.count).unwrap_or_default();
    Ok(report)
}

async fn block_after(conn: &mut Conn, organization: OrganizationId, number: i64) -> Result<Option<Block>, DbError> {
    let block = diesel::sql_query(
        "SELECT number, previous_hash, hash, entries FROM ledger_block
         WHERE organization_id = $1 AND number > $2 ORDER BY number LIMIT 1",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<BigInt, _>(number)
    .get_result(conn)
    .await
    .optional()?;
    Ok(block)
}

async fn rows_of(conn: &mut Conn, organization: OrganizationId, number: i64) -> Result<Vec<Row>, DbError> {
    let sealed = |kind: &str, column: &str| {
        format!(
            "{column} IN (SELECT s.entry_id FROM ledger_sealed s
                 WHERE s.organization_id = $1 AND s.block_number = $2 AND s.entry_kind = '{kind}')"
        )
    };
    let sql = content(&sealed("TRANSACTION", "t.id"), &sealed("AUDIT", "a.id"));
    let rows = diesel::sql_query(format!("{sql} ORDER BY entry_kind, entry_id"))
        .bind::<SqlUuid, _>(organization)
        .bind::<Nullable<BigInt>, _>(Some(number))
        .load(conn)
        .await?;
    Ok(rows)
}
