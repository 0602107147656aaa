//! SQL of the outbox.

use billing_db::Conn;
use billing_primitives::{EventId, OrganizationId, Timestamp};
use diesel::QueryResult;
use diesel::sql_types::{Array, Jsonb, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::NewEvent;

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
         SELECT $1, e.id, e.kind, e.subject, e.payload, $2
         FROM unnest($3, $4, $5, $6) AS e (id, kind, subject, payload)
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
