//! Commissions: what partners earn on what customers pay, and what is taken back when the money goes back. Every story
//! has one ending, worked out by hand, and leaves books that verify.

use billing::attribution::{self, ByHand};
use billing::commissions::by_hand::NewReversal;
use billing::commissions::{EntryKind, SourceKey, by_hand};
use billing::customers::{self, CustomerProfile};
use billing::inbox::{self, EventReason, Processed};
use billing::partners::{self, PartnerProfile, PartnerStatus};
use billing::payouts::{self, LeftOut};
use billing::programs::evaluations;
use billing::programs::terms::Terms;
use billing_primitives::{BasisPoints, CustomerId};
use serde_json::Value;
use tests::events::{Bill, Line, Subscribed, credit_note, dispute, noon, refund_failed, refunded};
use tests::scheme::{Member, Scheme, share};
use tests::{App, date, eur, percent, plain_terms, story};

fn phases(phases: &[(u32, i64)]) -> Terms {
    let mut terms = plain_terms();
    terms.tiers[0].phases = phases.iter().map(|(from_month, bps)| percent(*from_month, *bps)).collect();
    terms
}

/// Kinds and amounts of a source's steps, as far as they change what is earned or taken back.
async fn steps(scheme: &Scheme, of: &Member, source: &str) -> Vec<(EntryKind, i64)> {
    let entries = scheme.entries(of, source).await;
    entries.iter().filter(|entry| entry.amount_minor != 0).map(|entry| (entry.kind, entry.amount_minor)).collect()
}

#[test]
fn twenty_percent_for_a_year_and_ten_for_life() {
    story(async |app| {
        let scheme = Scheme::of(&app, phases(&[(1, 2000), (13, 1000)])).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        // From 31 January on; nothing in April and May, and another plan from July on.
        let month = |period: &'static str| {
            let line = Line::seconds(9_995, noon(period), noon(period) + 2_500_000);
            let line = if period > "2026-07" { line.of("sub_2").at("price_2") } else { line };
            (period, Bill::of("cus_C", period, period).line(line))
        };
        let first_year = [
            "2026-01-31",
            "2026-02-28",
            "2026-03-31",
            "2026-06-30",
            "2026-07-31",
            "2026-08-31",
            "2026-09-30",
            "2026-10-31",
            "2026-11-30",
            "2026-12-31",
        ];
        for (on, bill) in first_year.map(month) {
            scheme.tell(on, bill.events()).await;
            // 20 % of 99.95, exactly 19.99: a pause and another plan begin no new first year.
            assert_eq!(scheme.shares(&partner, &format!("in_{on}")).await, [share(1, 1_999, 0)], "{on}");
        }
        for (on, bill) in ["2027-01-31", "2027-02-28"].map(month) {
            scheme.tell(on, bill.events()).await;
            // 10 % of 99.95 is 9.995: half a cent is rounded up.
            assert_eq!(scheme.shares(&partner, &format!("in_{on}")).await, [share(1, 1_000, 0)], "{on}");
        }
        assert_eq!(scheme.amounts(&partner).await, [10 * 1_999 + 2 * 1_000, 0, 0, 0, 0]);
        // The month before all of them arrives late. Then 31 December 2026 begins month 13: 19.99 become 10.00.
        let (_, late) = month("2025-12-31");
        scheme.tell("2027-03-10", late.events()).await;
        assert_eq!(scheme.shares(&partner, "in_2025-12-31").await, [share(1, 1_999, 0)]);
        assert_eq!(scheme.shares(&partner, "in_2026-11-30").await, [share(1, 1_999, 0)], "month 12");
        let moved = [(EntryKind::Accrual, 1_999), (EntryKind::Accrual, -999)];
        assert_eq!(steps(&scheme, &partner, "in_2026-12-31").await, moved);
        assert_eq!(scheme.amounts(&partner).await, [10 * 1_999 + 3 * 1_000, 0, 0, 0, 0]);
        // And so does the month before that one, though it is paid last of all.
        let line = Line::period(9_995, "2025-11-30", "2025-12-31");
        scheme.tell("2027-03-11", Bill::of("cus_C", "last", "2027-03-11").line(line).events()).await;
        assert_eq!(scheme.shares(&partner, "in_last").await, [share(1, 1_999, 0)]);
        assert_eq!(scheme.shares(&partner, "in_2026-11-30").await, [share(1, 1_000, 0)], "month 13 now");
        assert_eq!(scheme.amounts(&partner).await, [10 * 1_999 + 4 * 1_000, 0, 0, 0, 0]);
        app.verify().await;
    });
}

