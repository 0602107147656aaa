//! Which rule a commission is earned by: agreements, plans, flat amounts, caps, conversions. One ending per story, worked
//! out by hand.

use billing::catalog::{Plan, Pricing, stripe_ids};
use billing::commissions::by_hand::{self, NewReversal};
use billing::commissions::{ReportedConversion, SourceKey, record_conversion};
use billing::programs::terms::{CommissionBase, Overrides, Phase, PlanRule, Reward, SettlementMode, Terms, Trigger};
use billing_primitives::BasisPoints;
use tests::events::{Bill, Line, Subscribed, noon, refunded};
use tests::scheme::{Scheme, share};
use tests::{App, eur, percent, plain_terms, story};

fn bps(rate: i64) -> BasisPoints {
    BasisPoints::new(rate).unwrap()
}

fn with(reward: Phase) -> Terms {
    let mut terms = plain_terms();
    terms.tiers[0].phases = vec![reward];
    terms
}

/// A plan that is sold at Stripe at this price.
async fn plan(app: &App, price: &str, pricing: Pricing) -> Plan {
    let plan = app.plan(&format!("plan of {price}"), pricing).await;
    stripe_ids::set(&app.billing, &app.caller(), plan.id, &[price.to_owned()]).await.unwrap();
    plan
}

#[test]
fn what_is_agreed_comes_before_what_the_programme_says() {
    story(async |app| {
        let (basic, pro) = (plan(&app, "price_b", Pricing::Flat).await, plan(&app, "price_p", Pricing::Flat).await);
        let rule = |plan: &Plan, rate| PlanRule { plan: plan.id, phases: vec![percent(1, rate)] };
        let scheme = Scheme::of(&app, Terms { plan_rules: vec![rule(&pro, 1_000)], ..plain_terms() }).await;
        let agreed = Overrides { phases: Some(vec![percent(1, 3_000)]), plan_rules: vec![rule(&basic, 4_000)] };
        let friend = scheme.member_as("F", None, SettlementMode::Payout, agreed).await;
        let other = scheme.member("O", None).await;
        // 10.01 as Basic, 10.00 as Pro, 10.00 as something that nobody mapped.
        let bill = |customer: &str| {
            let line = |amount| Line::period(amount, "2026-01-10", "2026-02-10");
            let bill = Bill::of(&format!("cus_{customer}"), customer, "2026-01-10");
            bill.line(line(1_001).at("price_b")).line(line(1_000).at("price_p")).line(line(1_000).at("price_x"))
        };
        for (customer, member) in [("F1", &friend), ("O1", &other)] {
            scheme.customer(customer, member).await;
            scheme.tell("2026-01-10", bill(customer).events()).await;
        }
        // 40 % as agreed for Basic, 30 % as agreed for all else: 4.004 + 3 + 3, rounded once.
        assert_eq!(scheme.shares(&friend, "in_F1").await, [share(1, 1_000, 0)]);
        // 20 % by tier, 10 % by the programme's rule for Pro, 20 %: 2.002 + 1 + 2.
        assert_eq!(scheme.shares(&other, "in_O1").await, [share(1, 500, 0)]);
        app.verify().await;
    });
}

#[test]
fn a_flat_amount_is_earned_once_per_subscription_and_period() {
    story(async |app| {
        let flat = Phase { from_month: 1, reward: Reward::Flat(1_500) };
        let upline = vec![bps(5_000)];
        let scheme = Scheme::of(&app, Terms { upline, ..with(flat) }).await;
        let parent = scheme.member("A", None).await;
        let partner = scheme.member("B", Some(&parent)).await;
        scheme.customer("C", &partner).await;
        let january = |amount| Line::period(amount, "2026-01-10", "2026-02-10");
        let february = |amount| Line::period(amount, "2026-02-10", "2026-03-10");
        let of = |name: &str, on: &str| Bill::of("cus_C", name, on);
        let bills = [
            // Two lines of one subscription and period: 15.00, and 7.50 above.
            ("2026-01-10", of("1", "2026-01-10").line(january(6_000)).line(january(4_000)), (1_500, 750)),
            // More of the same period, and a proration: nothing.
            ("2026-01-20", of("2", "2026-01-20").line(january(5_000)), (0, 0)),
            ("2026-01-21", of("3", "2026-01-21").line(january(5_000).prorated()), (0, 0)),
            // Never above the base of 10.00: and then nothing is left for the parent.
            ("2026-02-10", of("4", "2026-02-10").line(february(1_000)), (1_000, 0)),
            // Two subscriptions: 30.00 of a base of 40.00, and 10.00 of the parent's 15.00 are left.
            (
                "2026-03-10",
                of("5", "2026-03-10")
                    .line(Line::period(2_000, "2026-03-10", "2026-04-10"))
                    .line(Line::period(2_000, "2026-03-10", "2026-04-10").of("sub_2")),
                (3_000, 1_000),
            ),
        ];
        for (number, (on, bill, (first, second))) in (1..).zip(bills) {
            scheme.tell(on, bill.events()).await;
            let source = format!("in_{number}");
            let earned = async |member| scheme.shares(member, &source).await.iter().map(|one| one.earned).sum::<i64>();
            assert_eq!((earned(&partner).await, earned(&parent).await), (first, second), "{source}");
        }
        app.verify().await;
    });
}

#[test]
fn what_rounding_adds_beyond_the_share_is_cut_from_the_top() {
    story(async |app| {
        let terms = Terms { upline: vec![bps(10_000)], max_share: bps(2_000), ..with(percent(1, 1_000)) };
        let scheme = Scheme::of(&app, terms).await;
        let parent = scheme.member("A", None).await;
        let partner = scheme.member("B", Some(&parent)).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 45).events()).await;
        // 10 % of 0.45 is 0.045: 0.05 for both, and 20 % of 0.45 are 0.09.
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 5, 0)]);
        assert_eq!(scheme.shares(&parent, "in_1").await, [share(2, 4, 0)]);
        app.verify().await;
    });
}

