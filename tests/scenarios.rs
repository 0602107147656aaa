//! The Stripe scenarios: every file of a folder goes through the real webhook, signed, and must end at its base.
//!
//! Each in the order given, in a hundred seeded orders with duplicates, under the other policies that it names, and
//! delivered by two endpoints of different API versions. `AVANCE_STRIPE_DIR` names another folder. The last line
//! counts: `scenarios: N files, M failed`.

#![expect(clippy::expect_used, reason = "a test ends where something that it needs is not there")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use billing::inbox::{self, EventFilter};
use billing::organizations::Mode;
use billing::{Billing, Page};
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tests::desk::Desk;
use tests::stub::{Stub, copy_of};
use tests::{App, percent, plain_terms, world};

/// Orders that each file is delivered in, unless `AVANCE_TEST_STRIPE_ORDERS` says so.
const ORDERS: u64 = 100;

fn orders() -> u64 {
    let asked = std::env::var("AVANCE_TEST_STRIPE_ORDERS").ok();
    asked.map_or(ORDERS, |orders| orders.parse().expect("a number"))
}

/// Orders in which two endpoints deliver the same events.
const MERGED: u64 = 10;

/// Files that are tried at the same time.
const BESIDE: usize = 6;

fn main() -> ExitCode {
    let folder = std::env::var_os("AVANCE_STRIPE_DIR").map_or_else(own_folder, PathBuf::from);
    let scenarios = Arc::new(read(&folder));
    if scenarios.is_empty() {
        println!("{}: no scenario here", folder.display());
    }
    let failed = world().runtime.block_on(run(Arc::clone(&scenarios)));
    println!("scenarios: {} files, {failed} failed", scenarios.len());
    if failed == 0 && !scenarios.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stripe")
}

/// One file.
struct Scenario {
    /// Below the folder.
    path: String,
    /// Of the same name in all versions.
    name: String,
    told: Value,
}

impl Scenario {
    fn events(&self) -> Vec<Value> {
        let deliveries = self.told["deliveries"].as_array().cloned().unwrap_or_default();
        deliveries.into_iter().map(|mut delivery| delivery["event"].take()).collect()
    }

    fn final_net(&self) -> i64 {
        self.told["expected"]["final_net_minor"].as_i64().expect("final_net_minor")
    }

    fn stripe_key(&self) -> String {
        format!("rk_test_{}", self.path.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_"))
    }
}

/// All files of the folder and of those below it that tell of deliveries.
fn read(folder: &Path) -> Vec<Scenario> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let scenario = |path: PathBuf| {
        let told: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        told["deliveries"].as_array()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        let path = path.strip_prefix(folder).ok()?.display().to_string();
        Some(Scenario { path, name, told })
    };
    files.into_iter().filter_map(scenario).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// Returns how many files failed.
async fn run(scenarios: Arc<Vec<Scenario>>) -> usize {
    let stub = Stub::default();
    for scenario in scenarios.iter() {
        stub.teach(&scenario.stripe_key(), &scenario.told["api_lookups"]);
    }
    let mut billing = App::new(world().database.db.clone()).await.billing;
    billing.stripe_base = Some(stub.serve().await);
    let tried = (0..scenarios.len()).map(|index| {
        let (scenarios, billing) = (Arc::clone(&scenarios), billing.clone());
        // A task of its own: a panic fails the file and not the others.
        tokio::spawn(async move { Trial { scenarios: &scenarios, of: &scenarios[index], billing }.run().await })
    });
    let tried: Vec<_> = futures::stream::iter(tried).buffered(BESIDE).collect().await;
    let mut failed = 0;
    for (scenario, failures) in scenarios.iter().zip(tried) {
        let failures = failures.unwrap_or_else(|error| vec![error.to_string()]);
        failed += usize::from(!failures.is_empty());
        for failure in failures.iter().take(5) {
            println!("{}: {failure}", scenario.path);
        }
    }
    failed
}

/// What became of the copies of one customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Came {
    base: i64,
    reversed: i64,
    earned: i64,
    taken_back: i64,
    hold: bool,
}

struct Trial<'a> {
    scenarios: &'a [Scenario],
    of: &'a Scenario,
    billing: Billing,
}