#[test]
fn a_debt_is_carried_until_later_months_have_earned_it() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        assert_eq!(scheme.pay_out("2026-02-02").await[0].net_minor, 2_000);
        // All of it goes back after 20.00 were paid out, and February earns 8.00.
        scheme.tell("2026-02-10", [refunded("1", "1", noon("2026-02-10"), 10_000)]).await;
        scheme.tell("2026-02-12", Bill::month("cus_C", "2", "2026-02-12", 4_000).events()).await;
        assert_eq!(scheme.amounts(&partner).await, [800, 0, 2_000, 0, 2_000]);
        let march = scheme.open("2026-03-02").await;
        assert!(scheme.payouts(march.id).await.is_empty());
        assert_eq!(scheme.left_out(march.id).await, [(LeftOut::InDebt, -1_200)]);
        // March earns 20.00: 8.00 + 20.00 - 20.00 are paid.
        scheme.tell("2026-03-10", Bill::month("cus_C", "3", "2026-03-10", 10_000).events()).await;
        let paid = scheme.pay_out("2026-04-02").await.remove(0);
        assert_eq!((paid.payable_minor, paid.offset_minor, paid.net_minor), (2_800, 2_000, 800));
        assert_eq!(scheme.amounts(&partner).await, [0, 0, 0, 0, 2_800]);
        let told = [
            ("2026-01".to_owned(), [0, 2_000, 0, 2_000]),
            ("2026-02".to_owned(), [0, 800, 2_000, -1_200]),
            ("2026-03".to_owned(), [-1_200, 2_000, 0, 800]),
        ];
        assert_eq!(scheme.statements(&partner).await, told);
        app.verify().await;
    });
}

#[test]
fn a_won_dispute_gives_back_once() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        let at = noon("2026-01-20");
        let opened = dispute("created", "1", at, 10_000, "needs_response", &[-10_000]);
        scheme.tell("2026-01-20", [opened]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 2_000)]);
        // Stripe tells of the money and of the verdict; each twice.
        let money = dispute("funds_reinstated", "1", at + 86_400, 10_000, "won", &[-10_000, 10_000]);
        let verdict = dispute("closed", "1", at + 86_400, 10_000, "won", &[-10_000, 10_000]);
        scheme.tell("2026-01-21", [money.clone(), verdict.clone(), verdict, money]).await;
        let told = [(EntryKind::Accrual, 2_000), (EntryKind::Clawback, -2_000), (EntryKind::Restoration, 2_000)];
        assert_eq!(steps(&scheme, &partner, "in_1").await, told);
        // It ripens when it may, and a lost one takes all of it for good.
        assert_eq!(scheme.mature("2026-01-22").await, 1);
        scheme.tell("2026-01-22", Bill::month("cus_C", "2", "2026-01-22", 5_000).events()).await;
        let lost = dispute("closed", "2", noon("2026-01-23"), 5_000, "lost", &[-5_000]);
        scheme.tell("2026-01-23", [lost]).await;
        assert_eq!(scheme.amounts(&partner).await, [0, 2_000, 0, 0, 0]);
        app.verify().await;
    });
}

