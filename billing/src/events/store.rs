//! SQL of the outbox.

use billing_db::Conn;
use billing_db::schema::event;
use billing_primitives::{EventId, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, Jsonb, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::{Event, EventFilter, NewEvent};
use crate::page::Page;

/// Events, the ones that happened last first.
pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<EventId>,
    filter: &EventFilter,
) -> QueryResult<Vec<Event>> {
    let mut query = event::table
        .filter(event::organization_id.eq(organization))
        .order(event::id.desc())
        .limit(page.limit())
        .select(Event::as_select())
        .into_boxed();
    if let Some(kind) = &filter.kind {
        query = query.filter(event::kind.eq(kind));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(event::subject.eq(subject));
    }
    if let Some(after) = page.after {
        query = query.filter(event::id.lt(after));
    }
    query.load(conn).await
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[EventId]) -> QueryResult<Vec<Event>> {
    event::table
        .filter(event::organization_id.eq(organization))
        .filter(event::id.eq_any(ids))
        .select(Event::as_select())
        .load(conn)
        .await
}

pub async fn insert(
    conn: &mut Conn,
    organization: OrganizationId,
    now: Timestamp,
    events: &[NewEvent],
) -> QueryResult<usize> {
    let ids: Vec<EventId> = events.iter().map(|_| EventId::new()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind).collect();
    let subjects: Vec<&str> = events.iter().map(|event| event.subject.as_str()).collect();
    let payloads: Vec<&serde_json::Value> = events.iter().map(|event| &event.payload).collect();
    diesel::sql_query(
        "INSERT INTO event (organization_id, id, kind, subject, payload, created_at)
         SELECT seller.organization_id, e.id, e.kind, e.subject, e.payload, $2
         FROM organization seller, unnest($3, $4, $5, $6) AS e (id, kind, subject, payload)
         WHERE seller.organization_id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Text>, _>(subjects)
    .bind::<Array<Jsonb>, _>(payloads)
    .execute(conn)
    .await
}