#[test]
fn what_is_only_counted_feeds_nobody_above() {
    story(async |app| {
        let scheme = Scheme::of(&app, Terms { upline: vec![bps(5_000); 2], ..plain_terms() }).await;
        let top = scheme.member("A", None).await;
        let colleague = scheme.member_as("S", Some(&top), SettlementMode::ReportOnly, Overrides::default()).await;
        let partner = scheme.member("P", Some(&colleague)).await;
        for (customer, member) in [("own", &colleague), ("brought", &partner)] {
            scheme.customer(customer, member).await;
            let bill = Bill::month(&format!("cus_{customer}"), customer, "2026-01-10", 10_000);
            scheme.tell("2026-01-10", bill.events()).await;
        }
        // The colleague counts 20.00 of its own and half of the partner's 20.00. Above it nobody earns.
        assert_eq!(scheme.shares(&colleague, "in_own").await, [share(1, 2_000, 0)]);
        assert_eq!(scheme.shares(&colleague, "in_brought").await, [share(2, 1_000, 0)]);
        assert_eq!(scheme.shares(&top, "in_own").await, []);
        assert_eq!(scheme.shares(&top, "in_brought").await, []);
        scheme.tell("2026-01-12", [refunded("own", "1", noon("2026-01-12"), 10_000)]).await;
        assert_eq!(scheme.mature("2026-01-31").await, 1, "the partner's own");
        assert_eq!(scheme.amounts(&colleague).await, [0; 5]);
        let paid = scheme.pay_out("2026-02-02").await;
        assert_eq!(paid.iter().map(|payout| payout.net_minor).collect::<Vec<_>>(), [2_000]);
        app.verify().await;
    });
}

/// Half of one month's list price, held for 5 days, once per customer.
fn half_a_month() -> Terms {
    Terms { base: CommissionBase::ListPrice, trigger: Trigger::Conversion, hold_days: 5, ..with(percent(1, 5_000)) }
}

#[test]
fn a_conversion_waits_for_the_first_payment_and_shares_its_fate() {
    story(async |app| {
        let plan = plan(&app, "price_1", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, eur(4_900))]).await;
        let scheme = Scheme::of(&app, half_a_month()).await;
        let partner = scheme.member("P", None).await;
        let customer = scheme.customer("C", &partner).await;
        let source = customer.id.to_string();
        let subscribed = Subscribed::of("cus_C", "sub_1", noon("2026-01-10")).to("price_1", 3);
        scheme.tell("2026-01-10", [subscribed.created()]).await;
        // 50 % of 3 x 49.00, and nobody has paid yet.
        assert_eq!(scheme.shares(&partner, &source).await, [share(1, 7_350, 0)]);
        assert_eq!(scheme.mature("2026-01-20").await, 0);
        // What is paid is less than the list price; the second month earns nothing more.
        scheme.tell("2026-01-20", Bill::month("cus_C", "1", "2026-01-20", 10_000).events()).await;
        assert_eq!(scheme.mature("2026-01-25").await, 0, "held through 25 January");
        scheme.tell("2026-02-20", Bill::month("cus_C", "2", "2026-02-20", 10_000).events()).await;
        // A quarter of the first payment goes back: 18.375 of 73.50.
        scheme.tell("2026-02-21", [refunded("1", "1", noon("2026-02-21"), 2_500)]).await;
        assert_eq!(scheme.shares(&partner, &source).await, [share(1, 7_350, 1_838)]);
        assert_eq!(scheme.mature("2026-02-22").await, 1);
        assert_eq!(scheme.amounts(&partner).await, [0, 5_512, 0, 0, 0]);
        // The second payment is nobody's business.
        scheme.tell("2026-02-23", [refunded("2", "2", noon("2026-02-23"), 10_000)]).await;
        assert_eq!(scheme.amounts(&partner).await, [0, 5_512, 0, 0, 0]);
        app.verify().await;
    });
}

#[test]
fn a_conversion_that_stripe_does_not_bill_ripens_by_itself() {
    story(async |app| {
        let plan = plan(&app, "price_1", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, eur(4_900))]).await;
        let scheme = Scheme::of(&app, half_a_month()).await;
        let partner = scheme.member("P", None).await;
        let customer = scheme.customer("C", &partner).await;
        app.on("2026-01-10");
        let input = ReportedConversion { customer: customer.id, plan: Some(plan.id), seats: 2, converted_at: None };
        for _ in 0..2 {
            record_conversion(&app.billing, &app.caller(), &input).await.unwrap();
        }
        // 50 % of 2 x 49.00, once, held through 15 January.
        assert_eq!(scheme.shares(&partner, &customer.id.to_string()).await, [share(1, 4_900, 0)]);
        assert_eq!(scheme.mature("2026-01-15").await, 0);
        assert_eq!(scheme.mature("2026-01-16").await, 1);
        assert_eq!(scheme.pay_out("2026-02-02").await[0].net_minor, 4_900);
        let source = SourceKey::conversion(customer.id);
        let reversal = NewReversal { source, amount: Some(eur(2_450)), reason: "Ingen kunde".to_owned() };
        by_hand::reverse(&app.billing, &app.caller(), &reversal).await.unwrap();
        // A quarter of the base of 98.00, after it was paid out: a debt of 12.25.
        assert_eq!(scheme.amounts(&partner).await, [0, 0, 1_225, 0, 4_900]);
        app.verify().await;
    });
}