#[test]
fn three_levels_are_taken_back_to_the_last_cent() {
    story(async |app| {
        let upline = [1_000, 5_000].map(|bps| BasisPoints::new(bps).unwrap()).to_vec();
        let scheme = Scheme::of(&app, Terms { upline, ..plain_terms() }).await;
        let top = scheme.member("A", None).await;
        let middle = scheme.member("B", Some(&top)).await;
        let partner = scheme.member("C", Some(&middle)).await;
        scheme.customer("K", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_K", "1", "2026-01-10", 12_345).events()).await;
        // 20 % of 123.45 = 24.69; 10 % of that = 2.469; 50 % of 2.47 = 1.235.
        let all = [(&partner, 1, 2_469), (&middle, 2, 247), (&top, 3, 124)];
        for (member, level, earned) in all {
            assert_eq!(scheme.shares(member, "in_1").await, [share(level, earned, 0)]);
        }
        scheme.tell("2026-01-15", [refunded("1", "1", noon("2026-01-15"), 5_000)]).await;
        // 50 / 123.45 of each: 10.0000, 1.0004 and 0.5022.
        for (member, level, earned, reversed) in
            [(&partner, 1, 2_469, 1_000), (&middle, 2, 247, 100), (&top, 3, 124, 50)]
        {
            assert_eq!(scheme.shares(member, "in_1").await, [share(level, earned, reversed)]);
        }
        scheme.tell("2026-02-15", [refunded("1", "2", noon("2026-02-15"), 7_345)]).await;
        for (member, level, earned) in all {
            assert_eq!(scheme.shares(member, "in_1").await, [share(level, earned, earned)]);
            assert_eq!(scheme.amounts(member).await, [0; 5]);
        }
        app.verify().await;
    });
}

#[test]
fn the_upline_is_that_of_the_day() {
    story(async |app| {
        let upline = vec![BasisPoints::new(1_000).unwrap(); 2];
        let scheme = Scheme::of(&app, Terms { upline, ..plain_terms() }).await;
        let top = scheme.member("A", None).await;
        let middle = scheme.member("B", Some(&top)).await;
        let partner = scheme.member("C", Some(&middle)).await;
        scheme.customer("K", &partner).await;
        let moved = async |day: &str, parent: Option<&Member>| {
            app.on(day);
            let profile = PartnerProfile { parent: parent.map(|of| of.partner.id), ..App::profile("C") };
            partners::update(&app.billing, &app.caller(), partner.partner.id, &profile).await.unwrap();
        };
        moved("2026-02-01", None).await;
        moved("2026-03-01", Some(&middle)).await;
        moved("2026-03-01", Some(&top)).await;
        // Told in March, about payments of before and after: 20 % of 100, 10 % of that, 10 % of that.
        let (of_middle, of_top) = ([share(2, 200, 0)], [share(3, 20, 0)]);
        let expected = [
            ("2026-01-31", &of_middle[..], &of_top[..]),
            ("2026-02-01", &[], &[]),
            ("2026-02-28", &[], &[]),
            ("2026-03-01", &[], &of_middle[..]),
        ];
        for (day, middle_earns, top_earns) in expected {
            scheme.tell("2026-03-02", Bill::month("cus_K", day, day, 10_000).events()).await;
            let invoice = format!("in_{day}");
            assert_eq!(scheme.shares(&partner, &invoice).await, [share(1, 2_000, 0)], "{day}");
            assert_eq!(scheme.shares(&middle, &invoice).await, middle_earns, "{day}");
            assert_eq!(scheme.shares(&top, &invoice).await, top_earns, "{day}");
        }
        app.verify().await;
    });
}

#[test]
fn a_failed_refund_gives_back_and_a_credit_note_counts_once_with_its_refund() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        // 100.00 for the plan, 50.00 for the setup and 37.50 VAT: only the plan earns.
        let bill = Bill::of("cus_C", "1", "2026-01-10");
        let bill = bill.line(Line::period(10_000, "2026-01-10", "2026-02-10").tax(2_500));
        let bill = bill.line(Line::one_off(5_000, "2026-01-10").tax(1_250));
        scheme.tell("2026-01-10", bill.events()).await;
        let at = noon("2026-01-12");
        scheme.tell("2026-01-12", [refunded("1", "bounced", at, 18_750)]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 2_000)]);
        scheme.tell("2026-01-13", [refund_failed("1", "bounced", at + 86_400, 18_750)]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 0)]);
        // 25.00 of the plan's 100.00 are credited, and the refund that carries it out comes with it.
        let at = noon("2026-01-14");
        let note = credit_note("cus_C", "1", "1", "credited", at, 2_500);
        scheme.tell("2026-01-14", [refunded("1", "credited", at, 2_500), note]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 500)]);
        app.verify().await;
    });
}

