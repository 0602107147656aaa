//! The rows alone: what any correct accrual must write, in prepared plain SQL, past the walls.

use std::ops::Range;
use std::time::{Duration, Instant};

use billing_db::DATABASE;
use billing_db::embedded::SUPERUSER;
use futures::future::try_join_all;
use tokio_postgres::{Client, NoTls, Statement, Transaction};

use crate::cluster::Cluster;
use crate::id::Id;
use crate::seed::{self, Seeded};
use crate::{Outcome, inbox};

/// What a bare accrual names.
#[derive(Clone)]
struct Names {
    organization: Id,
    program: Id,
    version: Id,
    endpoint: Id,
    held: Vec<Id>,
    expense: Id,
}

/// The statements of one accrual, in their order.
const STATEMENTS: [&str; 9] = [
    "INSERT INTO stripe_event (organization_id, event_id, endpoint_id, kind, livemode, occurred_at, received_at, body)
     VALUES ($1, $2, $3, 'invoice.paid', true, now(), now(), $4)",
    "INSERT INTO stripe_fact (organization_id, kind, stripe_id, as_of, rank, event_id, customer, subscription, invoice,
         paid_at, earns_from, fact)
     VALUES ($1, 'INVOICE', $2, now(), 14, $3, $4, $5, $2, now(), current_date, $6::text::jsonb)
     ON CONFLICT (organization_id, kind, stripe_id) DO UPDATE SET fact = excluded.fact",
    "SELECT id FROM customer WHERE organization_id = $1 AND stripe_customer_id = $2 FOR NO KEY UPDATE",
    "SELECT a.id, a.enrollment_id FROM attribution a
     WHERE a.organization_id = $1 AND a.customer_id = $2 ORDER BY a.effective_from DESC, a.sequence DESC LIMIT 1",
    "INSERT INTO commission (organization_id, id, source_kind, source_id, level, enrollment_id, partner_id, program_id,
         program_version_id, customer_id, attribution_id, settlement, currency, base_minor, base_reversed_minor,
         earned_minor, reversed_minor, held_minor, earned_at, payable_at, trace)
     VALUES ($1, $2, 'STRIPE_INVOICE', $3, 1, $4, $5, $6, $7, $8, $9, 'PAYOUT', 'EUR', 4900, 0, 980, 0, 980, now(), now(),
         $10::text::json)",
    "INSERT INTO commission_entry (organization_id, id, commission_id, enrollment_id, kind, amount_minor, held_minor,
         currency, occurred_on, cause, actor, trace, sequence)
     VALUES ($1, $2, $3, $4, 'ACCRUAL', 980, 980, 'EUR', current_date, $5, 'bare', $6::text::json, 1)",
    "INSERT INTO ledger_transaction (organization_id, id, kind, source, occurred_on)
     VALUES ($1, $2, 'commission.accrued', $3, current_date)",
    "INSERT INTO ledger_transfer (organization_id, transaction_id, position, debit_account_id, credit_account_id,
         amount_minor, currency) VALUES ($1, $2, 1, $3, $4, 980, 'EUR')",
    "UPDATE stripe_event SET status = 'PROCESSED', processed_at = now() WHERE organization_id = $1 AND event_id = $2",
];

/// As long as ours.
const TRACE: &str = r#"{"basis":{"anchor":"2026-06-01","base":4900,"cash":6125,"eligibleNet":4900,"exactBase":"30012500/6125","flags":[],"monthNo":1,"periodStart":"2026-06-01","reversed":0,"total":6125},"rule":{"base":4900,"currency":"EUR","earned":980,"level":1,"monthNo":1,"rounded":980,"rules":["R1","R5","R6","R7"],"tier":"START"}}"#;

impl Names {
    /// The names, and the accounts that the postings lead to.
    async fn of(superuser: &Client, seeded: &Seeded) -> Outcome<Names> {
        let organization = Id(seeded.organization.uuid());
        let endpoint = superuser.query_one("SELECT id FROM stripe_endpoint LIMIT 1", &[]).await?.get(0);
        let expense = account(superuser, organization, "bare_expense", None).await?;
        let mut held = Vec::new();
        for (enrollment, _) in &seeded.enrollments {
            held.push(account(superuser, organization, "bare_held", Some(Id(enrollment.uuid()))).await?);
        }
        let (program, version) = (Id(seeded.program.uuid()), Id(seeded.version.uuid()));
        Ok(Names { organization, program, version, endpoint, held, expense })
    }
}

