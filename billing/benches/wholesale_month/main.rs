//! `make bench`: the wholesale month of a large organization, from seats to finalized documents, beside its floor.
//!
//! The floor is the time PostgreSQL itself needs to `INSERT … SELECT` the rows that the run wrote from unindexed staging
//! tables into copies of the real tables, with the same indexes and foreign keys. Runs and floors take turns, month by
//! month, in a private cluster that is gone afterwards. Figures also come as lines `ratio NAME VALUE`.
//!
//! `AVANCE_BENCH_SUBSCRIPTIONS` names another size than 1,000,000, `AVANCE_BENCH_MONTHS` another number of months than 2,
//! and `AVANCE_BENCH_PROFILE=1` tells after each run where its time went.

mod cluster;
mod figures;
mod floor;
mod month;
mod profile;
mod seed;
mod sizes;

use std::error::Error;
use std::time::Duration;

use billing::{Billing, Clock};

use cluster::Cluster;
use figures::{decimal, peak_memory_mb, reset_peak_memory};
use profile::Profile;
use seed::Seeded;
use sizes::{number, per_second, short};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Sizes to compare: the run has to be linear from the smallest to the largest.
const SIZES: [i64; 3] = [10_000, 100_000, 1_000_000];

/// What one size took, all months together.
struct Measured {
    subscriptions: i64,
    months: i64,
    run: Duration,
    floor: Duration,
    rows: i64,
    peak_memory_mb: u64,
}

impl Measured {
    /// Nanoseconds of the run for one subscription and month.
    fn nanos_per_subscription(&self) -> i64 {
        let done = (self.subscriptions * self.months).max(1);
        i64::try_from(self.run.as_nanos()).unwrap_or(i64::MAX) / done
    }
}

fn main() -> Outcome<()> {
    let largest = number("AVANCE_BENCH_SUBSCRIPTIONS", 1_000_000)?.max(seed::CUSTOMERS_PER_PARTNER);
    let months = number("AVANCE_BENCH_MONTHS", 2)?.clamp(1, 9);
    let mut sizes: Vec<i64> = SIZES.into_iter().filter(|size| *size < largest).collect();
    sizes.push(largest);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(&sizes, months))
}

async fn bench(sizes: &[i64], months: i64) -> Outcome<()> {
    let profile = std::env::var_os("AVANCE_BENCH_PROFILE").map(|_| Profile::default());
    let cluster = Cluster::start(profile.as_ref(), 4).await?;
    let billing = Billing::new(cluster.db.clone(), Clock::manual("2025-06-01T12:00:00Z".parse()?));
    floor::make_copies(&cluster.superuser).await?;
    let mut all = Vec::new();
    for subscriptions in sizes {
        let seeded = seed::organization(&billing, &cluster.superuser, *subscriptions, months).await?;
        all.push(measure(&cluster, &billing, &seeded, months, profile.as_ref()).await?);
        if all.len() == 1 {
            month::verify(&billing, &seeded).await?;
        }
    }
    report(&all);
    cluster.stop().await
}

async fn measure(
    cluster: &Cluster,
    billing: &Billing,
    seeded: &Seeded,
    months: i64,
    profile: Option<&Profile>,
) -> Outcome<Measured> {
    let mut measured = Measured {
        subscriptions: seeded.subscriptions,
        months,
        run: Duration::ZERO,
        floor: Duration::ZERO,
        rows: 0,
        peak_memory_mb: 0,
    };
    let mut of = seed::first_month()?;
    for _ in 0..months {
        let since = floor::next_transaction(&cluster.superuser).await?;
        floor::settle(&cluster.superuser).await?;
        reset_peak_memory();
        if let Some(profile) = profile {
            profile.begin();
        }
        let run = month::run(billing, seeded, of).await?;
        measured.peak_memory_mb = measured.peak_memory_mb.max(peak_memory_mb()?);
        if let Some(profile) = profile {
            profile.print(run);
        }
        floor::stage(&cluster.superuser, seeded.organization, since).await?;
        let (floor, rows) = floor::insert(&cluster.superuser).await?;
        println!(
            "{} subscriptions, {of}: run {} s ({} rows/s), floor {} s, {rows} rows",
            seeded.subscriptions,
            decimal(run.as_millis(), 1_000),
            per_second(rows, run),
            decimal(floor.as_millis(), 1_000),
        );
        measured.run += run;
        measured.floor += floor;
        measured.rows += rows;
        of = of.next();
    }
    Ok(measured)
}

fn report(all: &[Measured]) {
    println!();
    for measured in all {
        let name = short(measured.subscriptions);
        println!("ratio month_run_{name}_vs_floor {}", decimal(measured.run.as_millis(), measured.floor.as_millis()));
    }
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return };
    println!("ratio month_run_vs_floor {}", decimal(last.run.as_millis(), last.floor.as_millis()));
    println!("ratio month_run_rss_mb {}", last.peak_memory_mb);
    println!("ratio month_run_rows_per_second {}", per_second(last.rows, last.run));
    let month = u128::try_from(last.months).unwrap_or(1).max(1);
    println!("ratio month_run_seconds {}", decimal(last.run.as_millis(), 1_000 * month));
    println!("ratio month_floor_seconds {}", decimal(last.floor.as_millis(), 1_000 * month));
    if all.len() > 1 {
        let (small, large) = (first.nanos_per_subscription(), last.nanos_per_subscription());
        let linear = decimal(large.unsigned_abs().into(), small.unsigned_abs().into());
        println!("ratio month_run_{}_vs_{}_per_row {linear}", short(last.subscriptions), short(first.subscriptions));
    }
}
