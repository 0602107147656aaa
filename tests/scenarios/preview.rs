//! Random months: a preview equals the later invoice to the cent, parts sum to totals, and doing it twice is doing it once.

use std::collections::BTreeMap;

use billing::catalog::Pricing;
use billing::invoicing::documents::{Invoice, InvoiceLine};
use billing::invoicing::draft::InvoiceDraft;
use billing::invoicing::run::Goal::{Drafts, Finalized};
use billing::subscriptions::rules::Seats;
use billing::{Page, invoicing};
use billing_primitives::{CustomerId, PartnerId, PlanId};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tests::{App, dkk, month, story};

/// A line, told without ids of documents.
type Told = (CustomerId, PlanId, i64, i64, i64, i64, i64);

fn drafted(draft: &InvoiceDraft) -> Vec<Told> {
    let told = |line: &invoicing::draft::DraftLine| {
        (line.customer, line.plan, line.unit_price, line.seat_days, line.gross, line.discount, line.net)
    };
    draft.lines.iter().map(told).collect()
}

fn stored(lines: &[InvoiceLine]) -> Vec<Told> {
    let told = |line: &InvoiceLine| {
        let amounts = (line.gross_minor, line.discount_minor, line.net_minor);
        (line.customer_id, line.plan_id, line.unit_price_minor, line.seat_days, amounts.0, amounts.1, amounts.2)
    };
    lines.iter().map(told).collect()
}

/// Three partners, a price rise in mid-month, and random changes, recorded in an order of their own.
async fn random_month(app: &App, random: &mut StdRng, order: &mut StdRng) {
    app.tiers("2026-01").await;
    let seats = app.plan("seats", Pricing::PerSeat).await;
    let flat = app.plan("flat", Pricing::Flat).await;
    app.prices("2025-01-01", &[(&seats, dkk(random.random_range(1..40_000))), (&flat, dkk(49_900))]).await;
    let rise = format!("2026-01-{:02}", random.random_range(2..=31));
    app.prices(&rise, &[(&seats, dkk(random.random_range(1..40_000))), (&flat, dkk(49_900))]).await;
    let mut changes = Vec::new();
    for partner in 0..3 {
        let partner = app.partner(&format!("P-{partner}")).await;
        for customer in 0..4 {
            let name = format!("{}-{customer}", partner.external_id);
            let customer = app.customer(&name, Some(partner.id)).await;
            let from = format!("2026-01-{:02}", random.random_range(1..=31));
            let subscription = app.subscribe(&name, &customer, &seats, &from, random.random_range(0..400)).await;
            app.subscribe(&format!("{name}-flat"), &customer, &flat, &from, 1).await;
            let first = subscription.starts_on.day();
            for change in 0..random.random_range(0..5) {
                let on = format!("2026-01-{:02}", random.random_range(first..=31));
                changes.push((format!("{name}-{change}"), subscription.clone(), on, random.random_range(0..60)));
            }
        }
    }
    changes.shuffle(order);
    for (name, subscription, on, more) in changes {
        app.seats(&name, &subscription, &on, Seats::Delta(more)).await;
    }
    app.on("2026-02-01");
}

async fn previews(app: &App) -> BTreeMap<PartnerId, InvoiceDraft> {
    let page = Page::new(None, 100);
    let slice = invoicing::preview(&app.billing, app.organization, month("2026-01"), None, &page).await.unwrap();
    let drafts = slice.items.into_iter().filter_map(|done| Some((done.partner.id, done.outcome.unwrap().invoice?)));
    drafts.collect()
}

fn parts_sum_to_totals(invoice: &Invoice, lines: &[InvoiceLine]) {
    assert_eq!(lines.iter().map(|line| line.net_minor).sum::<i64>(), invoice.net_total_minor);
    assert_eq!(invoice.net_total_minor + invoice.vat_total_minor, invoice.gross_total_minor);
    assert!(lines.iter().all(|line| line.gross_minor - line.discount_minor == line.net_minor));
}

#[test]
fn a_preview_equals_the_invoice() {
    for seed in 1..=6_u64 {
        println!("seed {seed}");
        story(async |app| {
            random_month(&app, &mut StdRng::seed_from_u64(seed), &mut StdRng::seed_from_u64(seed)).await;
            let before = previews(&app).await;
            assert!(app.invoices().await.is_empty(), "a preview writes nothing");
            app.run("2026-01", Drafts).await;
            assert_eq!(previews(&app).await, before);
            app.run("2026-01", Finalized).await;
            let invoices = app.invoices().await;
            assert_eq!(invoices.len(), before.len());
            for invoice in &invoices {
                let (lines, preview) = (app.lines(invoice).await, &before[&invoice.partner_id]);
                assert_eq!(stored(&lines), drafted(preview));
                assert_eq!((invoice.gross(), invoice.vat()), (preview.totals.gross, preview.totals.vat));
                parts_sum_to_totals(invoice, &lines);
            }
            app.run("2026-01", Finalized).await;
            assert_eq!(app.invoices().await, invoices, "running again changes nothing");
            app.verify().await;
        });
    }
}

#[test]
fn the_order_in_which_changes_are_recorded_does_not_matter() {
    let mut amounts = Vec::new();
    for order in [11_u64, 12, 13] {
        story(async |app| {
            random_month(&app, &mut StdRng::seed_from_u64(7), &mut StdRng::seed_from_u64(order)).await;
            app.run("2026-01", Finalized).await;
            let invoices = app.invoices().await;
            let told = |invoice: &Invoice| (invoice.number.clone(), invoice.gross_total_minor, invoice.users);
            amounts.push(invoices.iter().map(told).collect::<Vec<_>>());
        });
    }
    assert!(amounts.iter().all(|other| *other == amounts[0]), "{amounts:?}");
}