#[test]
fn only_a_cancellation_inside_the_window_takes_back() {
    story(async |app| {
        let scheme = Scheme::of(&app, Terms { cancellation_window_days: Some(14), ..plain_terms() }).await;
        let partner = scheme.member("P", None).await;
        let paid = noon("2026-01-10");
        for customer in ["inside", "outside", "asked", "both"] {
            scheme.customer(customer, &partner).await;
            let (stripe, sub) = (format!("cus_{customer}"), format!("sub_{customer}"));
            let line = Line::seconds(10_000, paid, paid + 2_592_000).of(&sub);
            let bill = Bill::of(&stripe, customer, "2026-01-10").line(line);
            scheme.tell("2026-01-10", bill.events()).await;
            scheme.tell("2026-01-10", [Subscribed::of(&stripe, &sub, paid).created()]).await;
        }
        let day = 86_400;
        let of = |customer: &str| Subscribed::of(&format!("cus_{customer}"), &format!("sub_{customer}"), paid);
        let second = Subscribed::of("cus_both", "sub_second", paid + day);
        let ended = [
            of("asked").to_be_cancelled(paid + 10 * day),
            of("inside").deleted(paid + 14 * day - 1),
            of("outside").deleted(paid + 14 * day),
            of("both").deleted(paid + 10 * day),
            // It was there when the other one ended, however late Stripe says so, and whatever becomes of it.
            second.created(),
        ];
        scheme.tell("2026-01-24", ended).await;
        for (customer, reversed) in [("inside", 2_000), ("outside", 0), ("asked", 0), ("both", 0)] {
            let source = format!("in_{customer}");
            assert_eq!(scheme.shares(&partner, &source).await, [share(1, 2_000, reversed)], "{customer}");
        }
        scheme.tell("2026-03-01", [second.deleted(noon("2026-03-01"))]).await;
        assert_eq!(scheme.shares(&partner, "in_both").await, [share(1, 2_000, 0)]);
        app.verify().await;
    });
}

#[test]
fn by_hand_takes_a_reason_and_no_more_than_is_left() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        let reversal = |amount, reason: &str| NewReversal {
            source: SourceKey::invoice("in_1"),
            amount,
            reason: reason.to_owned(),
        };
        let (billing, caller) = (&app.billing, app.caller());
        assert!(by_hand::reverse(billing, &caller, &reversal(None, " ")).await.is_err(), "no reason");
        by_hand::reverse(billing, &caller, &reversal(Some(eur(2_500)), "Kulance")).await.unwrap();
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 500)]);
        // Half of the money goes back, and that comes on top: 75.00 of 100.00 are gone.
        scheme.tell("2026-01-12", [refunded("1", "1", noon("2026-01-12"), 5_000)]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 1_500)]);
        by_hand::reverse(billing, &caller, &reversal(None, "Misbrug")).await.unwrap();
        scheme.tell("2026-01-13", [refunded("1", "2", noon("2026-01-13"), 5_000)]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 2_000)]);
        assert_eq!(scheme.amounts(&partner).await, [0; 5]);
        app.verify().await;
    });
}

#[test]
fn what_is_held_or_asked_about_does_not_ripen() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        for name in ["1", "2"] {
            scheme.tell("2026-01-10", Bill::month("cus_C", name, "2026-01-10", 10_000).events()).await;
        }
        let (billing, caller) = (&app.billing, app.caller());
        let held = SourceKey::invoice("in_1");
        by_hand::hold(billing, &caller, &held, "Vi spørger kunden").await.unwrap();
        let at = noon("2026-01-11");
        scheme.tell("2026-01-11", [dispute("created", "2", at, 10_000, "warning_needs_response", &[])]).await;
        assert_eq!(scheme.mature("2026-02-10").await, 0);
        assert_eq!(scheme.amounts(&partner).await, [4_000, 0, 0, 0, 0]);
        by_hand::release(billing, &caller, &held).await.unwrap();
        assert_eq!(scheme.mature("2026-02-11").await, 1);
        let closed = dispute("closed", "2", noon("2026-02-12"), 10_000, "warning_closed", &[]);
        scheme.tell("2026-02-12", [closed]).await;
        assert_eq!(scheme.mature("2026-02-12").await, 1);
        assert_eq!(scheme.amounts(&partner).await, [0, 4_000, 0, 0, 0]);
        app.verify().await;
    });
}

