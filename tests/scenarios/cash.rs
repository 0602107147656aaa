//! Cash: paid in parts, too much, bounced, given up; what is due follows, and the books agree after every step.

use billing::catalog::Pricing;
use billing::events::{self, EventFilter};
use billing::invoicing::documents::Invoice;
use billing::invoicing::run::Goal::Finalized;
use billing::payments::{self, BalancePayout, NewPayment, Payment, PaymentMethod, PaymentStatus, ReversalReason};
use billing::{Error, Page, Refusal};
use billing_primitives::{Money, PartnerId};
use tests::{App, date, dkk, story};

/// January and February: one customer, 8 seats at 100.00 DKK, 15 % discount, 25 % VAT: 850.00 each, due in 14 days.
async fn two_invoices(app: &App) -> Vec<Invoice> {
    app.tiers("2026-01").await;
    let plan = app.plan("pro", Pricing::PerSeat).await;
    app.prices("2025-01-01", &[(&plan, dkk(10_000))]).await;
    let partner = app.partner("P-1").await;
    let customer = app.customer("C-1", Some(partner.id)).await;
    app.subscribe("S-1", &customer, &plan, "2026-01-01", 8).await;
    app.on("2026-02-01").run("2026-01", Finalized).await;
    app.on("2026-03-01").run("2026-02", Finalized).await;
    app.invoices().await
}

async fn pay(app: &App, invoice: &Invoice, amount: Money, on: &str) -> Result<Payment, Error> {
    let input = NewPayment {
        external_id: None,
        invoice: invoice.id,
        amount,
        received_on: date(on),
        reference: "Overførsel".to_owned(),
        method: PaymentMethod::Bank,
    };
    app.on(on);
    payments::record_payment(&app.billing, &app.caller(), &input).await.map(billing::Applied::into_inner)
}

/// Status and due of each invoice, and the credit balance of its partner.
async fn cash(app: &App, invoices: &[Invoice]) -> (Vec<(PaymentStatus, i64)>, i64) {
    let ids: Vec<_> = invoices.iter().map(|invoice| invoice.id).collect();
    let mut settlements = payments::settlements_of(&app.billing, app.organization, &ids).await.unwrap();
    settlements.sort_by(|a, b| a.number.cmp(&b.number));
    let partners: Vec<PartnerId> = invoices.iter().map(|invoice| invoice.partner_id).collect();
    let balances = payments::credit_balances_of(&app.billing, app.organization, &partners).await.unwrap();
    app.verify().await;
    let told = settlements.iter().map(|settlement| (settlement.status, settlement.due.minor)).collect();
    (told, balances.iter().map(|balance| balance.balance_minor).sum())
}

#[test]
fn in_parts_too_much_and_bounced() {
    use PaymentStatus::{Overdue, Paid, PartiallyPaid};
    story(async |app| {
        let invoices = two_invoices(&app).await;
        assert_eq!(invoices[0].gross_total_minor, 85_000);
        pay(&app, &invoices[0], dkk(35_000), "2026-03-02").await.unwrap();
        let (told, balance) = cash(&app, &invoices).await;
        assert_eq!((told[0], balance), ((Overdue, 50_000), 0), "due on 15 February, partly paid or not");
        // 300.00 too much: it pays the other invoice at once.
        let second = pay(&app, &invoices[0], dkk(80_000), "2026-03-03").await.unwrap();
        assert_eq!(cash(&app, &invoices).await, (vec![(Paid, 0), (PartiallyPaid, 55_000)], 0));
        // 50.00 more than February needs stays for the next invoice.
        pay(&app, &invoices[1], dkk(60_000), "2026-03-04").await.unwrap();
        assert_eq!(cash(&app, &invoices).await, (vec![(Paid, 0), (Paid, 0)], 5_000));
        // The second payment bounces: what it paid is due again, wherever it went.
        let caller = app.caller();
        let reversed =
            payments::reverse_payment(&app.billing, &caller, second.id, ReversalReason::Bounced, date("2026-03-04"));
        reversed.await.unwrap();
        let (told, balance) = cash(&app, &invoices).await;
        assert_eq!((told[0].1 + told[1].1, balance), (75_000, 0), "850 + 850 - 350 - 600");
        let again =
            payments::reverse_payment(&app.billing, &caller, second.id, ReversalReason::Bounced, date("2026-03-04"));
        assert!(matches!(again.await, Err(Error::Refused(Refusal::AlreadyReversed { .. }))));
    });
}

