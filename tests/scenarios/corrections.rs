//! Late changes: nothing finalized changes; what comes out higher is billed next, what comes out lower is credited.

use billing::catalog::Pricing;
use billing::invoicing::documents::{CreditReason, DocumentStatus, LineKind};
use billing::invoicing::goodwill::{self, NewCreditNote};
use billing::invoicing::run::Goal::{Drafts, Finalized};
use billing::subscriptions::rules::Seats;
use billing::{Error, Refusal};
use tests::{App, dkk, month, story};

/// One partner with one customer: 10 seats at 300.00 DKK from January, Registreret (15 %).
async fn ten_seats(app: &App) -> billing::subscriptions::Subscription {
    app.tiers("2026-01").await;
    let plan = app.plan("pro", Pricing::PerSeat).await;
    app.prices("2025-01-01", &[(&plan, dkk(30_000))]).await;
    let partner = app.partner("P-1").await;
    let customer = app.customer("C-1", Some(partner.id)).await;
    app.subscribe("S-1", &customer, &plan, "2026-01-01", 10).await
}

#[test]
fn a_late_increase_is_an_adjustment_of_the_next_invoice() {
    story(async |app| {
        let subscription = ten_seats(&app).await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        // Known on 10 February: five more from 17 January. 15 days of 31 × 5 seats × 300.00 = 725.81, less 15 %.
        app.on("2026-02-10").seats("late", &subscription, "2026-01-17", Seats::Delta(5)).await;
        app.on("2026-03-01").run("2026-02", Finalized).await;
        let [january, february] = &app.invoices().await[..] else { panic!("two invoices") };
        assert_eq!(january.net_total_minor, 255_000);
        let lines = app.lines(february).await;
        let told: Vec<_> = lines.iter().map(|line| (line.kind, line.month, line.net_minor)).collect();
        // January as rated now: round(30000 × 385 / 31) = 372581, less round(372581 × 15 %) = 55887: 316694.
        assert_eq!(
            told,
            [(LineKind::Usage, month("2026-02"), 382_500), (LineKind::Adjustment, month("2026-01"), 61_694)]
        );
        assert_eq!(february.net_total_minor, 444_194);
        assert!(app.credit_notes().await.is_empty());
        app.verify().await;
    });
}

#[test]
fn a_late_decrease_is_a_credit_note_that_names_its_invoice() {
    story(async |app| {
        let subscription = ten_seats(&app).await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        app.on("2026-02-10").seats("late", &subscription, "2026-01-31", Seats::Quantity(0)).await;
        app.on("2026-03-01").run("2026-02", Finalized).await;
        let invoices = app.invoices().await;
        assert_eq!(invoices.len(), 1, "no seats in February, no adjustment: no invoice");
        let [note] = &app.credit_notes().await[..] else { panic!("one credit note") };
        // One day of 31 × 10 seats: 255000 - 246774 (round(30000 × 300 / 31) = 290323 less 43548).
        assert_eq!((note.invoice_id, note.reason), (invoices[0].id, CreditReason::Correction));
        assert_eq!((note.net_total_minor, note.vat_total_minor), (8_225, 2_056));
        assert_eq!(note.number.as_deref(), Some("CRN-000001"));
        app.verify().await;
    });
}

#[test]
fn up_and_down_again_credits_the_adjustment_first() {
    story(async |app| {
        let subscription = ten_seats(&app).await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        app.on("2026-02-10").seats("up", &subscription, "2026-01-01", Seats::Quantity(12)).await;
        app.on("2026-03-01").run("2026-02", Finalized).await;
        app.on("2026-03-10").seats("down", &subscription, "2026-01-01", Seats::Quantity(9)).await;
        app.on("2026-04-01").run("2026-03", Finalized).await;
        let invoices = app.invoices().await;
        let notes = app.credit_notes().await;
        let of = |invoice: usize| {
            let found = notes.iter().filter(|note| note.invoice_id == invoices[invoice].id);
            found.map(|note| note.net_total_minor).sum::<i64>()
        };
        // 12 seats were 51000 more than 10 in January; 9 seats are 76500 less than 12, of February 76500 as well.
        assert_eq!(of(0), 25_500, "the rest of January's own line");
        assert_eq!(of(1), 51_000 + 76_500, "the adjustment, and February's own line");
        app.verify().await;
    });
}

#[test]
fn goodwill_is_not_billed_back_by_a_late_change() {
    story(async |app| {
        let subscription = ten_seats(&app).await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        let [invoice] = &app.invoices().await[..] else { panic!("one invoice") };
        let lines = vec![(1, dkk(250_000))];
        let input = NewCreditNote { invoice: invoice.id, lines, memo: "Nedetid i januar".to_owned() };
        goodwill::create(&app.billing, &app.caller(), &input).await.expect("a credit note");
        let again = goodwill::create(&app.billing, &app.caller(), &input).await;
        let left = Refusal::CreditExceedsLine { line: 1, left: dkk(5_000) };
        assert!(matches!(again, Err(Error::Refused(refusal)) if refusal == left));
        // January should cost nothing, but only 50.00 is left to give back.
        app.on("2026-02-10").seats("late", &subscription, "2026-01-01", Seats::Quantity(0)).await;
        app.on("2026-03-01").run("2026-02", Finalized).await;
        let notes = app.credit_notes().await;
        let told: Vec<_> = notes.iter().map(|note| (note.reason, note.net_total_minor)).collect();
        assert_eq!(told, [(CreditReason::Goodwill, 250_000), (CreditReason::Correction, 5_000)]);
        app.verify().await;
    });
}

#[test]
fn drafts_follow_the_facts_until_they_are_finalized() {
    story(async |app| {
        let subscription = ten_seats(&app).await;
        app.on("2026-01-20").run("2026-01", Drafts).await;
        let [first] = &app.invoices().await[..] else { panic!("one draft") };
        assert_eq!((first.status, first.net_total_minor), (DocumentStatus::Draft, 255_000));
        app.run("2026-01", Drafts).await;
        assert_eq!(app.invoices().await, std::slice::from_ref(first), "running again changes nothing that is right");
        app.seats("less", &subscription, "2026-01-01", Seats::Quantity(5)).await;
        app.run("2026-01", Drafts).await;
        let [second] = &app.invoices().await[..] else { panic!("one draft") };
        assert_eq!((second.id, second.net_total_minor), (first.id, 127_500));
        app.seats("none", &subscription, "2026-01-01", Seats::Quantity(0)).await;
        app.run("2026-01", Drafts).await;
        assert!(app.invoices().await.is_empty(), "without activity there is no invoice");
    });
}
