//! What happened (the outbox) and who did it (the audit log). Both are only ever added to.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use billing::audit::{self, AuditFilter};
use billing::events::{self, EventFilter};
use serde_json::Value;

use super::connection::{Connection, List};
use super::scalars::DateTime;
use super::scope::Scope;

/// Something that happened, written in the transaction in which it happened.
#[derive(Debug, Clone, SimpleObject)]
pub struct Event {
    /// The global id.
    pub id: ID,
    /// What happened, such as `invoice.paid`.
    pub kind: String,
    /// The id of the object it happened to.
    pub subject: ID,
    /// What there is to say about it.
    pub payload: Value,
    /// When it happened.
    pub created_at: DateTime,
}

impl From<events::Event> for Event {
    fn from(row: events::Event) -> Self {
        Event {
            id: row.id.into(),
            kind: row.kind,
            subject: ID(row.subject),
            payload: row.payload,
            created_at: row.created_at.into(),
        }
    }
}

/// One command that changed something.
#[derive(Debug, Clone, SimpleObject)]
pub struct AuditEntry {
    /// The global id.
    pub id: ID,
    /// Who did it, such as `operator` or `api-key:` with the key's id.
    pub actor: String,
    /// What was done, such as `payment.record`.
    pub action: String,
    /// The id of the object it was done to.
    pub subject: ID,
    /// What there is to say about it.
    pub details: Value,
    /// When it was done.
    pub created_at: DateTime,
}

impl From<audit::AuditEntry> for AuditEntry {
    fn from(row: audit::AuditEntry) -> Self {
        AuditEntry {
            id: row.id.into(),
            actor: row.actor,
            action: row.action,
            subject: ID(row.subject),
            details: row.details,
            created_at: row.created_at.into(),
        }
    }
}

#[derive(Default)]
pub struct EventQuery;

#[Object]
impl EventQuery {
    /// Events, the ones that happened last first: all, or those of a kind or an object.
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "What happened, such as `invoice.paid`.")] kind: Option<String>,
        #[graphql(desc = "The id of an object.")] subject: Option<ID>,
    ) -> Result<Connection<Event>> {
        let scope = Scope::of(ctx)?;
        let filter = EventFilter { kind, subject: subject.map(String::from) };
        let list = List::of("events", scope.organization(), first, after.as_deref())?;
        let slice = events::list(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |event| event.id)
    }

    /// Who did what, the latest first: all of it, or one action or one object.
    async fn audit_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "What was done, such as `payment.record`.")] action: Option<String>,
        #[graphql(desc = "The id of an object.")] subject: Option<ID>,
    ) -> Result<Connection<AuditEntry>> {
        let scope = Scope::of(ctx)?;
        let filter = AuditFilter { action, subject: subject.map(String::from) };
        let list = List::of("auditEntries", scope.organization(), first, after.as_deref())?;
        let slice = audit::list(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |entry| entry.id)
    }
}