async fn account(superuser: &Client, organization: Id, kind: &str, owner: Option<Id>) -> Outcome<Id> {
    let id = Id::new();
    superuser
        .execute(
            "INSERT INTO ledger_account (organization_id, id, kind, owner_id, currency) VALUES ($1, $2, $3, $4, 'EUR')
             ON CONFLICT DO NOTHING",
            &[&organization, &id, &kind, &owner],
        )
        .await?;
    let row = superuser
        .query_one(
            "SELECT id FROM ledger_account WHERE organization_id = $1 AND kind = $2 AND owner_id IS NOT DISTINCT FROM $3",
            &[&organization, &kind, &owner],
        )
        .await?;
    Ok(row.get(0))
}

/// Another connection that sees all rows.
async fn connect(cluster: &Cluster) -> Outcome<Client> {
    let embedded = cluster.database.embedded.as_ref().ok_or("no private cluster was started")?;
    let (client, connection) = embedded.config(DATABASE, SUPERUSER).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub async fn one_by_one(
    cluster: &Cluster,
    seeded: &Seeded,
    customers: Range<usize>,
    connections: usize,
) -> Outcome<Duration> {
    let names = Names::of(&cluster.superuser, seeded).await?;
    let all: Vec<usize> = customers.collect();
    let mut workers = Vec::new();
    for chunk in all.chunks(all.len().div_ceil(connections)) {
        let mut client = connect(cluster).await?;
        let mut statements = Vec::new();
        for statement in STATEMENTS {
            statements.push(client.prepare(statement).await?);
        }
        let (names, chunk) = (names.clone(), chunk.to_vec());
        let parties: Vec<(Id, Id)> = chunk
            .iter()
            .map(|number| seeded.enrollment(*number))
            .map(|(enrollment, partner)| (Id(enrollment.uuid()), Id(partner.uuid())))
            .collect();
        workers.push(async move {
            tokio::spawn(async move {
                for (number, parties) in chunk.into_iter().zip(parties) {
                    let transaction = client.transaction().await?;
                    accrue(&transaction, &statements, &names, number, parties).await?;
                    transaction.commit().await?;
                }
                Outcome::Ok(())
            })
            .await?
        });
    }
    let start = Instant::now();
    try_join_all(workers).await?;
    Ok(start.elapsed())
}

async fn accrue(
    transaction: &Transaction<'_>,
    statements: &[Statement],
    names: &Names,
    number: usize,
    (enrollment, partner): (Id, Id),
) -> Outcome<()> {
    let [event, fact, lock, credited, commission, entry, posting, transfer, done] = statements else {
        return Err("the statements are not all prepared".into());
    };
    let Names { organization, program, version, endpoint, held, expense } = names;
    let (event_id, body) = (seed::event_id(number), seed::event(number));
    let (invoice, customer, subscription) =
        (format!("in_{number:012}"), format!("cus_{number}"), format!("sub_{number}"));
    let ids: [Id; 3] = std::array::from_fn(|_| Id::new());
    transaction.execute(event, &[organization, &event_id, endpoint, &body]).await?;
    transaction.execute(fact, &[organization, &invoice, &event_id, &customer, &subscription, &TRACE]).await?;
    let locked: Id = transaction.query_one(lock, &[organization, &customer]).await?.get(0);
    let attribution: Id = transaction.query_one(credited, &[organization, &locked]).await?.get(0);
    transaction
        .execute(
            commission,
            &[organization, &ids[0], &invoice, &enrollment, &partner, program, version, &locked, &attribution, &TRACE],
        )
        .await?;
    transaction.execute(entry, &[organization, &ids[1], &ids[0], &enrollment, &event_id, &TRACE]).await?;
    transaction.execute(posting, &[organization, &ids[2], &ids[1].0.to_string()]).await?;
    transaction.execute(transfer, &[organization, &ids[2], expense, &held[number % held.len()]]).await?;
    transaction.execute(done, &[organization, &event_id]).await?;
    Ok(())
}

/// The same rows as the backfill's, in batches of the same size.
const BATCHES: [&str; 5] = [
    "INSERT INTO stripe_fact (organization_id, kind, stripe_id, as_of, rank, event_id, customer, subscription, invoice,
         paid_at, earns_from, fact)
     SELECT $1, 'INVOICE', n.invoice, now(), 14, 'bare', n.customer, n.customer, n.invoice, now(), current_date, $4::text::jsonb
     FROM unnest($2::text[], $3::text[]) AS n (invoice, customer)",
    "INSERT INTO commission (organization_id, id, source_kind, source_id, level, enrollment_id, partner_id, program_id,
         program_version_id, customer_id, attribution_id, settlement, currency, base_minor, base_reversed_minor,
         earned_minor, reversed_minor, held_minor, earned_at, payable_at, trace)
     SELECT $1, n.id, 'STRIPE_INVOICE', n.invoice, 1, n.enrollment, n.partner, $2, $3, md5('customer' || n.number)::uuid,
         md5('attribution' || n.number)::uuid, 'PAYOUT', 'EUR', 4900, 0, 980, 0, 980, now(), now(), $4::text::json
     FROM unnest($5::uuid[], $6::text[], $7::uuid[], $8::uuid[], $9::bigint[]) AS n (id, invoice, enrollment, partner, number)",
    "INSERT INTO commission_entry (organization_id, id, commission_id, enrollment_id, kind, amount_minor, held_minor,
         currency, occurred_on, cause, actor, trace, sequence)
     SELECT $1, n.id, n.commission, n.enrollment, 'ACCRUAL', 980, 980, 'EUR', current_date, 'bare', 'bare', $2::text::json, 1
     FROM unnest($3::uuid[], $4::uuid[], $5::uuid[]) AS n (id, commission, enrollment)",
    "INSERT INTO ledger_transaction (organization_id, id, kind, source, occurred_on)
     SELECT $1, n.id, 'commission.accrued', n.source, current_date FROM unnest($2::uuid[], $3::text[]) AS n (id, source)",
    "INSERT INTO ledger_transfer (organization_id, transaction_id, position, debit_account_id, credit_account_id,
         amount_minor, currency)
     SELECT $1, n.id, 1, $2, n.held, 980, 'EUR' FROM unnest($3::uuid[], $4::uuid[]) AS n (id, held)",
];

