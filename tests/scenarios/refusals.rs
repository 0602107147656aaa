//! What a run refuses: the partner is left out with its reason, the others go on, and a later call catches up.

use billing::catalog::Pricing;
use billing::invoicing::documents::{DocumentStatus, Invoice, RunStatus};
use billing::invoicing::run::Goal::{Drafts, Finalized};
use billing::invoicing::{self};
use billing::partners::{self, VatCheck};
use billing::subscriptions::{self, rules::Seats};
use billing::vat::VatStatus;
use billing::{Error, Page, Refusal, tiers};
use billing_primitives::Month;
use tests::{App, date, dkk, eur, month, story};

/// The codes of the partners that the month's last pass left out, in the order of the partners.
async fn refused(app: &App, of: &str) -> Vec<(String, String)> {
    let run = invoicing::run_of_month(&app.billing, app.organization, month(of)).await.unwrap().unwrap();
    let found = invoicing::refusals(&app.billing, app.organization, run.id, &Page::new(None, 100)).await.unwrap();
    let ids: Vec<_> = found.items.iter().map(|refusal| refusal.partner_id).collect();
    let partners = partners::by_ids(&app.billing, app.organization, &ids).await.unwrap();
    let name = |id| partners.iter().find(|partner| partner.id == id).unwrap().external_id.clone();
    let mut told: Vec<_> = found.items.into_iter().map(|found| (name(found.partner_id), found.code)).collect();
    told.sort();
    told
}

fn numbers(invoices: &[Invoice]) -> Vec<&str> {
    let mut numbers: Vec<_> = invoices.iter().filter_map(|invoice| invoice.number.as_deref()).collect();
    numbers.sort_unstable();
    numbers
}

/// Partners P-1 (DKK, all right) and P-2 as told, each with one customer on plan `pro`.
async fn two_partners(app: &App, second: partners::PartnerProfile) -> partners::Partner {
    app.tiers("2026-01").await;
    let plan = app.plan("pro", Pricing::PerSeat).await;
    app.prices("2025-01-01", &[(&plan, dkk(10_000))]).await;
    let first = app.partner("P-1").await;
    let second = app.partner_as(second).await;
    for (name, partner) in [("C-1", &first), ("C-2", &second)] {
        let customer = app.customer(name, Some(partner.id)).await;
        app.subscribe(&format!("S-{name}"), &customer, &plan, "2026-01-01", 3).await;
    }
    second
}

#[test]
fn a_month_that_is_not_over_cannot_be_finalized() {
    story(async |app| {
        two_partners(&app, App::profile("P-2")).await;
        let early = app.on("2026-01-31").try_run("2026-01", Finalized).await;
        let expected = Refusal::MonthNotOver { month: month("2026-01"), today: date("2026-01-31") };
        assert!(matches!(early, Err(Error::Refused(refusal)) if refusal == expected));
        assert!(app.invoices().await.is_empty());
        let before = app.try_run("2025-12", Drafts).await;
        assert!(matches!(before, Err(Error::Refused(Refusal::MonthBeforeBilling { .. }))));
    });
}

#[test]
fn a_missing_price_names_plan_and_day_and_stops_nobody() {
    story(async |app| {
        let second = partners::PartnerProfile { currency: billing_primitives::Currency::EUR, ..App::profile("P-2") };
        two_partners(&app, second).await;
        let run = app.on("2026-02-03").run("2026-01", Finalized).await;
        assert_eq!(run.status, RunStatus::Finalized);
        assert_eq!(refused(&app, "2026-01").await, [("P-2".into(), "PRICE_MISSING".into())]);
        assert_eq!(numbers(&app.invoices().await), ["INV-000001"]);
        // January is finalized for prices; what is left to correct is the customer's own past.
        let again = app.on("2026-02-09").run("2026-01", Finalized).await;
        assert_eq!(again.pass, run.pass + 1);
        assert_eq!(refused(&app, "2026-01").await, [("P-2".into(), "PRICE_MISSING".into())]);
        let subscription =
            subscriptions::by_external_id(&app.billing, app.organization, "S-C-2").await.unwrap().unwrap();
        app.seats("mistake", &subscription, "2026-01-01", Seats::Quantity(0)).await;
        app.run("2026-01", Finalized).await;
        assert_eq!(refused(&app, "2026-01").await, []);
        assert_eq!(numbers(&app.invoices().await), ["INV-000001"]);
        app.verify().await;
    });
}