impl Trial<'_> {
    async fn run(&self) -> Vec<String> {
        let mut failures = Vec::new();
        self.in_order(&self.of.told["program"], self.of.final_net(), true, &mut failures).await;
        for variant in self.of.told["expected"]["policy_variants"].as_array().into_iter().flatten() {
            let mut program = self.of.told["program"].clone();
            for (field, value) in variant["program"].as_object().into_iter().flatten() {
                program[field] = value.clone();
            }
            let expected = variant["final_net_minor"].as_i64().expect("final_net_minor");
            self.in_order(&program, expected, false, &mut failures).await;
        }
        self.shuffled(&mut failures).await;
        for other in self.scenarios.iter().filter(|other| other.name == self.of.name && other.path > self.of.path) {
            self.merged(other, &mut failures).await;
        }
        failures
    }

    /// An organization with a programme that pays all of the base, and one partner in it.
    async fn organization(&self, program: &Value) -> (App, billing_primitives::EnrollmentId) {
        let live = program["livemode"].as_bool().unwrap_or(true);
        let change = |new: &mut billing::organizations::NewOrganization| {
            new.mode = if live { Mode::Live } else { Mode::Test };
        };
        let mut app = App::with(self.billing.db.clone(), change).await;
        app.billing.stripe_base.clone_from(&self.billing.stripe_base);
        app.on("2026-06-01");
        inbox::set_account(&app.billing, &app.caller(), &self.of.stripe_key()).await.expect("a key");
        let mut terms = plain_terms();
        terms.tiers[0].phases = vec![percent(1, 10_000)];
        terms.cancellation_window_days =
            program["cancel_clawback_days"].as_u64().map(|days| u32::try_from(days).expect("days"));
        let currency = program["currency"].as_str().expect("a currency").to_uppercase();
        let program = app.program_in("program", currency.parse().expect("a currency"), terms).await;
        let partner = app.partner("partner").await;
        let enrollment = app.enroll(&program, partner.id).await.id;
        (app, enrollment)
    }

    async fn customer(&self, app: &App, enrollment: billing_primitives::EnrollmentId, number: Option<usize>) {
        let stripe_id = self.of.told["referred_customer"].clone();
        let stripe_id = number.map_or_else(|| stripe_id.clone(), |number| copy_of(stripe_id.clone(), number));
        let external_id = number.map_or_else(|| "customer".to_owned(), |number| format!("customer-{number}"));
        let customer = app.stripe_customer(&external_id, stripe_id.as_str().expect("a customer")).await;
        app.attribute(customer.id, enrollment, "2020-01-01").await;
    }

    /// As the file tells it, compared after each delivery where it is required, and in the end invoice by invoice.
    async fn in_order(&self, program: &Value, expected: i64, told: bool, failures: &mut Vec<String>) {
        let (app, enrollment) = self.organization(program).await;
        self.customer(&app, enrollment, None).await;
        let desk = Desk::of(&app, 1).await;
        let events = self.of.events();
        for (index, event) in events.iter().enumerate() {
            desk.deliver(event).await;
            let interim = &self.of.told["expected"]["after_each_delivery"][index];
            let came = sum(&came(&app, "customer").await);
            // Between two events of one fact interim values are informative.
            if told && index + 1 == events.len() && interim["net_minor"] != came.base - came.reversed {
                failures.push(format!("after delivery {}: {came:?}, not {interim}", index + 1));
            }
        }
        let came = came(&app, "customer").await;
        let net = sum(&came);
        if net.base - net.reversed != expected || net.earned - net.taken_back != expected {
            failures.push(format!("{program}: ends at {net:?}, not at {expected}"));
        }
        if told {
            self.by_invoice(&came, failures);
            self.skipped(&app, &events, failures).await;
        }
        verify(&app, failures).await;
    }

    fn by_invoice(&self, came: &BTreeMap<String, Came>, failures: &mut Vec<String>) {
        for (invoice, expected) in self.of.told["expected"]["by_invoice"].as_object().into_iter().flatten() {
            let came = came.get(invoice).copied().unwrap_or_default();
            let is = |field: &str, value: i64| expected[field].as_i64() == Some(value);
            if !is("accrued_minor", came.base) || !is("reversed_minor", came.reversed) {
                failures.push(format!("{invoice}: {came:?}, not {expected}"));
            }
            if came.base != 0 && expected["hold"].as_bool() != Some(came.hold) {
                failures.push(format!("{invoice}: hold is {}", came.hold));
            }
        }
    }

    /// What is passed over is listed with its reason; what comes twice is stored once.
    async fn skipped(&self, app: &App, events: &[Value], failures: &mut Vec<String>) {
        let page = Page::new(None, 100);
        let stored = inbox::events(&app.billing, app.organization, &page, &EventFilter::default()).await;
        let stored = stored.expect("events").items;
        for skipped in self.of.told["expected"]["skipped"].as_array().into_iter().flatten() {
            let seq = usize::try_from(skipped["seq"].as_u64().expect("seq")).expect("seq");
            let reason = skipped["reason"].as_str().expect("a reason").to_uppercase();
            let id = &events[seq - 1]["id"];
            let found: Vec<_> = stored.iter().filter(|event| *id == event.event_id).collect();
            let listed = found.first().and_then(|event| event.reason).map(|reason| reason.to_string());
            let is_so =
                if reason == "DUPLICATE_EVENT" { found.len() == 1 } else { listed.as_deref() == Some(&*reason) };
            if !is_so {
                failures.push(format!("delivery {seq} is listed as {listed:?}, not as {reason}"));
            }
        }
    }

    /// A hundred copies in one organization, each delivered in an order of its own and partly twice.
    async fn shuffled(&self, failures: &mut Vec<String>) {
        let (app, enrollment) = self.organization(&self.of.told["program"]).await;
        let desk = Desk::of(&app, 1).await;
        for seed in 0..orders() {
            let number = usize::try_from(seed).expect("a number");
            self.customer(&app, enrollment, Some(number)).await;
            let mut random = StdRng::seed_from_u64(seed);
            let mut events: Vec<Value> = self.of.events().into_iter().map(|event| copy_of(event, number)).collect();
            let again: Vec<Value> = events.iter().filter(|_| random.random_bool(0.3)).cloned().collect();
            events.extend(again);
            events.shuffle(&mut random);
            for event in &events {
                desk.deliver(event).await;
            }
            let net = sum(&came(&app, &format!("customer-{number}")).await);
            if net.base - net.reversed != self.of.final_net() || net.earned - net.taken_back != self.of.final_net() {
                failures.push(format!("order of seed {seed}: {net:?}, not {}", self.of.final_net()));
            }
        }
        verify(&app, failures).await;
    }

    /// Two endpoints of different versions deliver the same events: whichever comes first is taken.
    async fn merged(&self, other: &Scenario, failures: &mut Vec<String>) {
        let (app, enrollment) = self.organization(&self.of.told["program"]).await;
        let desk = Desk::of(&app, 2).await;
        for seed in 0..MERGED {
            let number = usize::try_from(seed).expect("a number");
            self.customer(&app, enrollment, Some(number)).await;
            let mut random = StdRng::seed_from_u64(seed);
            let of = |endpoint: usize, events: Vec<Value>| {
                events.into_iter().map(move |event| (endpoint, copy_of(event, number)))
            };
            let mut events: Vec<(usize, Value)> = of(0, self.of.events()).chain(of(1, other.events())).collect();
            events.shuffle(&mut random);
            for (endpoint, event) in &events {
                desk.post(*endpoint, event).await;
                desk.process(event).await;
            }
            let net = sum(&came(&app, &format!("customer-{number}")).await);
            if net.base - net.reversed != self.of.final_net() {
                let with = &other.path;
                failures.push(format!("with {with}, seed {seed}: {net:?}, not {}", self.of.final_net()));
            }
        }
    }
}