pub async fn backfill(cluster: &Cluster, seeded: &Seeded, from: usize, invoices: usize) -> Outcome<Duration> {
    let names = Names::of(&cluster.superuser, seeded).await?;
    let mut client = connect(cluster).await?;
    let mut statements = Vec::new();
    for statement in BATCHES {
        statements.push(client.prepare(statement).await?);
    }
    let start = Instant::now();
    let mut next = 0;
    while next < invoices {
        let until = (next + inbox::BATCH).min(invoices);
        let transaction = client.transaction().await?;
        batch(&transaction, &statements, &names, seeded, from, next..until).await?;
        transaction.commit().await?;
        next = until;
    }
    Ok(start.elapsed())
}

async fn batch(
    transaction: &Transaction<'_>,
    statements: &[Statement],
    names: &Names,
    seeded: &Seeded,
    from: usize,
    numbers: Range<usize>,
) -> Outcome<()> {
    let [fact, commission, entry, posting, transfer] = statements else {
        return Err("the statements are not all prepared".into());
    };
    let Names { organization, program, version, held, expense, .. } = names;
    let count = numbers.len();
    let customers: Vec<usize> = numbers.clone().map(|number| from + number % count.max(1)).collect();
    let invoices: Vec<String> = numbers.map(|number| format!("in_bare{number:012}")).collect();
    let stripe: Vec<String> = customers.iter().map(|number| format!("cus_{number}")).collect();
    let parties = customers.iter().map(|number| seeded.enrollment(*number));
    let (enrollments, partners): (Vec<Id>, Vec<Id>) =
        parties.map(|(enrollment, partner)| (Id(enrollment.uuid()), Id(partner.uuid()))).unzip();
    let numbers: Vec<i64> = customers.iter().map(|number| i64::try_from(*number)).collect::<Result<_, _>>()?;
    let [commissions, entries, postings]: [Vec<Id>; 3] =
        std::array::from_fn(|_| (0..count).map(|_| Id::new()).collect());
    let sources: Vec<String> = entries.iter().map(|id| id.0.to_string()).collect();
    let accounts: Vec<Id> = customers.iter().map(|number| held[number % held.len()]).collect();
    transaction.execute(fact, &[organization, &invoices, &stripe, &TRACE]).await?;
    transaction
        .execute(
            commission,
            &[organization, program, version, &TRACE, &commissions, &invoices, &enrollments, &partners, &numbers],
        )
        .await?;
    transaction.execute(entry, &[organization, &TRACE, &entries, &commissions, &enrollments]).await?;
    transaction.execute(posting, &[organization, &postings, &sources]).await?;
    transaction.execute(transfer, &[organization, expense, &postings, &accounts]).await?;
    Ok(())
}
