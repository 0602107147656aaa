//! An organization in which everything has happened: every table has a row of it, and every kind of statement was sent.

use billing::catalog::Pricing;
use billing::invoicing::documents::Invoice;
use billing::invoicing::goodwill::{self, NewCreditNote};
use billing::invoicing::run::Goal::{Drafts, Finalized};
use billing::keys::{self, NewKey, Scope};
use billing::payments::{self, NewPayment, PaymentMethod, ReversalReason};
use billing::rates::{self, NewRate};
use billing::retail::{self, NewRetailPrice};
use billing::subscriptions::rules::Seats;
use billing::tiers::{self, NewPin};
use billing::{Caller, IdempotencyKey, Page};
use billing_primitives::{Currency, Money};
use tests::{App, date, dkk, month};

use crate::referrals::{referral_readings, referrals};

/// Two months finalized, the third drafted; corrected, paid, overpaid, bounced, credited, sealed.
pub async fn everything(app: &App) {
    let subscription = beginnings(app).await;
    app.on("2026-02-01").run("2026-01", Finalized).await;
    app.on("2026-02-10").seats("fewer", &subscription, "2026-01-11", Seats::Delta(-4)).await;
    app.on("2026-03-01").run("2026-02", Finalized).await;
    let invoices = app.invoices().await;
    let [first, second] = &invoices[..] else { panic!("two invoices, not {}", invoices.len()) };
    assert_eq!(app.credit_notes().await.len(), 1, "January cost less");
    app.on("2026-03-05");
    assert!(payments::overdue(&app.billing, app.organization).await.expect("a look at due dates") > 0);
    let paid = pay(app, first, dkk(first.gross_total_minor + 5_000)).await;
    pay(app, second, dkk(100)).await;
    payments::reverse_payment(&app.billing, &app.caller(), paid, ReversalReason::Bounced, date("2026-03-05"))
        .await
        .expect("a reversal");
    // Enough for both, and some is left.
    pay(app, first, dkk(first.gross_total_minor + second.gross_total_minor)).await;
    let input = NewCreditNote { invoice: second.id, lines: vec![(1, dkk(50))], memo: "Goodwill".to_owned() };
    goodwill::create(&app.billing, &app.caller(), &input).await.expect("a credit note");
    app.on("2026-04-10").run("2026-03", Drafts).await;
    // Left for the next run.
    app.seats("more", &subscription, "2026-02-20", Seats::Delta(1)).await;
    referrals(app).await;
    app.verify().await;
}

/// Masters of every kind, one partner with a customer, and one that no run can bill.
async fn beginnings(app: &App) -> billing::subscriptions::Subscription {
    app.tiers("2026-01").await;
    let plan = app.plan("pro", Pricing::PerSeat).await;
    app.prices("2025-01-01", &[(&plan, dkk(30_000))]).await;
    let partner = app.partner("P-1").await;
    let foreign = billing::partners::PartnerProfile { currency: Currency::EUR, ..App::profile("P-2") };
    let foreign = app.partner_as(foreign).await;
    let customer = app.customer("C-1", Some(partner.id)).await;
    let other = app.customer("C-2", Some(foreign.id)).await;
    let subscription = app.subscribe("S-1", &customer, &plan, "2026-01-01", 10).await;
    app.subscribe("S-2", &other, &plan, "2026-01-01", 1).await;
    app.seats("S-1-more", &subscription, "2026-01-16", Seats::Delta(2)).await;
    let price = NewRetailPrice {
        partner: partner.id,
        plan: plan.id,
        customer: None,
        effective_on: date("2026-01-01"),
        unit_price: dkk(45_000),
    };
    retail::set(&app.billing, &app.caller(), &price).await.expect("a retail price");
    let rate = NewRate {
        date: date("2026-01-30"),
        from: Currency::EUR,
        to: Currency::DKK,
        rate: "7.46".parse().expect("a rate"),
        source: "ECB".to_owned(),
    };
    rates::record(&app.billing, &app.caller(), &rate).await.expect("a rate");
    let pin = NewPin {
        partner: partner.id,
        from_month: month("2026-01"),
        through_month: None,
        tier: "CERTIFICERET".to_owned(),
        reason: "agreed".to_owned(),
    };
    tiers::pin(&app.billing, &app.caller(), &pin).await.expect("a pin");
    let key = IdempotencyKey::new("once", "fingerprint".to_owned()).expect("a key");
    let caller = Caller { key: Some(key), ..app.caller() };
    let input = NewKey { name: "shop".to_owned(), scopes: vec![Scope::Read], expires_at: None };
    keys::create(&app.billing, &caller, &input).await.expect("an API key");
    subscription
}

async fn pay(app: &App, invoice: &Invoice, amount: Money) -> billing_primitives::PaymentId {
    let input = NewPayment {
        external_id: None,
        invoice: invoice.id,
        amount,
        received_on: date("2026-03-05"),
        reference: String::new(),
        method: PaymentMethod::Bank,
    };
    payments::record_payment(&app.billing, &app.caller(), &input).await.expect("a payment").into_inner().id
}

/// What the API, the pages and the jobs ask for.
pub async fn readings(app: &App) {
    let (billing, organization) = (&app.billing, app.organization);
    let partner = billing::partners::by_external_id(billing, organization, "P-1").await.expect("an answer");
    let partner = partner.expect("a partner").id;
    for of in ["2026-01", "2026-03"] {
        retail::statement_of(billing, organization, partner, month(of)).await.expect("a statement");
    }
    let page = Page::new(None, 10);
    billing::invoicing::preview(billing, organization, month("2026-03"), None, &page).await.expect("a preview");
    let page = Page::new(None, 10);
    billing::invoicing::runs(billing, organization, &page).await.expect("runs");
    let invoices: Vec<_> = app.invoices().await.iter().map(|invoice| invoice.id).collect();
    payments::settlements_of(billing, organization, &invoices).await.expect("settlements");
    payments::entries_of(billing, organization, &invoices).await.expect("steps");
    payments::credit_balances_of(billing, organization, &[partner]).await.expect("balances");
    billing::invoicing::vat_of(billing, organization, &invoices).await.expect("VAT");
    billing::organizations::get(billing, organization).await.expect("the organization");
    referral_readings(app).await;
}