#[test]
fn an_unknown_customer_earns_once_it_is_known() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        let credited = async |external_id: &str| {
            let customer = app.customer(external_id, None).await;
            app.attribute(customer.id, partner.id(), "2020-01-01").await;
            customer
        };
        let (by_hand, by_metadata) = (credited("hand").await, credited("metadata").await);
        let bills = [Bill::month("cus_1", "1", "2026-01-10", 10_000), Bill::month("cus_2", "2", "2026-01-10", 20_000)];
        for bill in &bills {
            scheme.tell("2026-01-10", bill.events()).await;
            assert_eq!(scheme.reason(&bill.paid()).await, Some(EventReason::UnknownCustomer));
        }
        let stripe_customer_id = Some("cus_1".to_owned());
        let profile = CustomerProfile { name: by_hand.name.clone(), country: None, email: None, stripe_customer_id };
        customers::update(&app.billing, &app.caller(), by_hand.id, &profile).await.unwrap();
        let named = Subscribed::of("cus_2", "sub_1", noon("2026-01-11")).naming(&by_metadata.external_id);
        scheme.tell("2026-01-11", [named.created()]).await;
        assert_eq!(scheme.shares(&partner, "in_1").await, [share(1, 2_000, 0)]);
        assert_eq!(scheme.shares(&partner, "in_2").await, [share(1, 4_000, 0)]);
        app.verify().await;
    });
}

/// Credits a customer to somebody else from a day on, which may lie in the past.
async fn reattribute(app: &App, customer: CustomerId, to: &Member, from: &str) {
    let reason = "Aftalt".to_owned();
    let input = ByHand { customer, enrollment: Some(to.id()), from: date(from), reason };
    attribution::attribute(&app.billing, &app.caller(), &input).await.unwrap();
}

#[test]
fn another_partner_from_a_day_on_and_a_statement_stays() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let (first, second) = (scheme.member("A", None).await, scheme.member("B", None).await);
        let customer = scheme.customer("C", &first).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        scheme.open("2026-02-02").await;
        scheme.tell("2026-02-10", Bill::month("cus_C", "2", "2026-02-10", 20_000).events()).await;
        assert_eq!(scheme.mature("2026-02-12").await, 1);
        reattribute(&app, customer.id, &second, "2026-01-01").await;
        // January was stated and stays; February was not, though it had ripened.
        assert_eq!(scheme.shares(&first, "in_1").await, [share(1, 2_000, 0)]);
        assert_eq!(scheme.shares(&first, "in_2").await, []);
        assert_eq!(scheme.shares(&second, "in_2").await, [share(1, 4_000, 0)]);
        app.verify().await;
        // February's statements show that it came and went at the one, and stands at the other. There it stays.
        scheme.open("2026-03-02").await;
        assert_eq!(scheme.statements(&second).await, [("2026-02".to_owned(), [0, 4_000, 0, 4_000])]);
        scheme.tell("2026-03-05", [refunded("2", "1", noon("2026-03-05"), 5_000)]).await;
        assert_eq!(scheme.shares(&first, "in_2").await, []);
        assert_eq!(scheme.shares(&second, "in_2").await, [share(1, 4_000, 1_000)]);
        reattribute(&app, customer.id, &first, "2026-01-01").await;
        assert_eq!(scheme.shares(&second, "in_2").await, [share(1, 4_000, 1_000)]);
        // What moved counts towards nobody's tier but its new partner's.
        let revenue = async |of: &Member| {
            let found = evaluations::progress(&app.billing, app.organization, &[of.id()]).await.unwrap();
            found[0].net_revenue_minor
        };
        assert_eq!((revenue(&first).await, revenue(&second).await), (10_000, 15_000));
        app.verify().await;
    });
}