#[test]
fn a_credit_balance_pays_the_next_invoice_or_is_paid_out() {
    story(async |app| {
        let mut invoices = two_invoices(&app).await;
        pay(&app, &invoices[0], dkk(85_000 + 85_000 + 100_000), "2026-03-02").await.unwrap();
        assert_eq!(cash(&app, &invoices).await.1, 100_000);
        app.on("2026-04-01").run("2026-03", Finalized).await;
        invoices = app.invoices().await;
        let (told, balance) = cash(&app, &invoices).await;
        assert_eq!((told[2], balance), ((PaymentStatus::Paid, 0), 15_000));
        let payout = |minor| BalancePayout {
            partner: invoices[0].partner_id,
            amount: dkk(minor),
            on: date("2026-04-01"),
            reference: "Retur".to_owned(),
        };
        let too_much = payments::pay_out_credit_balance(&app.billing, &app.caller(), &payout(15_001)).await;
        let balance = Refusal::BalanceTooSmall { balance: dkk(15_000) };
        assert!(matches!(too_much, Err(Error::Refused(refusal)) if refusal == balance));
        payments::pay_out_credit_balance(&app.billing, &app.caller(), &payout(15_000)).await.unwrap();
        assert_eq!(cash(&app, &invoices).await.1, 0);
    });
}

#[test]
fn small_differences_are_closed_and_large_ones_written_off() {
    story(async |app| {
        let invoices = two_invoices(&app).await;
        pay(&app, &invoices[0], dkk(84_899), "2026-03-02").await.unwrap();
        let close = payments::close_difference(&app.billing, &app.caller(), invoices[0].id).await;
        let above = Refusal::AboveTolerance { due: dkk(101), tolerance: dkk(100) };
        assert!(matches!(close, Err(Error::Refused(refusal)) if refusal == above));
        pay(&app, &invoices[0], dkk(1), "2026-03-02").await.unwrap();
        payments::close_difference(&app.billing, &app.caller(), invoices[0].id).await.unwrap();
        payments::write_off(&app.billing, &app.caller(), invoices[1].id, "Konkurs").await.unwrap();
        let (told, _) = cash(&app, &invoices).await;
        assert_eq!(told, [(PaymentStatus::Paid, 0), (PaymentStatus::Uncollectible, 85_000)]);
        // A dividend comes in after all: it takes the write-off back up to its amount.
        pay(&app, &invoices[1], dkk(20_000), "2026-03-20").await.unwrap();
        let (told, _) = cash(&app, &invoices).await;
        assert_eq!(told[1], (PaymentStatus::Uncollectible, 65_000));
        pay(&app, &invoices[1], dkk(65_000), "2026-03-21").await.unwrap();
        assert_eq!(cash(&app, &invoices).await.0[1], (PaymentStatus::Paid, 0));
    });
}

#[test]
fn an_invoice_becomes_overdue_once() {
    story(async |app| {
        let invoices = two_invoices(&app).await;
        pay(&app, &invoices[1], dkk(85_000), "2026-03-02").await.unwrap();
        for (day, told) in [("2026-02-15", 0), ("2026-02-16", 1), ("2026-05-01", 0)] {
            app.on(day);
            let emitted = payments::overdue(&app.billing, app.organization).await.unwrap();
            assert_eq!(emitted, told, "{day}");
        }
        let filter = EventFilter { kind: Some("invoice.overdue".to_owned()), subject: None };
        let page = Page::new(None, 10);
        let found = events::list(&app.billing, app.organization, &page, &filter).await.unwrap();
        let subjects: Vec<_> = found.items.iter().map(|event| event.subject.clone()).collect();
        assert_eq!(subjects, [invoices[0].id.to_string()]);
    });
}
