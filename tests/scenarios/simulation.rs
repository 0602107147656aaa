//! Random histories: partners on several levels, customers that pay, take back, dispute and leave, news that comes late,
//! twice and out of order, workers that die half-way. After every step the product has booked what the model expects.
//!
//! `AVANCE_TEST_SIMULATION_SEEDS` and `AVANCE_TEST_SIMULATION_STEPS` play more, `AVANCE_TEST_SIMULATION_FIRST` begins
//! with another seed. A failure names its seed and its last steps; the same seed plays the same history again, but for
//! the moments at which workers meet or die.

#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/money.rs"]
mod money;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use billing::programs::evaluations;
use billing::programs::terms::{Overrides, PlanRule, ProgramTier, SettlementMode, Terms};
use billing::programs::versions;
use billing::stripe::DisputePolicy;
use billing_primitives::{BasisPoints, Date, PlanId, Timestamp};
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tests::scheme::{Member, Scheme};
use tests::{App, date, percent, plain_terms, world};

use model::{Credit, Customer, Model, News, Phases, Rules, Seat, Tier};
use money::{Refund, Sold};

/// Histories that are played at the same time.
const BESIDE: usize = 4;

/// How many of the last steps a failure tells.
const TOLD: usize = 15;

const DAY: i64 = 86_400;

