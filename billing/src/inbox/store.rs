//! SQL of the inbox: endpoints, events, and the facts that events become.

use std::collections::{BTreeMap, BTreeSet};

use billing_db::schema::{stripe_account, stripe_endpoint, stripe_event};
use billing_db::{Conn, DbError, Keep};
use billing_primitives::{CustomerId, Date, OrganizationId, StripeEndpointId, TimeZone, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, Date as SqlDate, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::endpoints::Endpoint;
use super::{EventFilter, EventReason, EventStatus, StripeEvent};
use crate::commissions::store::facts::{Turn, take_turns};
use crate::error::{Error, Refusal};
use crate::organizations::Mode;
use crate::page::Page;
use crate::stripe::{DisputePolicy, Fact, Related, assess};

pub async fn insert_endpoint(
    conn: &mut Conn,
    organization: OrganizationId,
    row: &Endpoint,
    secrets: &[String],
) -> Result<(), DbError> {
    diesel::insert_into(stripe_endpoint::table)
        .values((
            stripe_endpoint::organization_id.eq(organization),
            stripe_endpoint::id.eq(row.id),
            stripe_endpoint::name.eq(&row.name),
            stripe_endpoint::secrets.eq(secrets),
            stripe_endpoint::created_at.eq(row.created_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn replace_secrets(
    conn: &mut Conn,
    organization: OrganizationId,
    id: StripeEndpointId,
    secrets: &[String],
) -> QueryResult<Option<Endpoint>> {
    diesel::update(stripe_endpoint::table)
        .filter(stripe_endpoint::organization_id.eq(organization))
        .filter(stripe_endpoint::id.eq(id))
        .set(stripe_endpoint::secrets.eq(secrets))
        .returning(Endpoint::as_returning())
        .get_result(conn)
        .await
        .optional()
}

pub async fn endpoints(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<Endpoint>> {
    stripe_endpoint::table
        .filter(stripe_endpoint::organization_id.eq(organization))
        .order(stripe_endpoint::id)
        .select(Endpoint::as_select())
        .load(conn)
        .await
}

/// The signing secrets of an endpoint that is not disabled, and the mode of its organization.
pub async fn secrets(
    conn: &mut Conn,
    organization: OrganizationId,
    id: StripeEndpointId,
) -> QueryResult<Option<(Vec<String>, Mode)>> {
    use billing_db::schema::organization as seller;
    stripe_endpoint::table
        .inner_join(seller::table.on(seller::organization_id.eq(stripe_endpoint::organization_id)))
        .filter(stripe_endpoint::organization_id.eq(organization))
        .filter(stripe_endpoint::id.eq(id))
        .filter(stripe_endpoint::disabled_at.is_null())
        .select((stripe_endpoint::secrets, seller::mode))
        .first(conn)
        .await
        .optional()
}

pub async fn count_rejected(conn: &mut Conn, organization: OrganizationId, id: StripeEndpointId) -> QueryResult<()> {
    diesel::update(stripe_endpoint::table)
        .filter(stripe_endpoint::organization_id.eq(organization))
        .filter(stripe_endpoint::id.eq(id))
        .set(stripe_endpoint::rejected.eq(stripe_endpoint::rejected + 1))
        .execute(conn)
        .await
        .map(|_| ())
}

pub async fn set_account(
    conn: &mut Conn,
    organization: OrganizationId,
    api_key: &str,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::insert_into(stripe_account::table)
        .values((
            stripe_account::organization_id.eq(organization),
            stripe_account::api_key.eq(api_key),
            stripe_account::created_at.eq(now),
        ))
        .on_conflict(stripe_account::organization_id)
        .do_update()
        .set((stripe_account::api_key.eq(api_key), stripe_account::created_at.eq(now)))
        .execute(conn)
        .await
        .map(|_| ())
}

pub async fn account(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<String>> {
    stripe_account::table
        .filter(stripe_account::organization_id.eq(organization))
        .select(stripe_account::api_key)
        .first(conn)
        .await
        .optional()
}

/// When the key was set; the key itself stays where it is.
pub async fn account_set_at(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<Timestamp>> {
    stripe_account::table
        .filter(stripe_account::organization_id.eq(organization))
        .select(stripe_account::created_at)
        .first(conn)
        .await
        .optional()
}

/// An event on its way into the table.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = stripe_event)]
pub struct NewEvent {
    pub event_id: String,
    pub endpoint_id: StripeEndpointId,
    pub kind: String,
    pub api_version: Option<String>,
    pub livemode: bool,
    pub occurred_at: Timestamp,
    pub received_at: Timestamp,
    pub body: String,
    pub status: EventStatus,
    pub reason: Option<EventReason>,
    pub detail: Option<String>,
}

/// False when the event is there already.
pub async fn insert_event(conn: &mut Conn, organization: OrganizationId, row: &NewEvent) -> QueryResult<bool> {
    let written = diesel::insert_into(stripe_event::table)
        .values((stripe_event::organization_id.eq(organization), row))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(written == 1)
}

pub async fn events(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<String>,
    filter: &EventFilter,
) -> QueryResult<Vec<StripeEvent>> {
    let mut query = stripe_event::table
        .filter(stripe_event::organization_id.eq(organization))
        .order(stripe_event::event_id)
        .limit(page.limit())
        .select(StripeEvent::as_select())
        .into_boxed();
    if let Some(status) = filter.status {
        query = query.filter(stripe_event::status.eq(status));
    }
    if let Some(reason) = filter.reason {
        query = query.filter(stripe_event::reason.eq(reason));
    }
    if let Some(customer) = &filter.customer {
        query = query.filter(stripe_event::customer.eq(customer));
    }
    if let Some(after) = &page.after {
        query = query.filter(stripe_event::event_id.gt(after));
    }
    query.load(conn).await
}

pub async fn events_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[String],
) -> QueryResult<Vec<StripeEvent>> {
    stripe_event::table
        .filter(stripe_event::organization_id.eq(organization))
        .filter(stripe_event::event_id.eq_any(ids))
        .select(StripeEvent::as_select())
        .load(conn)
        .await
}

/// Locks an event that is still to be processed; none when somebody was quicker.
pub async fn lock_open_event(
    conn: &mut Conn,
    organization: OrganizationId,
    id: &str,
) -> QueryResult<Option<StripeEvent>> {
    stripe_event::table
        .filter(stripe_event::organization_id.eq(organization))
        .filter(stripe_event::event_id.eq(id))
        .filter(stripe_event::status.ne(EventStatus::Processed))
        .select(StripeEvent::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// How an event ended.
#[derive(Debug, Clone, Copy)]
pub struct EndOfEvent<'a> {
    pub status: EventStatus,
    pub reason: Option<EventReason>,
    pub detail: Option<&'a str>,
    /// None: as it was.
    pub customer: Option<&'a str>,
    pub at: Timestamp,
}

pub async fn end_event(
    conn: &mut Conn,
    organization: OrganizationId,
    id: &str,
    end: &EndOfEvent<'_>,
) -> Result<(), DbError> {
    let written = diesel::update(stripe_event::table)
        .filter(stripe_event::organization_id.eq(organization))
        .filter(stripe_event::event_id.eq(id))
        .set((
            stripe_event::status.eq(end.status),
            stripe_event::reason.eq(end.reason),
            stripe_event::detail.eq(end.detail),
            end.customer.map(|customer| stripe_event::customer.eq(customer)),
            stripe_event::attempts.eq(stripe_event::attempts + 1),
            stripe_event::processed_at.eq((end.status == EventStatus::Processed).then_some(end.at)),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("stripe_event", 1, written)
}

/// Notes an attempt that will be repeated.
pub async fn attempted(conn: &mut Conn, organization: OrganizationId, id: &str, detail: &str) -> QueryResult<()> {
    diesel::update(stripe_event::table)
        .filter(stripe_event::organization_id.eq(organization))
        .filter(stripe_event::event_id.eq(id))
        .set((
            stripe_event::attempts.eq(stripe_event::attempts + 1),
            stripe_event::reason.eq(EventReason::LookupFailed),
            stripe_event::detail.eq(detail),
        ))
        .execute(conn)
        .await
        .map(|_| ())
}

/// Opens events again, those named or all with a reason; not those of the other mode, which are never processed.
pub async fn reopen(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[String],
    reason: Option<EventReason>,
) -> QueryResult<Vec<String>> {
    let named = stripe_event::event_id.eq_any(ids);
    let because = stripe_event::reason.is_not_distinct_from(reason);
    let named =
        diesel::BoolExpressionMethods::or(named, because.and(reason.is_some().into_sql::<diesel::sql_types::Bool>()));
    diesel::update(stripe_event::table)
        .filter(stripe_event::organization_id.eq(organization))
        .filter(named)
        .set((stripe_event::status.eq(EventStatus::Received), stripe_event::attempts.eq(0)))
        .returning(stripe_event::event_id)
        .get_results(conn)
        .await
}

/// Opens the events of customers again of which nothing could be earned, now that something about them changed.
pub async fn reopen_of_customers(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> QueryResult<Vec<String>> {
    let rows: Vec<Found> = diesel::sql_query(
        "UPDATE stripe_event SET status = 'RECEIVED', reason = NULL, attempts = 0
         WHERE organization_id = $1
           AND customer = ANY(ARRAY(SELECT stripe_customer_id FROM customer
                                    WHERE organization_id = $1 AND id = ANY($2) AND stripe_customer_id IS NOT NULL))
           AND reason IN ('UNKNOWN_CUSTOMER', 'NO_PROGRAM', 'NOT_ENROLLED', 'WHOLESALE', 'PRICE_MISSING',
                          'CURRENCY_MISMATCH')
         RETURNING event_id AS found",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(customers)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.found).collect())
}

/// Events that wait for an invoice or for an answer, the oldest first.
pub async fn open_events(conn: &mut Conn, organization: OrganizationId, limit: i64) -> QueryResult<Vec<String>> {
    stripe_event::table
        .filter(stripe_event::organization_id.eq(organization))
        .filter(stripe_event::status.ne(EventStatus::Processed))
        .filter(stripe_event::reason.eq_any([EventReason::NoInvoice, EventReason::LookupFailed]))
        .order((stripe_event::received_at, stripe_event::event_id))
        .limit(limit)
        .select(stripe_event::event_id)
        .load(conn)
        .await
}

/// What of an invoice's fact stands in columns of its own: when it was paid, and from which day it counts for the
/// customer's anchor.
fn earns(fact: &Fact) -> Result<(Option<Timestamp>, Option<Date>), Error> {
    let Fact::Invoice(invoice) = fact else { return Ok((None, None)) };
    let assessment = assess(invoice, &Related::default(), DisputePolicy::ReverseAtOnce).map_err(Refusal::from)?;
    let from = assessment.period_start.or_else(|| Some(invoice.paid_at?.date_in(&TimeZone::utc())));
    Ok((invoice.paid_at, from.filter(|_| assessment.base_minor > 0)))
}

/// Writes facts, of which each object has one; what is stored and newer stands.
pub async fn write_facts(
    conn: &mut Conn,
    organization: OrganizationId,
    facts: &[Fact],
    event: &StripeEvent,
) -> Result<(), Error> {
    let stamped: Vec<(&Fact, Timestamp, &str)> =
        facts.iter().map(|fact| (fact, event.occurred_at, event.event_id.as_str())).collect();
    write_stamped(conn, organization, &stamped).await
}

/// As [`write_facts`], each with the time it is of and the event it came by.
pub async fn write_stamped(
    conn: &mut Conn,
    organization: OrganizationId,
    facts: &[(&Fact, Timestamp, &str)],
) -> Result<(), Error> {
    if facts.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = facts.iter().map(|(fact, ..)| fact.keys()).collect();
    let payments: Vec<String> =
        keys.iter().flat_map(|keys| [&keys.payment_intent, &keys.charge]).flatten().cloned().collect();
    take_turns(conn, organization, Turn::Payment, &payments).await.map_err(DbError::from)?;
    let earning: Vec<_> = facts.iter().map(|(fact, ..)| earns(fact)).collect::<Result<_, _>>()?;
    let json = |fact: &Fact| serde_json::to_value(fact).map_err(|error| Error::Corrupt(error.to_string()));
    let bodies: Vec<serde_json::Value> = facts.iter().map(|(fact, ..)| json(fact)).collect::<Result<_, _>>()?;
    diesel::sql_query(
        "INSERT INTO stripe_fact (organization_id, kind, stripe_id, as_of, rank, event_id, customer, subscription,
             invoice, payment_intent, charge, paid_at, earns_from, fact)
         SELECT seller.organization_id, f.kind, f.stripe_id, f.as_of, f.rank, f.event_id, f.customer, f.subscription, f.invoice,
             f.payment_intent, f.charge, f.paid_at, f.earns_from, f.fact
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             AS f (kind, stripe_id, as_of, rank, event_id, customer, subscription, invoice, payment_intent, charge,
                   paid_at, earns_from, fact)
         WHERE seller.organization_id = $1
         ORDER BY f.kind, f.stripe_id
         ON CONFLICT (organization_id, kind, stripe_id) DO UPDATE SET
             as_of = excluded.as_of, rank = excluded.rank, event_id = excluded.event_id, customer = excluded.customer,
             subscription = excluded.subscription, invoice = excluded.invoice,
             payment_intent = excluded.payment_intent, charge = excluded.charge, paid_at = excluded.paid_at,
             earns_from = excluded.earns_from, fact = excluded.fact
         WHERE CASE WHEN stripe_fact.kind = 'PAYMENT_LINK'
             THEN (excluded.rank, excluded.as_of) >= (stripe_fact.rank, stripe_fact.as_of)
             ELSE (excluded.as_of, excluded.rank) >= (stripe_fact.as_of, stripe_fact.rank) END",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(facts.iter().map(|(fact, ..)| fact.kind()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(facts.iter().map(|(fact, ..)| fact.id()).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(facts.iter().map(|(_, as_of, _)| *as_of).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(facts.iter().map(|(fact, ..)| fact.rank()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(facts.iter().map(|(.., event)| *event).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(keys.iter().map(|keys| keys.customer.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(keys.iter().map(|keys| keys.subscription.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(keys.iter().map(|keys| keys.invoice.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(keys.iter().map(|keys| keys.payment_intent.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(keys.iter().map(|keys| keys.charge.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(earning.iter().map(|(paid_at, _)| *paid_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlDate>>, _>(earning.iter().map(|(_, from)| *from).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(bodies)
    .kept()
    .execute(conn)
    .await
    .map_err(DbError::from)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    found: String,
}

/// Which payment intents are linked to an invoice.
pub async fn linked_intents(
    conn: &mut Conn,
    organization: OrganizationId,
    intents: &[String],
) -> QueryResult<BTreeSet<String>> {
    let rows: Vec<Found> = diesel::sql_query(
        "SELECT DISTINCT payment_intent AS found FROM stripe_fact
         WHERE organization_id = $1 AND kind = 'PAYMENT_LINK' AND payment_intent = ANY($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(intents)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.found).collect())
}

/// The invoices that payments paid.
pub async fn invoices_paid_by(
    conn: &mut Conn,
    organization: OrganizationId,
    intents: &[String],
    charges: &[String],
) -> QueryResult<Vec<String>> {
    let rows: Vec<Found> = diesel::sql_query(
        "SELECT invoice AS found FROM stripe_fact
         WHERE organization_id = $1 AND kind = 'PAYMENT_LINK' AND payment_intent = ANY($2) AND invoice IS NOT NULL
         UNION
         SELECT invoice FROM stripe_fact
         WHERE organization_id = $1 AND kind = 'PAYMENT_LINK' AND charge = ANY($3) AND invoice IS NOT NULL",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(intents)
    .bind::<Array<Text>, _>(charges)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.found).collect())
}

#[derive(QueryableByName)]
struct Customer {
    #[diesel(sql_type = Uuid)]
    id: CustomerId,
    #[diesel(sql_type = Text)]
    stripe_customer_id: String,
}

/// Which of our customers these of Stripe's are.
pub async fn customers(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_ids: &[String],
) -> QueryResult<BTreeMap<String, CustomerId>> {
    let rows: Vec<Customer> = diesel::sql_query(
        "SELECT id, stripe_customer_id FROM customer WHERE organization_id = $1 AND stripe_customer_id = ANY($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe_ids)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.stripe_customer_id, row.id)).collect())
}

/// Notes which customers of ours are whose at Stripe, `(Stripe's id, external id)`; what is noted already stands. Returns
/// those that became known.
pub async fn map_customers(
    conn: &mut Conn,
    organization: OrganizationId,
    says: &[(String, String)],
) -> QueryResult<Vec<CustomerId>> {
    if says.is_empty() {
        return Ok(Vec::new());
    }
    let (stripe, external): (Vec<&str>, Vec<&str>) =
        says.iter().map(|(stripe, external)| (stripe.as_str(), external.as_str())).unzip();
    let rows: Vec<Customer> = diesel::sql_query(
        "UPDATE customer c SET stripe_customer_id = s.stripe_id
         FROM (SELECT external_id, min(stripe_id) AS stripe_id FROM unnest($2, $3) AS n (stripe_id, external_id)
               GROUP BY external_id) AS s
         WHERE c.organization_id = $1 AND c.external_id = s.external_id AND c.stripe_customer_id IS NULL
           AND NOT EXISTS (SELECT FROM customer o WHERE o.organization_id = $1 AND o.stripe_customer_id = s.stripe_id)
         RETURNING c.id, c.stripe_customer_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe)
    .bind::<Array<Text>, _>(external)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