#[test]
fn vat_in_a_foreign_currency_waits_for_an_exchange_rate() {
    story(async |app| {
        let second = partners::PartnerProfile { currency: billing_primitives::Currency::EUR, ..App::profile("P-2") };
        app.tiers("2026-01").await;
        let plan = app.plan("pro", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, eur(1_995))]).await;
        let partner = app.partner_as(second).await;
        let customer = app.customer("C-2", Some(partner.id)).await;
        app.subscribe("S-2", &customer, &plan, "2026-01-01", 33).await;
        app.rate("2026-01-23", "7.5000").await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        assert_eq!(refused(&app, "2026-01").await, [("P-2".into(), "EXCHANGE_RATE_MISSING".into())]);
        // Seven days before the end of the month is the oldest that will do; a later issue date is its own.
        app.rate("2026-01-24", "7.4604").await;
        app.on("2026-02-05").run("2026-01", Finalized).await;
        let [invoice] = &app.invoices().await[..] else { panic!("one invoice") };
        assert_eq!(invoice.issue_date, Some(date("2026-02-05")));
        // 33 × 19.95 = 658.35 less 15 % = 559.60; VAT 139.90 EUR × 7.4604 = 1043.71 DKK.
        assert_eq!((invoice.net_total_minor, invoice.vat_total_minor), (55_960, 13_990));
        assert_eq!(invoice.vat_books_minor, Some(104_371));
        app.verify().await;
    });
}

#[test]
fn reverse_charge_needs_a_number_that_is_not_known_to_be_wrong() {
    story(async |app| {
        let profile = partners::PartnerProfile {
            country: "DE".to_owned(),
            vat_number: Some("DE123456789".to_owned()),
            ..App::profile("P-2")
        };
        let second = two_partners(&app, profile.clone()).await;
        let check = VatCheck { status: VatStatus::Invalid, checked_at: None, answer: Some("not found".to_owned()) };
        partners::record_vat_check(&app.billing, &app.caller(), second.id, &check).await.unwrap();
        app.on("2026-02-03").run("2026-01", Finalized).await;
        assert_eq!(refused(&app, "2026-01").await, [("P-2".into(), "VAT_NUMBER_INVALID".into())]);
        let without = partners::PartnerProfile { vat_number: None, ..profile.clone() };
        partners::update(&app.billing, &app.caller(), second.id, &without).await.unwrap();
        app.run("2026-01", Finalized).await;
        assert_eq!(refused(&app, "2026-01").await, [("P-2".into(), "VAT_NUMBER_MISSING".into())]);
        // An unchecked number is a warning at most.
        partners::update(&app.billing, &app.caller(), second.id, &profile).await.unwrap();
        app.run("2026-01", Finalized).await;
        assert_eq!(refused(&app, "2026-01").await, []);
        let invoices = app.invoices().await;
        assert_eq!(numbers(&invoices), ["INV-000001", "INV-000002"]);
        assert_eq!((invoices[1].vat_total_minor, invoices[1].gross_total_minor), (0, invoices[1].net_total_minor));
        app.verify().await;
    });
}

#[test]
fn an_indicative_tier_table_drafts_but_does_not_finalize() {
    story(async |app| {
        two_partners(&app, App::profile("P-2")).await;
        let indicative = tiers::NewTierTable {
            effective_from: month("2026-02"),
            grace_months: 1,
            indicative: true,
            tiers: vec![tiers::NewTier {
                code: "REGISTRERET".to_owned(),
                name: "Registreret".to_owned(),
                from_users: 0,
                discount_bps: billing_primitives::BasisPoints::new(2000).unwrap(),
            }],
        };
        let table = tiers::publish(&app.billing, &app.caller(), &indicative).await.unwrap().into_inner();
        app.on("2026-03-01").run("2026-01", Finalized).await;
        app.run("2026-02", Finalized).await;
        let all = [("P-1".into(), "TIER_TABLE_INDICATIVE".into()), ("P-2".into(), "TIER_TABLE_INDICATIVE".into())];
        assert_eq!(refused(&app, "2026-02").await, all);
        let drafts = app.invoices().await.into_iter().filter(|invoice| invoice.status == DocumentStatus::Draft);
        assert_eq!(drafts.map(|draft| draft.discount_bps.get()).collect::<Vec<_>>(), [2000, 2000]);
        tiers::confirm(&app.billing, &app.caller(), table.id).await.unwrap();
        app.run("2026-02", Finalized).await;
        assert_eq!(refused(&app, "2026-02").await, []);
        assert_eq!(app.invoices().await.len(), 4);
        app.verify().await;
    });
}

#[test]
fn months_are_finalized_in_order() {
    story(async |app| {
        two_partners(&app, App::profile("P-2")).await;
        app.on("2026-03-02").run("2026-02", Finalized).await;
        let all = [("P-1".into(), "EARLIER_MONTH_OPEN".into()), ("P-2".into(), "EARLIER_MONTH_OPEN".into())];
        assert_eq!(refused(&app, "2026-02").await, all);
        assert_eq!(numbers(&app.invoices().await), [] as [&str; 0]);
        let months: Vec<Month> = month("2026-01").through(month("2026-02")).collect();
        for of in months {
            app.run(&of.to_string(), Finalized).await;
        }
        assert_eq!(numbers(&app.invoices().await), ["INV-000001", "INV-000002", "INV-000003", "INV-000004"]);
        app.verify().await;
    });
}

#[test]
fn finalized_twice_changes_nothing() {
    story(async |app| {
        two_partners(&app, App::profile("P-2")).await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        let once = app.invoices().await;
        app.on("2026-02-20").run("2026-01", Finalized).await;
        app.run("2026-01", Drafts).await;
        assert_eq!(app.invoices().await, once);
        app.verify().await;
    });
}