fn sum(came: &BTreeMap<String, Came>) -> Came {
    came.values().fold(Came::default(), |sum, one| Came {
        base: sum.base + one.base,
        reversed: sum.reversed + one.reversed,
        earned: sum.earned + one.earned,
        taken_back: sum.taken_back + one.taken_back,
        hold: sum.hold || one.hold,
    })
}

/// What the partner has of a customer's invoices.
async fn came(app: &App, external_id: &str) -> BTreeMap<String, Came> {
    let of_one = |row: booked::Row| {
        let came = Came {
            base: row.base_minor,
            reversed: row.base_reversed_minor,
            earned: row.earned_minor,
            taken_back: row.reversed_minor,
            hold: row.on_hold,
        };
        (row.source_id, came)
    };
    booked::rows(app, external_id).await.into_iter().map(of_one).collect()
}

async fn verify(app: &App, failures: &mut Vec<String>) {
    let report = billing::reconciliation::verify(&app.billing, app.organization).await.expect("a report");
    let differences: HashMap<_, _> = report.differences().collect();
    failures.extend(differences.iter().map(|(check, difference)| format!("verify: {check}: {difference}")));
}

/// What is booked, read past the product.
mod booked {
    use diesel::sql_types::{BigInt, Bool, Text, Uuid};
    use diesel_async::RunQueryDsl;
    use tests::App;

    #[derive(diesel::QueryableByName)]
    pub struct Row {
        #[diesel(sql_type = Text)]
        pub source_id: String,
        #[diesel(sql_type = BigInt)]
        pub base_minor: i64,
        #[diesel(sql_type = BigInt)]
        pub base_reversed_minor: i64,
        #[diesel(sql_type = BigInt)]
        pub earned_minor: i64,
        #[diesel(sql_type = BigInt)]
        pub reversed_minor: i64,
        #[diesel(sql_type = Bool)]
        pub on_hold: bool,
    }

    pub async fn rows(app: &App, external_id: &str) -> Vec<Row> {
        let read = async |conn: &mut billing_db::Conn| {
            let rows: Vec<Row> = diesel::sql_query(
                "SELECT m.source_id, m.base_minor, m.base_reversed_minor, m.earned_minor, m.reversed_minor, m.on_hold
                 FROM commission m JOIN customer c ON c.organization_id = $1 AND c.id = m.customer_id
                 WHERE m.organization_id = $1 AND c.external_id = $2",
            )
            .bind::<Uuid, _>(app.organization)
            .bind::<Text, _>(external_id)
            .load(conn)
            .await?;
            Ok::<_, billing_db::DbError>(rows)
        };
        app.billing.db.read(app.organization, read).await.expect("commissions")
    }
}
