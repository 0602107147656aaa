//! What nobody should say, and what comes of it: a reason on the event or a field that is refused, and nothing booked.

use billing::commissions::by_hand::{self, NewReversal};
use billing::commissions::{CommissionFilter, ReportedConversion, SourceKey, record_conversion};
use billing::inbox::{self, EventReason, EventStatus};
use billing::partners::{self, PartnerProfile};
use billing::payouts;
use billing::programs::terms::Terms;
use billing::{Error, Refusal};
use billing_primitives::BasisPoints;
use serde_json::{Value, json};
use tests::events::{Bill, Line};
use tests::scheme::{Member, Scheme, share};
use tests::{App, date, eur, plain_terms, story};

/// The field that was refused.
fn field<T: std::fmt::Debug>(answer: Result<T, Error>) -> &'static str {
    match answer {
        Err(Error::Refused(Refusal::Invalid { field, .. })) => field,
        other => panic!("not refused for a field: {other:?}"),
    }
}

/// A paid invoice of 100.00 with something about it changed.
fn changed(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut event = Bill::month("cus_C", name, "2026-01-10", 10_000).paid();
    change(&mut event);
    event
}

#[test]
fn events_that_cannot_be_true_earn_nothing_and_say_why() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        let unreadable = (EventStatus::Parked, EventReason::Unreadable);
        let differ = (EventStatus::Processed, EventReason::TotalsDiffer);
        let events = [
            (changed("1", |event| event["data"]["object"]["total"] = json!(i64::MAX)), unreadable),
            (changed("2", |event| event["data"]["object"]["amount_paid"] = json!(1_000_000_000_000_i64)), unreadable),
            (changed("3", |event| event["data"]["object"]["amount_due"] = json!(u64::MAX)), unreadable),
            (changed("4", |event| event["data"]["object"]["number"] = json!("in\0voice")), unreadable),
            (changed("5", |event| event["data"]["object"]["total_excluding_tax"] = json!(9_999)), differ),
            (changed("6", |event| event["data"]["object"]["total"] = json!(1)), differ),
            (
                changed("7", |event| event["account"] = json!("acct_of_somebody_else")),
                (EventStatus::Processed, EventReason::NotOurs),
            ),
            (
                Bill::of("cus_C", "8", "2026-01-10").line(Line::one_off(10_000, "2026-01-10")).paid(),
                (EventStatus::Processed, EventReason::NoRevenue),
            ),
        ];
        app.on("2026-01-10");
        for (event, ends) in events {
            scheme.desk.deliver(&event).await;
            let stored = scheme.event(&event).await;
            assert_eq!((stored.status, stored.reason), (ends.0, Some(ends.1)), "{stored:?}");
        }
        assert_eq!(scheme.commissions(&CommissionFilter::default()).await, []);
        // The largest amounts that are taken; their sums are no trouble.
        for number in 10..13 {
            let bill = Bill::month("cus_C", &number.to_string(), "2026-01-10", 999_999_999_999);
            scheme.tell("2026-01-10", bill.events()).await;
            assert_eq!(scheme.shares(&partner, &format!("in_{number}")).await, [share(1, 200_000_000_000, 0)]);
        }
        app.verify().await;
    });
}

#[test]
fn history_of_the_other_mode_is_not_taken() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        app.on("2026-02-01");
        let mut invoice = Bill::month("cus_C", "1", "2026-01-10", 10_000).paid()["data"]["object"].take();
        invoice["livemode"] = json!(false);
        let refused = inbox::backfill(&app.billing, &app.caller(), &[&invoice.to_string()]).await;
        assert_eq!(field(refused), "invoices");
        let refused = inbox::backfill(&app.billing, &app.caller(), &[r#"["in_1"]"#]).await;
        assert_eq!(field(refused), "invoices");
        assert_eq!(scheme.commissions(&CommissionFilter::default()).await, []);
    });
}

#[test]
fn a_conversion_of_before_anybody_was_credited_is_refused() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        let customer = scheme.customer("C", &partner).await.id;
        app.on("2026-01-10");
        let report = async |at: &str| {
            let converted_at = Some(at.parse().unwrap());
            let input = ReportedConversion { customer, plan: None, seats: 1, converted_at };
            record_conversion(&app.billing, &app.caller(), &input).await
        };
        report("2026-01-09T10:00:00Z").await.unwrap();
        for at in ["1970-01-02T00:00:00Z", "2019-12-30T10:00:00Z", "2026-01-11T23:00:00Z"] {
            assert_eq!(field(report(at).await), "convertedAt", "{at}");
        }
    });
}

#[test]
fn more_than_everything_is_taken_back_once() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        for minor in [5_000, i64::MAX, 1] {
            let reason = "Fejl".to_owned();
            let input = NewReversal { source: SourceKey::invoice("in_1"), amount: Some(eur(minor)), reason };
            by_hand::reverse(&app.billing, &app.caller(), &input).await.unwrap();
        }
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 2_000)]);
        app.verify().await;
    });
}

#[test]
fn a_payout_is_settled_once_and_not_before_its_month() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        scheme.mature("2026-02-12").await;
        let run = scheme.open("2026-03-01").await;
        let (billing, caller) = (&app.billing, app.caller());
        payouts::approve(billing, &caller, run.id, None).await.unwrap();
        payouts::mark_sent(billing, &caller, run.id).await.unwrap();
        let payout = scheme.payouts(run.id).await[0].id;
        for day in ["1970-01-01", "2026-02-27", "2026-03-02"] {
            let refused = payouts::mark_paid(billing, &caller, payout, date(day), "B-1").await;
            assert_eq!(field(refused), "on", "{day}");
        }
        for _ in 0..2 {
            payouts::mark_paid(billing, &caller, payout, date("2026-03-01"), "B-1").await.unwrap();
        }
        assert!(payouts::mark_paid(billing, &caller, payout, date("2026-02-28"), "B-1").await.is_err());
        assert!(payouts::mark_paid(billing, &caller, payout, date("2026-03-01"), "B-2").await.is_err());
        app.verify().await;
    });
}

async fn recruit(app: &App, of: &Member, by: &Member, name: &str) -> Result<(), billing::Error> {
    let profile = PartnerProfile { parent: Some(by.partner.id), ..App::profile(name) };
    partners::update(&app.billing, &app.caller(), of.partner.id, &profile).await.map(|_| ())
}

#[test]
fn two_partners_never_recruit_each_other() {
    story(async |app| {
        let upline = vec![BasisPoints::new(1_000).unwrap(); 3];
        let scheme = Scheme::of(&app, Terms { upline, ..plain_terms() }).await;
        app.on("2026-01-10");
        for round in 0..5 {
            let (one, other) = (format!("A-{round}"), format!("B-{round}"));
            let (a, b) = (scheme.member(&one, None).await, scheme.member(&other, None).await);
            let (left, right) = tokio::join!(recruit(&app, &a, &b, &one), recruit(&app, &b, &a, &other));
            assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
        }
    });
}
