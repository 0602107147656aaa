//! SQL: what Stripe said about the invoices and customers that are derived.

use billing_db::{Conn, DbError, Keep};
use billing_primitives::{CustomerId, Date, OrganizationId, PartnerId, PlanId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::book::SourceKind;
use crate::stripe::{Fact, SubscriptionFact};

/// Through what facts meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A payment intent or a charge.
    Payment,
    Invoice,
}

/// Takes turns, until the transaction ends, with everybody else who writes or derives something about the same payments
/// or invoices. Two events of one invoice that are processed at the same moment do not see each other's facts; so the
/// second one waits here, and then reads what the first one wrote. Payments come before invoices.
pub async fn take_turns(conn: &mut Conn, organization: OrganizationId, of: Turn, ids: &[String]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let class = match of {
        Turn::Payment => "payment",
        Turn::Invoice => "invoice",
    };
    // A limited number of locks, in the order of their numbers: a batch of thousands needs no more.
    diesel::sql_query(
        "SELECT pg_advisory_xact_lock(hashtext($1::text || $2), bucket)
         FROM (SELECT DISTINCT hashtext(id) & 255 AS bucket FROM unnest($3) AS i (id) ORDER BY 1) AS buckets",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Text, _>(class)
    .bind::<Array<Text>, _>(ids)
    .kept()
    .execute(conn)
    .await
    .map(|_| ())
}

/// A customer whose sources are derived.
#[derive(Debug, Clone, QueryableByName)]
pub struct DerivedCustomer {
    #[diesel(sql_type = Uuid)]
    pub id: CustomerId,
    #[diesel(sql_type = Nullable<Text>)]
    pub stripe_customer_id: Option<String>,
}

/// The customers named, and those that invoices were written for, in the order of their ids.
pub async fn customers(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CustomerId],
    invoices: &[String],
) -> QueryResult<Vec<DerivedCustomer>> {
    diesel::sql_query(
        "SELECT id, stripe_customer_id FROM customer
         WHERE organization_id = $1 AND (id = ANY($2) OR stripe_customer_id = ANY(ARRAY(
             SELECT customer FROM stripe_fact WHERE organization_id = $1 AND kind = 'INVOICE' AND stripe_id = ANY($3))))
         ORDER BY id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Text>, _>(invoices)
    .kept()
    .load(conn)
    .await
}

/// As [`customers`]; whoever derives their commissions takes turns at their rows.
pub async fn lock_customers(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CustomerId],
    invoices: &[String],
) -> QueryResult<Vec<DerivedCustomer>> {
    diesel::sql_query(
        "SELECT id, stripe_customer_id FROM customer
         WHERE organization_id = $1 AND (id = ANY($2) OR stripe_customer_id = ANY(ARRAY(
             SELECT customer FROM stripe_fact WHERE organization_id = $1 AND kind = 'INVOICE' AND stripe_id = ANY($3))))
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Text>, _>(invoices)
    .kept()
    .load(conn)
    .await
}

#[derive(QueryableByName)]
struct FactText {
    #[diesel(sql_type = Text)]
    fact: String,
}

fn parsed(rows: Vec<FactText>) -> Result<Vec<Fact>, DbError> {
    let read = |row: FactText| {
        serde_json::from_str(&row.fact)
            .map_err(|error| diesel::result::Error::DeserializationError(error.into()).into())
    };
    rows.into_iter().map(read).collect()
}

/// The invoices with everything that may concern them: payments, refunds, disputes, credit notes; each fact once or
/// more, since two paths may lead to one.
pub async fn around_invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[String],
) -> Result<Vec<Fact>, DbError> {
    let rows = diesel::sql_query(
        "WITH own AS (
             SELECT fact, payment_intent, charge FROM stripe_fact
             WHERE organization_id = $1 AND invoice = ANY($2) AND kind IN ('INVOICE', 'PAYMENT_LINK', 'CREDIT_NOTE')
         )
         SELECT fact::text FROM own
         UNION ALL
         SELECT f.fact::text FROM stripe_fact f
         WHERE f.organization_id = $1 AND f.kind IN ('REFUND', 'DISPUTE', 'PAYMENT_LINK')
           AND f.payment_intent = ANY(ARRAY(SELECT payment_intent FROM own WHERE payment_intent IS NOT NULL))
         UNION ALL
         SELECT f.fact::text FROM stripe_fact f
         WHERE f.organization_id = $1 AND f.kind IN ('REFUND', 'DISPUTE', 'PAYMENT_LINK')
           AND f.charge = ANY(ARRAY(SELECT charge FROM own WHERE charge IS NOT NULL))",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(invoices)
    .kept()
    .load(conn)
    .await?;
    parsed(rows)
}

/// The subscriptions of Stripe customers.
pub async fn subscriptions(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_customers: &[String],
) -> Result<Vec<SubscriptionFact>, DbError> {
    let rows = diesel::sql_query(
        "SELECT fact::text FROM stripe_fact
         WHERE organization_id = $1 AND customer = ANY($2) AND kind = 'SUBSCRIPTION' ORDER BY stripe_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe_customers)
    .kept()
    .load(conn)
    .await?;
    let subscription = |fact| match fact {
        Fact::Subscription(subscription) => Some(subscription),
        _ => None,
    };
    Ok(parsed(rows)?.into_iter().filter_map(subscription).collect())
}