type Log = Arc<Mutex<Vec<String>>>;

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[test]
fn random_histories_come_to_what_the_model_expects() {
    let seeds = asked("AVANCE_TEST_SIMULATION_SEEDS", 8);
    let steps = asked("AVANCE_TEST_SIMULATION_STEPS", 120);
    // One seed alone, to look at a failure.
    let first = asked("AVANCE_TEST_SIMULATION_FIRST", 0);
    let failed: Vec<u64> = world().runtime.block_on(async {
        let histories = (first..first + seeds).map(|seed| async move {
            let log = Log::default();
            let played = tokio::spawn(play(seed, steps, Arc::clone(&log))).await;
            if played.is_err() {
                let log = log.lock().unwrap_or_else(PoisonError::into_inner);
                let last = &log[log.len().saturating_sub(TOLD)..];
                println!("seed {seed} failed in step {}:\n  {}", log.len(), last.join("\n  "));
            }
            played.err().map(|_| seed)
        });
        futures::stream::iter(histories).buffered(BESIDE).filter_map(async |failed| failed).collect().await
    });
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

async fn play(seed: u64, steps: u64, log: Log) {
    let mut play = Play::begin(seed, log).await;
    for _ in 0..steps {
        play.step().await;
        play.scheme.app.verify().await;
    }
    play.end().await;
}

/// A history under way.
struct Play {
    random: StdRng,
    scheme: Scheme,
    members: Vec<Member>,
    model: Model,
    customers: Vec<billing_primitives::CustomerId>,
    /// Seconds since 1970; never the same twice.
    now: i64,
    /// Told by Stripe and not delivered yet.
    late: Vec<(Value, News)>,
    /// Delivered; Stripe may say it again.
    delivered: Vec<Value>,
    sold: Vec<Sold>,
    refunds: Vec<Refund>,
    /// By invoice: the amount, and whether it is still open.
    disputes: BTreeMap<String, (i64, bool)>,
    /// Seats of suspended partners.
    suspended: BTreeSet<usize>,
    /// Names given so far.
    count: u32,
    log: Log,
}

fn bps(rate: i64) -> BasisPoints {
    BasisPoints::new(rate).expect("a rate")
}

fn draw_rules(random: &mut StdRng, from: Date) -> Rules {
    let phases = |rate: i64, months: i64| vec![(1, rate), (months + 1, rate / 2)];
    let months = random.random_range(1..5);
    let lower = random.random_range(5..22) * 100 + 33;
    let tiers = vec![
        Tier { customers: 0, revenue: 0, phases: phases(lower, months) },
        Tier { customers: 2, revenue: 20_000, phases: phases(lower + 250, months) },
        Tier { customers: 3, revenue: 90_000, phases: phases(lower + 450, months + 2) },
    ];
    let upline = vec![random.random_range(1..40) * 50, random.random_range(1..90) * 100];
    // What the best tier comes to with its upline, rounded up.
    let best = lower + 450;
    let all = best * (100_000_000 + upline[0] * (10_000 + upline[1]));
    Rules {
        from,
        new_customers_only: false,
        tiers,
        plan_b: 700,
        upline,
        max_share: (all + 99_999_999) / 100_000_000,
        window_days: 14,
        disputes_at_once: random.random_bool(0.5),
    }
}

fn reward(phases: &Phases) -> Vec<billing::programs::terms::Phase> {
    phases.iter().map(|(from, rate)| percent(u32::try_from(*from).expect("a month"), *rate)).collect()
}

fn terms_of(rules: &Rules, plan_b: PlanId, random: &mut StdRng) -> Terms {
    let tiers = rules.tiers.iter().enumerate().map(|(place, tier)| ProgramTier {
        code: format!("T{place}"),
        name: format!("Tier {place}"),
        converted_customers: tier.customers,
        net_revenue_minor: tier.revenue,
        phases: reward(&tier.phases),
    });
    Terms {
        tiers: tiers.collect(),
        plan_rules: vec![PlanRule { plan: plan_b, phases: vec![percent(1, rules.plan_b)] }],
        upline: rules.upline.iter().map(|rate| bps(*rate)).collect(),
        max_share: bps(rules.max_share),
        hold_days: [0, 5, 20][random.random_range(0..3)],
        cancellation_window_days: Some(u32::try_from(rules.window_days).expect("days")),
        disputes: if rules.disputes_at_once { DisputePolicy::ReverseAtOnce } else { DisputePolicy::HoldUntilLost },
        payout_threshold_minor: [0, 1_500][random.random_range(0..2)],
        ..plain_terms()
    }
}

/// Parents, whether only counted, and what is agreed: three levels over the second partner, a fourth beyond the cut.
fn draw_seats(rules: &Rules) -> Vec<Seat> {
    let seat = |parent| Seat { parent, report_only: false, agreed: None };
    let agreed = Some(vec![(1, rules.tiers[0].phases[0].1 + 100), (3, 333)]);
    vec![
        seat(None),
        seat(Some(0)),
        seat(Some(1)),
        Seat { agreed, ..seat(Some(0)) },
        seat(Some(2)),
        Seat { report_only: true, ..seat(Some(1)) },
    ]
}

impl Play {
    async fn begin(seed: u64, log: Log) -> Play {
        let mut random = StdRng::seed_from_u64(seed);
        let app = App::new(world().database.db.clone()).await;
        let plan = app.plan("b", billing::catalog::Pricing::Flat).await;
        let ids = ["price_b".to_owned()];
        billing::catalog::stripe_ids::set(&app.billing, &app.caller(), plan.id, &ids).await.expect("a price");
        let rules = draw_rules(&mut random, date("2020-01-01"));
        let seats = draw_seats(&rules);
        let scheme = Scheme::of(&app, terms_of(&rules, plan.id, &mut random)).await;
        let mut members: Vec<Member> = Vec::new();
        for (place, seat) in seats.iter().enumerate() {
            let settlement = if seat.report_only { SettlementMode::ReportOnly } else { SettlementMode::Payout };
            let overrides = Overrides { phases: seat.agreed.as_ref().map(reward), plan_rules: Vec::new() };
            let parent = seat.parent.map(|parent| &members[parent]);
            members.push(scheme.member_as(&format!("P-{place}"), parent, settlement, overrides).await);
        }
        let zone = "Europe/Copenhagen".parse().expect("a zone");
        let (invoices, tiers, stated) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let model = Model { zone, rules: vec![rules], seats, customers: Vec::new(), invoices, tiers, stated };
        let now = tests::events::noon("2026-01-05");
        let mut play = Play {
            random,
            scheme,
            members,
            model,
            customers: Vec::new(),
            now,
            late: Vec::new(),
            delivered: Vec::new(),
            sold: Vec::new(),
            refunds: Vec::new(),
            disputes: BTreeMap::new(),
            suspended: BTreeSet::new(),
            count: 0,
            log,
        };
        for number in 0..7 {
            play.register(number).await;
        }
        play.move_clock(0).await;
        play
    }

    async fn register(&mut self, number: usize) {
        let seat = number % self.members.len();
        let customer = self.scheme.customer(&number.to_string(), &self.members[seat]).await;
        self.customers.push(customer.id);
        let credits = vec![Credit { from: date("2020-01-01"), seat: Some(seat) }];
        self.model.customers.push(Customer { credits, subscriptions: BTreeMap::new() });
    }

    fn say(&self, what: String) {
        let at = self.model.day(self.now);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at}: {what}"));
    }

    fn name(&mut self) -> String {
        self.count += 1;
        self.count.to_string()
    }

    fn today(&self) -> Date {
        self.model.day(self.now)
    }

    /// Time goes on; a new month is evaluated before anything else happens in it.
    async fn move_clock(&mut self, seconds: i64) {
        let before = self.today().month();
        self.now += seconds;
        let now = Timestamp::from_microseconds(self.now * 1_000_000).expect("an instant");
        self.scheme.app.billing.clock.set(now);
        let month = self.today().month();
        if seconds > 0 && month == before {
            return;
        }
        self.say(format!("{month} begins"));
        let (billing, organization) = (&self.scheme.app.billing, self.scheme.app.organization);
        evaluations::evaluate_month(billing, organization, month).await.expect("an evaluation");
        self.model.evaluate(month.first());
        if self.random.random_bool(0.15) && self.model.rules.len() < 4 {
            self.publish(month.last().next()).await;
        }
    }

    /// Other terms from a day on, sometimes for new customers only.
    async fn publish(&mut self, from: Date) {
        let last = self.model.rules.last().expect("rules").clone();
        // The agreed rate and the upline stay, so that they fit under the new share, too.
        let (lower, new_customers_only) = (self.random.random_range(5..22) * 100, self.random.random_bool(0.3));
        let mut tiers = last.tiers.clone();
        tiers[0].phases = vec![(1, lower.min(last.tiers[0].phases[0].1)), (4, 250)];
        let rules = Rules { from, new_customers_only, tiers, ..last };
        self.say(format!("from {from} on: {rules:?}"));
        let plan = billing::catalog::plans::by_external_id(&self.scheme.app.billing, self.scheme.app.organization, "b");
        let plan = plan.await.expect("a read").expect("a plan");
        let terms = terms_of(&rules, plan.id, &mut self.random);
        let (billing, caller, program) = (&self.scheme.app.billing, self.scheme.app.caller(), self.scheme.program.id);
        versions::save_draft(billing, &caller, program, &terms, new_customers_only).await.expect("a draft");
        versions::publish(billing, &caller, program, from).await.expect("a version");
        self.model.rules.push(rules);
    }

    async fn step(&mut self) {
        let pause = [60, 3_600, DAY / 2, DAY, 2 * DAY, 6 * DAY][self.random.random_range(0..6)];
        let pause = pause + self.random.random_range(1..50);
        self.move_clock(pause).await;
        match self.random.random_range(0..100) {
            0..34 => self.pay().await,
            34..43 => self.refund().await,
            43..46 => self.fail_refund().await,
            46..51 => self.dispute().await,
            51..56 => self.decide_dispute().await,
            56..59 => self.cancel().await,
            59..66 => self.catch_up().await,
            66..70 => self.say_again().await,
            70..75 => self.reattribute().await,
            75..79 => self.by_hand().await,
            79..83 => self.ripen().await,
            83..86 => self.suspend().await,
            86..89 => self.state().await,
            _ => self.pay_out().await,
        }
        checks::all(&self.scheme, &self.members, &mut self.model).await;
        self.model.stated = checks::stated(&self.scheme).await;
    }

    /// Everything that Stripe still has to tell comes, in any order.
    async fn end(&mut self) {
        while !self.late.is_empty() {
            self.catch_up().await;
        }
        checks::all(&self.scheme, &self.members, &mut self.model).await;
        self.scheme.app.verify().await;
    }
}
