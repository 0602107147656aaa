//! `make bench-large`: twenty organizations in one database, one of them with 100,000 partners and 10,000,000
//! subscriptions; the wholesale month of four of them, from seats to finalized documents, on the private PostgreSQL and,
//! where `AVANCE_BENCH_CLUSTER` names the coordinator of a Citus cluster, on that.
//!
//! Figures also come as lines `ratio NAME VALUE`. `AVANCE_BENCH_SUBSCRIPTIONS` names another size than 10,000,000, and
//! `AVANCE_BENCH_PROFILE=1` tells after each run where its time went. On a cluster the organizations are made beside what is
//! there, and stay.

#[path = "../wholesale_month/cluster.rs"]
mod cluster;
mod database;
#[path = "../wholesale_month/figures.rs"]
mod figures;
#[path = "../wholesale_month/month.rs"]
mod month;
#[path = "../wholesale_month/profile.rs"]
mod profile;
#[path = "../wholesale_month/seed.rs"]
mod seed;
#[path = "../wholesale_month/sizes.rs"]
mod sizes;

use std::error::Error;
use std::time::{Duration, Instant};

use billing::{Billing, Clock};

use cluster::Cluster;
use figures::{decimal, peak_memory_mb, reset_peak_memory};
use profile::Profile;
use seed::Seeded;
use sizes::{number, per_second, short};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ORGANIZATIONS: usize = 20;

/// Of the organizations that are measured, beside the largest.
const SIZES: [i64; 3] = [10_000, 100_000, 1_000_000];

/// Of all others.
const USUAL: i64 = 10_000;

/// What the month of one organization took.
struct Measured {
    subscriptions: i64,
    took: Duration,
    /// Rows that the run wrote.
    rows: i64,
    peak_memory_mb: u64,
}

fn main() -> Outcome<()> {
    let largest = number("AVANCE_BENCH_SUBSCRIPTIONS", 10_000_000)?.max(seed::CUSTOMERS_PER_PARTNER);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let profile = std::env::var_os("AVANCE_BENCH_PROFILE").map(|_| Profile::default());
    let profile = profile.as_ref();
    let plain = runtime.block_on(async {
        let cluster = Cluster::start(profile, 4).await?;
        bench("plain", cluster, largest, profile).await
    })?;
    linear("month_run", &plain);
    let url = std::env::var("AVANCE_BENCH_CLUSTER").ok().filter(|url| !url.is_empty());
    let Some(url) = url else { return Ok(()) };
    let citus = runtime.block_on(async {
        let cluster = database::over(&url, profile, 4).await?;
        bench("citus", cluster, largest, profile).await
    })?;
    linear("month_run_citus", &citus);
    for (plain, citus) in plain.iter().zip(&citus) {
        let ratio = decimal(citus.took.as_millis(), plain.took.as_millis());
        println!("ratio month_run_{}_citus_vs_plain {ratio}", short(plain.subscriptions));
    }
    let all = |measured: &[Measured]| measured.iter().map(|one| one.took.as_millis()).sum::<u128>();
    println!("ratio month_run_citus_vs_plain {}", decimal(all(&citus), all(&plain)));
    Ok(())
}

async fn bench(name: &str, cluster: Cluster, largest: i64, profile: Option<&Profile>) -> Outcome<Vec<Measured>> {
    let billing = Billing::new(cluster.db.clone(), Clock::manual("2025-06-01T12:00:00Z".parse()?));
    let mut sizes: Vec<i64> = SIZES.into_iter().filter(|size| *size < largest).collect();
    sizes.push(largest);
    let others = std::iter::repeat_n(USUAL, ORGANIZATIONS.saturating_sub(sizes.len()));
    for size in others {
        seed::organization(&billing, &cluster.superuser, size, 1).await?;
    }
    let mut seeded = Vec::new();
    for size in sizes {
        let start = Instant::now();
        seeded.push(seed::organization(&billing, &cluster.superuser, size, 1).await?);
        println!("{name}: {size} subscriptions seeded in {} s", decimal(start.elapsed().as_millis(), 1_000));
    }
    let mut all = Vec::new();
    for organization in &seeded {
        profile.inspect(|profile| profile.begin());
        let measured = measure(name, &cluster, &billing, organization).await?;
        profile.inspect(|profile| profile.print(measured.took));
        all.push(measured);
    }
    if let Some(smallest) = seeded.first() {
        month::verify(&billing, smallest).await?;
    }
    println!("{name}: {} MB on disk", database::size_mb(&cluster.superuser).await?);
    cluster.stop().await?;
    Ok(all)
}

async fn measure(name: &str, cluster: &Cluster, billing: &Billing, seeded: &Seeded) -> Outcome<Measured> {
    database::checkpoint(&cluster.superuser).await?;
    reset_peak_memory();
    let took = month::run(billing, seeded, seed::first_month()?).await?;
    let peak_memory_mb = peak_memory_mb()?;
    let rows = database::rows(&cluster.superuser, seeded).await?;
    println!(
        "{name}: {} subscriptions: {} s, {rows} rows, {} rows/s, {peak_memory_mb} MB of memory",
        seeded.subscriptions,
        decimal(took.as_millis(), 1_000),
        per_second(rows, took),
    );
    Ok(Measured { subscriptions: seeded.subscriptions, took, rows, peak_memory_mb })
}

/// How much longer a row of the largest organization takes than one of the organization before it.
fn linear(name: &str, all: &[Measured]) {
    let [.., smaller, larger] = all else { return };
    let per_row = |of: &Measured| of.took.as_nanos() / u128::try_from(of.rows.max(1)).unwrap_or(1);
    let (small, large) = (short(smaller.subscriptions), short(larger.subscriptions));
    println!("ratio {name}_{large}_vs_{small}_per_row {}", decimal(per_row(larger), per_row(smaller)));
    println!("ratio {name}_rss_mb {}", larger.peak_memory_mb);
}