/// An invoice that was paid and has a base above zero.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct PaidInvoice {
    #[diesel(sql_type = Text)]
    pub customer: String,
    #[diesel(sql_type = Text)]
    pub stripe_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub subscription: Option<String>,
    #[diesel(sql_type = SqlDate)]
    pub earns_from: Date,
    #[diesel(sql_type = Timestamptz)]
    pub paid_at: Timestamp,
}

/// All of them, of Stripe customers, in the order in which they were paid.
pub async fn paid_invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_customers: &[String],
) -> QueryResult<Vec<PaidInvoice>> {
    diesel::sql_query(
        "SELECT customer, stripe_id, subscription, earns_from, paid_at FROM stripe_fact
         WHERE organization_id = $1 AND customer = ANY($2) AND kind = 'INVOICE'
           AND earns_from IS NOT NULL AND paid_at IS NOT NULL
         ORDER BY customer, paid_at, stripe_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe_customers)
    .kept()
    .load(conn)
    .await
}

#[derive(QueryableByName)]
struct StripeId {
    #[diesel(sql_type = Text)]
    stripe_id: String,
}

/// Every invoice known of Stripe customers, paid or not.
pub async fn invoices_of(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_customers: &[String],
) -> QueryResult<Vec<String>> {
    let rows: Vec<StripeId> = diesel::sql_query(
        "SELECT stripe_id FROM stripe_fact
         WHERE organization_id = $1 AND customer = ANY($2) AND kind = 'INVOICE' ORDER BY stripe_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe_customers)
    .kept()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.stripe_id).collect())
}

/// Which plan a Stripe price or product is.
#[derive(Debug, Clone, QueryableByName)]
pub struct PlanRef {
    #[diesel(sql_type = Text)]
    pub stripe_id: String,
    #[diesel(sql_type = Uuid)]
    pub plan_id: PlanId,
}

pub async fn plan_refs(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_ids: &[String],
) -> QueryResult<Vec<PlanRef>> {
    diesel::sql_query(
        "SELECT stripe_id, plan_id FROM plan_stripe_ref WHERE organization_id = $1 AND stripe_id = ANY($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe_ids)
    .kept()
    .load(conn)
    .await
}

/// What somebody decided about a source by hand.
#[derive(Debug, Clone, QueryableByName)]
pub struct ByHand {
    #[diesel(sql_type = Text)]
    pub source_kind: SourceKind,
    #[diesel(sql_type = Text)]
    pub source_id: String,
    #[diesel(sql_type = Bool)]
    pub held: bool,
    #[diesel(sql_type = Bool)]
    pub reversed_wholly: bool,
    /// Base taken back, minor units.
    #[diesel(sql_type = BigInt)]
    pub reversed_minor: i64,
}

pub async fn by_hand(conn: &mut Conn, organization: OrganizationId, source_ids: &[String]) -> QueryResult<Vec<ByHand>> {
    diesel::sql_query(
        "SELECT source_kind, source_id, bool_or(held) AS held, bool_or(wholly) AS reversed_wholly,
                least(coalesce(sum(base_minor), 0), 9223372036854775807)::bigint AS reversed_minor
         FROM (SELECT source_kind, source_id, false AS held, base_minor IS NULL AS wholly, base_minor
               FROM commission_reversal
               WHERE organization_id = $1 AND source_kind IN ('STRIPE_INVOICE', 'CONVERSION') AND source_id = ANY($2)
               UNION ALL
               SELECT source_kind, source_id, true, false, NULL
               FROM commission_hold
               WHERE organization_id = $1 AND source_kind IN ('STRIPE_INVOICE', 'CONVERSION') AND source_id = ANY($2)) AS acts
         GROUP BY source_kind, source_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(source_ids)
    .kept()
    .load(conn)
    .await
}

/// A conversion as it stands.
#[derive(Debug, Clone, QueryableByName)]
pub struct ConversionRow {
    #[diesel(sql_type = Uuid)]
    pub customer_id: CustomerId,
    #[diesel(sql_type = Timestamptz)]
    pub converted_at: Timestamp,
    #[diesel(sql_type = Nullable<Uuid>)]
    pub plan_id: Option<PlanId>,
    #[diesel(sql_type = BigInt)]
    pub seats: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub stripe_subscription_id: Option<String>,
}

pub async fn conversions(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> QueryResult<Vec<ConversionRow>> {
    diesel::sql_query(
        "SELECT customer_id, converted_at, plan_id, seats, stripe_subscription_id FROM conversion
         WHERE organization_id = $1 AND customer_id = ANY($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(customers)
    .kept()
    .load(conn)
    .await
}

/// An owner of a customer from a day on.
#[derive(Debug, Clone, QueryableByName)]
pub struct OwnerRow {
    #[diesel(sql_type = Uuid)]
    pub customer_id: CustomerId,
    #[diesel(sql_type = SqlDate)]
    pub owned_from: Date,
    #[diesel(sql_type = Nullable<Uuid>)]
    pub partner_id: Option<PartnerId>,
}

/// In the order of customer and day.
pub async fn owners(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> QueryResult<Vec<OwnerRow>> {
    diesel::sql_query(
        "SELECT customer_id, owned_from, partner_id FROM customer_owner
         WHERE organization_id = $1 AND customer_id = ANY($2) ORDER BY customer_id, owned_from",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(customers)
    .kept()
    .load(conn)
    .await
}