#[test]
fn whoever_left_earns_nothing_later_and_gets_what_is_open() {
    story(async |app| {
        let scheme = Scheme::of(&app, Terms { payout_threshold_minor: 5_000, ..plain_terms() }).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        let (from, status) = (Some(date("2026-02-01")), PartnerStatus::Terminated);
        partners::set_status(&app.billing, &app.caller(), partner.partner.id, status, from).await.unwrap();
        let late = Bill::month("cus_C", "2", "2026-02-01", 10_000);
        scheme.tell("2026-02-01", late.events()).await;
        assert_eq!(scheme.reason(&late.paid()).await, Some(EventReason::NotEnrolled));
        assert_eq!(scheme.pay_out("2026-02-02").await[0].net_minor, 2_000, "below the threshold of 50.00");
        assert_eq!(scheme.amounts(&partner).await, [0, 0, 0, 0, 2_000]);
        app.verify().await;
    });
}

#[test]
fn a_suspended_partner_earns_and_waits() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        let (billing, caller, id) = (&app.billing, app.caller(), partner.partner.id);
        partners::set_status(billing, &caller, id, PartnerStatus::Suspended, None).await.unwrap();
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        assert_eq!(scheme.mature("2026-02-10").await, 0);
        assert_eq!(scheme.amounts(&partner).await, [2_000, 0, 0, 0, 0]);
        partners::set_status(billing, &caller, id, PartnerStatus::Active, None).await.unwrap();
        assert_eq!(scheme.mature("2026-02-10").await, 1);
        assert_eq!(scheme.amounts(&partner).await, [0, 2_000, 0, 0, 0]);
        app.verify().await;
    });
}

#[test]
fn what_comes_forty_days_late_belongs_to_the_month_that_is_open() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        scheme.tell("2026-01-10", Bill::month("cus_C", "1", "2026-01-10", 10_000).events()).await;
        scheme.open("2026-02-02").await;
        // Paid on 10 January, too; told on 19 February.
        scheme.tell("2026-02-19", Bill::month("cus_C", "2", "2026-01-10", 5_000).events()).await;
        let entries = scheme.entries(&partner, "in_2").await;
        assert_eq!((entries[0].occurred_on, entries[0].amount_minor), (date("2026-02-19"), 1_000));
        scheme.open("2026-03-02").await;
        let told = [("2026-01".to_owned(), [0, 2_000, 0, 2_000]), ("2026-02".to_owned(), [2_000, 1_000, 0, 3_000])];
        assert_eq!(scheme.statements(&partner).await, told);
        app.verify().await;
    });
}

#[test]
fn two_workers_at_one_event_book_once() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        let partner = scheme.member("P", None).await;
        scheme.customer("C", &partner).await;
        app.on("2026-01-10");
        let process = async |event: &Value| {
            let id = event["id"].as_str().unwrap();
            inbox::process(&app.billing, app.organization, id).await.unwrap()
        };
        for round in 0..8_i64 {
            let name = round.to_string();
            let [paid, link] = Bill::month("cus_C", &name, "2026-01-10", 10_000).events();
            let refund = refunded(&name, &name, noon("2026-01-10"), 2_500);
            for event in [&paid, &link, &refund] {
                scheme.desk.post(0, event).await;
            }
            // Each event by two, and all three events of one invoice at the same time.
            let done = tokio::join!(
                process(&paid),
                process(&paid),
                process(&link),
                process(&link),
                process(&refund),
                process(&refund)
            );
            assert_eq!([done.0, done.1, done.2, done.3, done.4, done.5], [const { Processed::Done }; 6]);
            // A refund that came before its payment waits for it to be told, and says nothing new then.
            process(&refund).await;
            assert_eq!(scheme.shares(&partner, &format!("in_{name}")).await, [share(1, 2_000, 500)], "round {round}");
        }
        assert_eq!(scheme.amounts(&partner).await, [8 * 1_500, 0, 0, 0, 0]);
        app.verify().await;
        assert_eq!(payouts::make_due_statements(&app.billing, app.organization).await.unwrap(), 0);
    });
}
