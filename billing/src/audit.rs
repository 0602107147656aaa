//! Who did what to which object: one row per command, in the command's transaction.

use std::fmt::Display;

use billing_db::Conn;
use billing_db::schema::audit_entry;
use billing_primitives::{AuditEntryId, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::Billing;
use crate::caller::Caller;
use crate::error::Error;
use crate::page::{Page, Slice};

/// One command, as it was recorded.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = audit_entry)]
pub struct AuditEntry {
    pub id: AuditEntryId,
    /// Who did it, such as `operator` or `api-key:key_…`.
    pub actor: String,
    pub action: String,
    /// The id of the object it was done to.
    pub subject: String,
    pub details: serde_json::Value,
    pub created_at: Timestamp,
}

/// Which entries a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    pub action: Option<String>,
    pub subject: Option<String>,
}

/// A page of entries, the ones recorded last first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<AuditEntryId>,
    filter: &AuditFilter,
) -> Result<Slice<AuditEntry>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(entries(conn, organization, page, filter).await?))
        .await?;
    Ok(page.slice(rows))
}

async fn entries(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<AuditEntryId>,
    filter: &AuditFilter,
) -> QueryResult<Vec<AuditEntry>> {
    let mut query = audit_entry::table
        .filter(audit_entry::organization_id.eq(organization))
        .order(audit_entry::id.desc())
        .limit(page.limit())
        .select(AuditEntry::as_select())
        .into_boxed();
    if let Some(action) = &filter.action {
        query = query.filter(audit_entry::action.eq(action));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(audit_entry::subject.eq(subject));
    }
    if let Some(after) = page.after {
        query = query.filter(audit_entry::id.lt(after));
    }
    query.load(conn).await
}

/// Entries by their ids, in no order.
///
/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[AuditEntryId],
) -> Result<Vec<AuditEntry>, Error> {
    let work = async |conn: &mut Conn| {
        let found = audit_entry::table
            .filter(audit_entry::organization_id.eq(organization))
            .filter(audit_entry::id.eq_any(ids))
            .select(AuditEntry::as_select())
            .load(conn)
            .await?;
        Ok::<_, Error>(found)
    };
    billing.db.read(organization, work).await
}

/// # Errors
/// Faults of the database.
pub(crate) async fn record(
    conn: &mut Conn,
    caller: &Caller,
    now: Timestamp,
    action: &str,
    subject: impl Display,
    details: serde_json::Value,
) -> QueryResult<()> {
    diesel::insert_into(audit_entry::table)
        .values((
            audit_entry::organization_id.eq(caller.organization),
            audit_entry::id.eq(AuditEntryId::new()),
            audit_entry::actor.eq(caller.actor.to_string()),
            audit_entry::action.eq(action),
            audit_entry::subject.eq(subject.to_string()),
            audit_entry::details.eq(details),
            audit_entry::created_at.eq(now),
        ))
        .execute(conn)
        .await
        .map(|_| ())
}

/// As [`record`], for many subjects of one action in one statement.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn record_all(
    conn: &mut Conn,
    caller: &Caller,
    now: Timestamp,
    action: &str,
    subjects: Vec<(String, serde_json::Value)>,
) -> QueryResult<()> {
    let row = |(subject, details)| {
        (
            audit_entry::organization_id.eq(caller.organization),
            audit_entry::id.eq(AuditEntryId::new()),
            audit_entry::actor.eq(caller.actor.to_string()),
            audit_entry::action.eq(action),
            audit_entry::subject.eq::<String>(subject),
            audit_entry::details.eq::<serde_json::Value>(details),
            audit_entry::created_at.eq(now),
        )
    };
    let rows: Vec<_> = subjects.into_iter().map(row).collect();
    diesel::insert_into(audit_entry::table).values(rows).execute(conn).await.map(|_| ())
}
