//! `make bench`: accruals one by one and a backfill, each beside the rows alone.
//!
//! One by one, an event comes in signed, is stored and committed, and is processed to the committed posting. Beside it
//! stands the bare transaction that any correct accrual must do: the event, the fact, the locked customer, the
//! commission, its entry and its posting, in prepared plain SQL without walls. The backfill reads invoices as Stripe
//! lists them, in batches; beside it stands a batched insert of the same rows. Figures also come as lines `ratio NAME VALUE`.
//!
//! `AVANCE_BENCH_INVOICES` names another size of the backfill than 1,000,000, `AVANCE_BENCH_EVENTS` another number of events
//! per measurement than 2,000.

#[path = "../wholesale_month/cluster.rs"]
mod cluster;
#[path = "../wholesale_month/figures.rs"]
mod figures;
#[path = "../wholesale_month/profile.rs"]
mod profile;

mod bare;
mod id;
mod seed;

use std::error::Error;
use std::time::{Duration, Instant};

use billing::inbox::{self, NewEndpoint};
use billing::{Billing, Clock};
use futures::future::try_join_all;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use cluster::Cluster;
use figures::{decimal, peak_memory_mb, reset_peak_memory};
use profile::Profile;
use seed::Seeded;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Who accrues at the same time.
const CONNECTIONS: [usize; 3] = [1, 4, 16];

const SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";

fn main() -> Outcome<()> {
    let invoices = number("AVANCE_BENCH_INVOICES", 1_000_000)?.max(inbox::BATCH);
    let events = number("AVANCE_BENCH_EVENTS", 2_000)?.max(160);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(events, invoices))
}

fn number(variable: &str, usual: usize) -> Outcome<usize> {
    match std::env::var(variable) {
        Ok(text) => Ok(text.parse().map_err(|_| format!("{variable}={text} is not a whole number"))?),
        Err(_) => Ok(usual),
    }
}

async fn bench(events: usize, invoices: usize) -> Outcome<()> {
    let profile = std::env::var_os("AVANCE_BENCH_PROFILE").map(|_| Profile::default());
    let cluster = Cluster::start(profile.as_ref(), 20).await?;
    let billing = Billing::new(cluster.db.clone(), Clock::manual("2026-06-01T12:00:00Z".parse()?));
    // One customer for each event of both sides, and one for each ten invoices of the backfill.
    let singles = events * CONNECTIONS.len() * 2;
    let seeded = seed::organization(&billing, &cluster.superuser, singles + invoices / 10 + 1).await?;
    let mut from = 0;
    for connections in CONNECTIONS {
        settle(&cluster).await?;
        if let Some(profile) = &profile {
            profile.begin();
        }
        let ours = one_by_one(&billing, &seeded, from..from + events, connections).await?;
        if let Some(profile) = &profile {
            profile.print(ours);
        }
        if from == 0 {
            // Before anything stands there that only looks like it.
            verify(&billing, &seeded).await?;
        }
        let bare = bare::one_by_one(&cluster, &seeded, from + events..from + 2 * events, connections).await?;
        from += 2 * events;
        let (ours, bare) = (per_second(events, ours), per_second(events, bare));
        println!("{connections} connections: {ours} accruals/s, bare {bare}/s");
        println!("ratio accruals_per_second_{connections} {ours}");
        println!("ratio accrual_vs_bare_{connections} {}", decimal(ours, bare));
    }
    settle(&cluster).await?;
    reset_peak_memory();
    let ours = backfill(&billing, &seeded, from, invoices).await?;
    let memory = peak_memory_mb()?;
    settle(&cluster).await?;
    let bare = bare::backfill(&cluster, &seeded, from, invoices).await?;
    let (ours, bare) = (per_second(invoices, ours), per_second(invoices, bare));
    println!("backfill of {invoices}: {ours} invoices/s, bare {bare}/s");
    println!("ratio backfill_invoices_per_second {ours}");
    println!("ratio backfill_vs_bare {}", decimal(ours, bare));
    println!("ratio backfill_rss_mb {memory}");
    cluster.stop().await
}

async fn settle(cluster: &Cluster) -> Outcome<()> {
    cluster.superuser.batch_execute("VACUUM ANALYZE").await?;
    Ok(cluster.superuser.batch_execute("CHECKPOINT").await?)
}

fn per_second(done: usize, took: Duration) -> u128 {
    u128::try_from(done).unwrap_or(0) * 1_000_000 / took.as_micros().max(1)
}

/// Event in, committed; processed, committed.
async fn one_by_one(
    billing: &Billing,
    seeded: &Seeded,
    customers: std::ops::Range<usize>,
    connections: usize,
) -> Outcome<Duration> {
    let new = NewEndpoint { name: "bench".to_owned(), secrets: vec![SECRET.to_owned()] };
    let endpoint = inbox::add_endpoint(billing, &seeded.caller(), &new).await?.into_inner().id.to_string();
    let all: Vec<usize> = customers.collect();
    let start = Instant::now();
    let tasks = all.chunks(all.len().div_ceil(connections)).map(|chunk| {
        let (billing, endpoint, chunk) = (billing.clone(), endpoint.clone(), chunk.to_vec());
        let organization = seeded.organization;
        async move {
            tokio::spawn(async move {
                for number in chunk {
                    let (id, body) = (seed::event_id(number), seed::event(number));
                    let received = inbox::receive(&billing, &endpoint, &signature(&body)?, body.as_bytes()).await;
                    received.map_err(|rejected| format!("{rejected:?}"))?;
                    inbox::process(&billing, organization, &id).await?;
                }
                Outcome::Ok(())
            })
            .await?
        }
    });
    try_join_all(tasks).await?;
    Ok(start.elapsed())
}

fn signature(body: &str) -> Outcome<String> {
    let at = seed::NOW;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(format!("{at}.{body}").as_bytes());
    Ok(format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes())))
}

async fn backfill(billing: &Billing, seeded: &Seeded, from: usize, invoices: usize) -> Outcome<Duration> {
    let caller = seeded.caller();
    let start = Instant::now();
    let mut next = 0;
    while next < invoices {
        let until = (next + inbox::BATCH).min(invoices);
        let lines: Vec<String> = (next..until).map(|number| seed::historic(from, number, invoices)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        inbox::backfill(billing, &caller, &lines).await?;
        next = until;
    }
    Ok(start.elapsed())
}

async fn verify(billing: &Billing, seeded: &Seeded) -> Outcome<()> {
    let report = billing::reconciliation::verify(billing, seeded.organization).await?;
    let ours = |(check, _): &(&str, &str)| *check == "commissions follow from the facts of their customers";
    let differences: Vec<_> = report.differences().filter(ours).take(10).collect();
    if differences.is_empty() { Ok(()) } else { Err(format!("verification found {differences:#?}").into()) }
}
