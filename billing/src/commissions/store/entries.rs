//! SQL of the book: entries, and what they come to on their commissions.

use std::collections::{BTreeMap, HashSet};

use billing_db::{Conn, DbError, Keep};
use billing_primitives::{CommissionEntryId, CommissionId, OrganizationId};
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::book::{BookedStep, Commission, Moved, Pen};
use crate::commissions::rules::buckets::Buckets;
use crate::error::Error;

/// Writes entries in the order of the steps: later ones have higher sequences.
pub async fn insert(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CommissionEntryId],
    steps: &[BookedStep],
    opened: &[Commission],
    pen: Pen<'_>,
) -> Result<(), Error> {
    // Nothing was written on these yet, which is known without a look.
    let opened: HashSet<CommissionId> = opened.iter().map(|commission| commission.id).collect();
    let column = |of: fn(&Buckets) -> i64| steps.iter().map(|booked| of(&booked.step.change)).collect::<Vec<_>>();
    // Counted on from the last step of the same commission: later ones are newer.
    let written = diesel::sql_query(
        "INSERT INTO commission_entry (organization_id, id, commission_id, enrollment_id, kind, amount_minor,
             counted_minor, held_minor, payable_minor, taken_minor, owed_minor, currency, cause, trace,
             occurred_on, actor, created_at, sequence)
         SELECT seller.organization_id, e.id, e.commission_id, e.enrollment_id, e.kind, e.amount, e.counted, e.held,
             e.payable, e.taken, e.owed, e.currency, e.cause, e.trace::json, $2, $3, $4,
             e.place + CASE WHEN e.first THEN 0 ELSE (
                 SELECT coalesce(max(before.sequence), 0) FROM commission_entry before
                 WHERE before.organization_id = $1 AND before.commission_id = e.commission_id) END
         FROM organization seller, unnest($5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
             WITH ORDINALITY
             AS e (id, commission_id, enrollment_id, kind, amount, counted, held, payable, taken, owed, currency,
                   cause, trace, first, place)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<SqlDate, _>(pen.occurred_on)
    .bind::<Text, _>(pen.actor)
    .bind::<Timestamptz, _>(pen.now)
    .bind::<Array<Uuid>, _>(ids.to_vec())
    .bind::<Array<Uuid>, _>(steps.iter().map(|booked| booked.commission).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(steps.iter().map(|booked| booked.enrollment).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(steps.iter().map(|booked| booked.step.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(steps.iter().map(|booked| booked.step.amount).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|change| change.counted))
    .bind::<Array<BigInt>, _>(column(|change| change.held))
    .bind::<Array<BigInt>, _>(column(|change| change.payable))
    .bind::<Array<BigInt>, _>(column(|change| change.taken))
    .bind::<Array<BigInt>, _>(column(|change| change.owed))
    .bind::<Array<Text>, _>(steps.iter().map(|booked| booked.currency).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(steps.iter().map(|booked| booked.cause.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(steps.iter().map(|booked| booked.trace.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(steps.iter().map(|booked| opened.contains(&booked.commission)).collect::<Vec<_>>())
    .kept()
    .execute(conn)
    .await?;
    Ok(DbError::expect_rows("commission_entry", steps.len(), written)?)
}

/// Moves the amounts of commissions, whose rows are locked.
pub async fn move_buckets(
    conn: &mut Conn,
    organization: OrganizationId,
    sums: &BTreeMap<CommissionId, Moved>,
) -> Result<(), Error> {
    let column = |of: fn(&Moved) -> i64| sums.values().map(of).collect::<Vec<_>>();
    let written = diesel::sql_query(
        "UPDATE commission SET earned_minor = earned_minor + m.earned, reversed_minor = reversed_minor + m.reversed,
             counted_minor = counted_minor + m.counted, held_minor = held_minor + m.held,
             payable_minor = payable_minor + m.payable, taken_minor = taken_minor + m.taken,
             owed_minor = owed_minor + m.owed
         FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS m (id, earned, reversed, counted, held, payable, taken, owed)
         WHERE commission.organization_id = $1 AND commission.id = m.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(sums.keys().copied().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|moved| moved.earned))
    .bind::<Array<BigInt>, _>(column(|moved| moved.reversed))
    .bind::<Array<BigInt>, _>(column(|moved| moved.change.counted))
    .bind::<Array<BigInt>, _>(column(|moved| moved.change.held))
    .bind::<Array<BigInt>, _>(column(|moved| moved.change.payable))
    .bind::<Array<BigInt>, _>(column(|moved| moved.change.taken))
    .bind::<Array<BigInt>, _>(column(|moved| moved.change.owed))
    .kept()
    .execute(conn)
    .await?;
    Ok(DbError::expect_rows("commission", sums.len(), written)?)
}
