//! Who did what to which object: one row per command, in the command's transaction.

use std::fmt::Display;

use billing_db::Conn;
use billing_db::schema::audit_entry;
use billing_primitives::{AuditEntryId, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::caller::Caller;

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
