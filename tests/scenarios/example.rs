//! The example organization: thirteen months, against an oracle that was computed by another program.

use std::collections::BTreeMap;
use std::path::Path;

use billing::invoicing::run::Goal::Finalized;
use billing::invoicing::{self, InvoiceFilter};
use billing::{Page, customers, partners, tiers};
use billing_primitives::Month;
use serde_json::Value;
use tests::{App, month, story};

fn read(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(example().join(file)).unwrap()).unwrap()
}

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/example")
}

/// What the oracle says of a partner's month, in its own form.
async fn computed(app: &App, partner: &partners::Partner, of: Month) -> Value {
    let evaluations = tiers::evaluations_at(&app.billing, app.organization, &[(partner.id, of)]).await.unwrap();
    let evaluation = evaluations.first().expect("an evaluation of every finalized month");
    let filter = InvoiceFilter { partner: Some(partner.id), month: Some(of), status: None };
    let invoices = invoicing::invoices(&app.billing, app.organization, &filter, &Page::new(None, 10)).await.unwrap();
    let mut lines = Vec::new();
    if let Some(invoice) = invoices.items.first() {
        let rows = app.lines(invoice).await;
        let ids: Vec<_> = rows.iter().map(|row| row.customer_id).collect();
        let customers = customers::by_ids(&app.billing, app.organization, &ids).await.unwrap();
        let plans: Vec<_> = rows.iter().map(|row| row.plan_id).collect();
        let plans = billing::catalog::plans::by_ids(&app.billing, app.organization, &plans).await.unwrap();
        for row in rows {
            let customer = customers.iter().find(|customer| customer.id == row.customer_id).unwrap();
            let plan = plans.iter().find(|plan| plan.id == row.plan_id).unwrap();
            lines.push(serde_json::json!({
                "customer": customer.external_id, "plan": plan.external_id, "unitPriceMinor": row.unit_price_minor,
                "seatDays": row.seat_days, "grossMinor": row.gross_minor, "discountMinor": row.discount_minor,
                "netMinor": row.net_minor,
            }));
        }
    }
    let total = |of: fn(&invoicing::documents::Invoice) -> i64| invoices.items.first().map_or(0, of);
    serde_json::json!({
        "users": evaluation.users, "measured": evaluation.measured_tier, "billed": evaluation.billed_tier,
        "reason": evaluation.reason, "lines": lines, "netMinor": total(|i| i.net_total_minor),
        "vatMinor": total(|i| i.vat_total_minor), "grossMinor": total(|i| i.gross_total_minor),
        "currency": partner.currency,
    })
}

/// The VAT of each month that was converted for the books.
async fn converted(app: &App) -> Value {
    let invoices = app.invoices().await;
    let converted = invoices.iter().filter(|invoice| invoice.vat_books_rate.is_some()).map(|invoice| {
        let told = serde_json::json!({
            "vatMinor": invoice.vat_total_minor, "currency": invoice.currency,
            "rateDate": invoice.vat_books_rate_date, "rate": invoice.vat_books_rate,
            "convertedMinor": invoice.vat_books_minor, "convertedCurrency": invoice.vat_books_currency,
        });
        (invoice.month.to_string(), told)
    });
    Value::Object(converted.collect())
}

#[test]
fn thirteen_months_equal_the_oracle() {
    story(async |app| {
        let app = app.importing(&example()).await;
        for of in month("2025-10").through(month("2026-10")) {
            let first = of.next().first().to_string();
            app.on(&first).run(&of.to_string(), Finalized).await;
        }
        let oracle: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_value(read("expected.json")).unwrap();
        let mut compared = 0;
        for (external_id, months) in &oracle {
            let partner = partners::by_external_id(&app.billing, app.organization, external_id).await.unwrap().unwrap();
            for (of, expected) in months {
                let of: Month = of.parse().unwrap();
                assert_eq!(&computed(&app, &partner, of).await, expected, "{external_id} {of}");
                compared += 1;
            }
        }
        assert_eq!(compared, 8 * 13);
        assert_eq!(converted(&app).await, read("expected_converted_vat.json")["P-1008"]);
        app.verify().await;
    });
}

#[test]
fn importing_twice_changes_nothing() {
    story(async |app| {
        let app = app.importing(&example()).await;
        let again = app.import(&example()).await.expect("an import");
        let total = again.total();
        assert_eq!((total.made, total.changed, total.refused, total.skipped), (0, 0, 0, 0), "{again:?}");
    });
}
