//! SQL of finalizing: numbers without gaps, and the step after which a document never changes.

use billing_db::schema::{credit_note, document_counter};
use billing_db::{Conn, DbError};
use billing_primitives::{CreditNoteId, Date, EventId, InvoiceId, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

/// A series of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    Invoice,
    CreditNote,
}

impl Series {
    const fn name(self) -> &'static str {
        match self {
            Series::Invoice => "INVOICE",
            Series::CreditNote => "CREDIT_NOTE",
        }
    }
}

/// Takes the next `count` numbers of a series and returns the first of them. The row stays locked until the
/// transaction ends, and a rollback gives the numbers back: there are no gaps.
pub async fn take_numbers(
    conn: &mut Conn,
    organization: OrganizationId,
    series: Series,
    count: usize,
) -> Result<i64, DbError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let last: i64 = diesel::update(document_counter::table)
        .filter(document_counter::organization_id.eq(organization))
        .filter(document_counter::series.eq(series.name()))
        .set(document_counter::last_number.eq(document_counter::last_number + count))
        .returning(document_counter::last_number)
        .get_result(conn)
        .await?;
    Ok(last - count + 1)
}

/// The last number of each series.
pub async fn last_numbers(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<(String, i64)>> {
    document_counter::table
        .filter(document_counter::organization_id.eq(organization))
        .select((document_counter::series, document_counter::last_number))
        .load(conn)
        .await
}

/// What finalizing adds to an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalInvoice {
    pub id: InvoiceId,
    pub number: String,
    pub issue_date: Date,
    pub due_date: Date,
    pub content_hash: String,
}

/// Finalizes drafts of invoices.
///
/// # Errors
/// [`DbError::RowsMissed`] when one of them is finalized already.
pub async fn finalize_invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    now: Timestamp,
    invoices: &[FinalInvoice],
) -> Result<(), DbError> {
    if invoices.is_empty() {
        return Ok(());
    }
    let written = diesel::sql_query(
        "UPDATE invoice SET status = 'FINALIZED', number = f.number, issue_date = f.issue_date,
             due_date = f.due_date, content_hash = f.content_hash, finalized_at = $2
         FROM unnest($3, $4, $5, $6, $7) AS f (id, number, issue_date, due_date, content_hash)
         WHERE invoice.organization_id = $1 AND invoice.id = f.id AND invoice.status = 'DRAFT'",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(invoices.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(invoices.iter().map(|row| row.number.as_str()).collect::<Vec<_>>())
    .bind::<Array<SqlDate>, _>(invoices.iter().map(|row| row.issue_date).collect::<Vec<_>>())
    .bind::<Array<SqlDate>, _>(invoices.iter().map(|row| row.due_date).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(invoices.iter().map(|row| row.content_hash.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("invoice", invoices.len(), written)
}

/// Finalizes a draft of a credit note.
///
/// # Errors
/// [`DbError::RowsMissed`] when it is finalized already.
pub async fn finalize_credit_note(
    conn: &mut Conn,
    organization: OrganizationId,
    now: Timestamp,
    id: CreditNoteId,
    number: &str,
    issue_date: Date,
    content_hash: &str,
) -> Result<(), DbError> {
    let written = diesel::update(credit_note::table)
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::id.eq(id))
        .filter(credit_note::status.eq("DRAFT"))
        .set((
            credit_note::status.eq("FINALIZED"),
            credit_note::number.eq(number),
            credit_note::issue_date.eq(issue_date),
            credit_note::content_hash.eq(content_hash),
            credit_note::finalized_at.eq(now),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("credit_note", 1, written)
}

/// Writes one event per finalized document into the outbox.
pub async fn record_finalized(
    conn: &mut Conn,
    organization: OrganizationId,
    kind: &'static str,
    documents: &[(String, serde_json::Value)],
) -> Result<(), DbError> {
    if documents.is_empty() {
        return Ok(());
    }
    let written = diesel::sql_query(
        "INSERT INTO event (organization_id, id, kind, subject, payload)
         SELECT seller.organization_id, e.id, $2, e.subject, e.payload
         FROM organization seller, unnest($3, $4, $5) AS e (id, subject, payload)
         WHERE seller.organization_id = $1",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Text, _>(kind)
    .bind::<Array<SqlUuid>, _>(documents.iter().map(|_| EventId::new()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(documents.iter().map(|(subject, _)| subject.as_str()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(documents.iter().map(|(_, payload)| payload).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("event", documents.len(), written)
}

/// How many finalized documents of a series there are, and whether their numbers are `prefix` with 1 to that count.
pub async fn count_numbers(
    conn: &mut Conn,
    organization: OrganizationId,
    series: Series,
    prefix: &str,
) -> QueryResult<(i64, i64)> {
    #[derive(QueryableByName)]
    struct Counts {
        #[diesel(sql_type = BigInt)]
        documents: i64,
        #[diesel(sql_type = BigInt)]
        highest: i64,
    }
    let table = match series {
        Series::Invoice => "invoice",
        Series::CreditNote => "credit_note",
    };
    let counts: Counts = diesel::sql_query(format!(
        "SELECT count(DISTINCT number) AS documents,
             coalesce(max(CASE WHEN number ~ ('^' || $2 || '[0-9]+$') THEN substr(number, length($2) + 1)::bigint END), 0)
                 AS highest
         FROM {table} WHERE organization_id = $1 AND status = 'FINALIZED'"
    ))
    .bind::<SqlUuid, _>(organization)
    .bind::<Text, _>(prefix)
    .get_result(conn)
    .await?;
    Ok((counts.documents, counts.highest))
}
