//! A partner's month at retail: what it charges, less what it is billed, whatever month that is for.

use billing::catalog::Pricing;
use billing::invoicing::run::Goal::Finalized;
use billing::retail::{self, NewRetailPrice, PartnerStatement};
use billing::subscriptions::rules::Seats;
use billing::{Error, Refusal};
use billing_primitives::{PartnerId, PlanId};
use tests::{App, date, dkk, month, story};

async fn charge(app: &App, partner: PartnerId, plan: PlanId, from: &str, minor: i64) {
    let price = NewRetailPrice { partner, plan, customer: None, effective_on: date(from), unit_price: dkk(minor) };
    retail::set(&app.billing, &app.caller(), &price).await.unwrap();
}

async fn statement(app: &App, partner: PartnerId, of: &str) -> PartnerStatement {
    retail::statement_of(&app.billing, app.organization, partner, month(of)).await.unwrap()
}

/// Retail, wholesale, adjustments and margin of each line.
fn told(statement: &PartnerStatement) -> Vec<(Option<i64>, i64, i64, Option<i64>)> {
    let lines = statement.lines.iter().map(|named| &named.line);
    let minor = |money: Option<billing_primitives::Money>| money.map(|money| money.minor);
    lines.map(|l| (minor(l.retail), l.wholesale_net.minor, l.adjustments.minor, minor(l.margin))).collect()
}

#[test]
fn late_changes_count_in_the_month_they_are_billed() {
    story(async |app| {
        app.tiers("2026-01").await;
        let plan = app.plan("pro", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, dkk(31_000))]).await;
        let partner = app.partner("P-1").await;
        let customer = app.customer("C-1", Some(partner.id)).await;
        let subscription = app.subscribe("S-1", &customer, &plan, "2026-01-01", 10).await;
        charge(&app, partner.id, plan.id, "2026-01-01", 40_000).await;
        // The preview equals what is billed: 10 x 310.00 less 15 %.
        let preview = statement(&app, partner.id, "2026-01").await;
        app.on("2026-02-01").run("2026-01", Finalized).await;
        let january = statement(&app, partner.id, "2026-01").await;
        assert_eq!(told(&january), [(Some(400_000), 263_500, 0, Some(136_500))]);
        assert_eq!((preview.finalized, january.finalized), (false, true));
        assert_eq!(PartnerStatement { finalized: true, ..preview }, january);
        // Five seats less from the start, known in February: January's usage is what it was, its bill stands.
        app.on("2026-02-10").seats("late", &subscription, "2026-01-01", Seats::Quantity(5)).await;
        let january = statement(&app, partner.id, "2026-01").await;
        assert_eq!(told(&january), [(Some(200_000), 263_500, 0, Some(-63_500))]);
        assert_eq!(january.warnings.len(), 1, "billed more than sold, until it is credited");
        // February: 5 seats, and 131,750 of January taken back; alike before and after it is finalized.
        let preview = statement(&app, partner.id, "2026-02").await;
        assert_eq!(told(&preview), [(Some(200_000), 0, -131_750, Some(200_000))]);
        app.on("2026-03-01").run("2026-02", Finalized).await;
        let february = statement(&app, partner.id, "2026-02").await;
        assert_eq!(february.totals, preview.totals);
        assert_eq!(told(&february), told(&preview));
        assert!(february.warnings.is_empty());
    });
}

#[test]
fn without_a_price_the_margin_is_unknown() {
    story(async |app| {
        app.tiers("2026-01").await;
        let plan = app.plan("pro", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, dkk(31_000))]).await;
        let partner = app.partner("P-1").await;
        for name in ["C-2", "C-1"] {
            let customer = app.customer(name, Some(partner.id)).await;
            app.subscribe(&format!("S-{name}"), &customer, &plan, "2026-01-01", 1).await;
        }
        charge(&app, partner.id, plan.id, "2026-01-02", 31_000).await;
        let made = statement(&app, partner.id, "2026-01").await;
        let names: Vec<_> = made.lines.iter().map(|line| line.customer_external_id.as_str()).collect();
        assert_eq!(names, ["C-1", "C-2"]);
        assert_eq!(told(&made), [(None, 26_350, 0, None); 2]);
        assert_eq!((made.totals.retail, made.totals.margin, made.totals.wholesale_net), (None, None, dkk(52_700)));
        let text = retail::csv(&made);
        assert!(text.contains("P-1,2026-01,C-1,Kunde C-1,pro,31,DKK,,263.50,0.00,,PREVIEW\r\n"), "{text}");
    });
}

#[test]
fn strangers_and_months_before_billing_are_refused() {
    story(async |app| {
        let of = month("2026-01");
        let unknown = retail::statement_of(&app.billing, app.organization, PartnerId::new(), of).await;
        assert!(matches!(unknown, Err(Error::Refused(Refusal::NotFound { field: "partner", .. }))), "{unknown:?}");
        let other = App::new(app.billing.db.clone()).await;
        let partner = other.partner("P-1").await;
        let theirs = retail::statement_of(&app.billing, app.organization, partner.id, of).await;
        assert!(matches!(theirs, Err(Error::Refused(Refusal::NotFound { field: "partner", .. }))), "{theirs:?}");
        let early = retail::statement_of(&other.billing, other.organization, partner.id, month("2025-12")).await;
        assert!(matches!(early, Err(Error::Refused(Refusal::MonthBeforeBilling { .. }))), "{early:?}");
        let missing = retail::statement_of(&other.billing, other.organization, partner.id, of).await;
        assert!(matches!(missing, Err(Error::Refused(Refusal::TierTableMissing { .. }))), "{missing:?}");
    });
}
