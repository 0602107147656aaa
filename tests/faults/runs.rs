//! Runs that race, that are cut, and books that somebody tampers with.

use std::time::Duration;

use billing::catalog::Pricing;
use billing::invoicing::documents::{BillingRun, Invoice};
use billing::invoicing::run::{self, Goal};
use billing::subscriptions::rules::Seats;
use rand::RngExt;
use tests::{App, console, dkk, month, story, world};

const PARTNERS: usize = 11;

/// Eleven partners with two customers each, and changes inside the month; two partners to a transaction.
async fn eleven_partners(app: &mut App) {
    app.billing.run_chunk = 2;
    app.tiers("2026-01").await;
    let plan = app.plan("pro", Pricing::PerSeat).await;
    app.prices("2025-01-01", &[(&plan, dkk(9_995))]).await;
    for number in 0..PARTNERS {
        let partner = app.partner(&format!("P-{number:02}")).await;
        for customer in 0..2 {
            let name = format!("{number:02}-{customer}");
            let customer = app.customer(&name, Some(partner.id)).await;
            let seats = i64::try_from(number * 40 + 1).unwrap();
            let subscription = app.subscribe(&name, &customer, &plan, "2026-01-05", seats).await;
            app.seats(&format!("{name}-change"), &subscription, "2026-01-20", Seats::Delta(3)).await;
        }
    }
    app.on("2026-02-01");
}

/// What two ways to one result are compared by: numbers, dates and amounts, not ids and timestamps.
fn told(invoices: &[Invoice]) -> Vec<(Option<String>, String, i64, i64, i64)> {
    let mut told: Vec<_> = invoices
        .iter()
        .map(|invoice| {
            let dates = format!("{:?} {:?}", invoice.issue_date, invoice.due_date);
            let amounts = (invoice.net_total_minor, invoice.vat_total_minor, invoice.gross_total_minor);
            (invoice.number.clone(), dates, amounts.0, amounts.1, amounts.2)
        })
        .collect();
    told.sort();
    told
}

async fn begin(app: &App) -> BillingRun {
    run::begin(&app.billing, &app.caller(), month("2026-01"), Goal::Finalized).await.unwrap().into_inner()
}

/// What nobody disturbed comes to.
async fn undisturbed(app: &App) -> Vec<(Option<String>, String, i64, i64, i64)> {
    let mut other = App::new(app.billing.db.clone()).await;
    eleven_partners(&mut other).await;
    other.run("2026-01", Goal::Finalized).await;
    let told = told(&other.invoices().await);
    assert_eq!(told.len(), PARTNERS);
    told
}

#[test]
fn workers_that_race_make_one_result() {
    story(async |mut app| {
        let expected = undisturbed(&app).await;
        eleven_partners(&mut app).await;
        let workers = (0..4).map(|_| {
            let app = app.clone();
            tokio::spawn(async move {
                let run = begin(&app).await;
                run::walk(&app.billing, &run, |_| {}).await
            })
        });
        for worker in futures::future::join_all(workers.collect::<Vec<_>>()).await {
            worker.unwrap().unwrap();
        }
        assert_eq!(told(&app.invoices().await), expected);
        app.verify().await;
    });
}

#[test]
fn a_worker_killed_at_any_commit_is_followed_by_another() {
    story(async |app| {
        let expected = undisturbed(&app).await;
        // Eleven partners, two to a commit: six commits, the first of them the beginning of the pass.
        for commits in 0..=6 {
            let mut app = App::new(app.billing.db.clone()).await;
            eleven_partners(&mut app).await;
            let run = begin(&app).await;
            for _ in 0..commits {
                run::step(&app.billing, app.organization, run.id, run.pass).await.unwrap();
            }
            // The first worker is gone. A day later another one goes on; the issue date was fixed before.
            app.on("2026-02-02");
            let run = begin(&app).await;
            run::walk(&app.billing, &run, |_| {}).await.unwrap();
            let invoices = app.invoices().await;
            if commits < 6 {
                assert_eq!(told(&invoices), expected, "killed after {commits} commits");
            }
            assert_eq!(invoices.len(), PARTNERS);
            app.verify().await;
        }
    });
}

#[test]
fn a_worker_cut_inside_a_transaction_leaves_nothing_half_done() {
    story(async |mut app| {
        let expected = undisturbed(&app).await;
        eleven_partners(&mut app).await;
        let run = begin(&app).await;
        let mut cuts = 0;
        loop {
            let patience = Duration::from_micros(rand::rng().random_range(200..12_000));
            let step = run::step(&app.billing, app.organization, run.id, run.pass);
            match tokio::time::timeout(patience + Duration::from_millis(cuts / 10), step).await {
                Err(_) => cuts += 1,
                Ok(step) => {
                    if !run::under_way(&step.unwrap()) {
                        break;
                    }
                }
            }
        }
        assert!(cuts > 0, "the story wants at least one cut");
        assert_eq!(told(&app.invoices().await), expected);
        app.verify().await;
    });
}

#[test]
fn an_older_pass_is_refused() {
    story(async |mut app| {
        eleven_partners(&mut app).await;
        let drafting =
            run::begin(&app.billing, &app.caller(), month("2026-01"), Goal::Drafts).await.unwrap().into_inner();
        let finalizing = begin(&app).await;
        let late = run::step(&app.billing, app.organization, drafting.id, drafting.pass).await;
        assert!(matches!(late, Err(billing::Error::Refused(billing::Refusal::RunSuperseded { .. }))));
        run::walk(&app.billing, &finalizing, |_| {}).await.unwrap();
        app.verify().await;
    });
}

#[test]
fn verify_sees_what_was_tampered_with() {
    const WALLS_DOWN: &str = "BEGIN; ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY;";
    for (table, change, found) in [
        ("invoice", "UPDATE invoice SET due_date = due_date + 90 WHERE number = 'INV-000003'", "INV-000003"),
        ("invoice_line", "UPDATE invoice_line SET trace = '{}' WHERE line_number = 1", "its content is not"),
        ("invoice_line", "DELETE FROM invoice_line WHERE line_number = 2", "totals do not follow"),
        ("ledger_transfer", "UPDATE ledger_transfer SET amount_minor = amount_minor + 1 WHERE position = 2", "block 1"),
        (
            "settlement",
            "UPDATE settlement SET credited_minor = 1 WHERE number = 'INV-000001'",
            "and 1 in its settlement",
        ),
        ("tier_evaluation", "UPDATE tier_evaluation SET users = users + 600", "does not follow"),
        ("seat_change", "UPDATE seat_change SET delta = 4 WHERE delta = 3", "too little was invoiced"),
        ("document_counter", "UPDATE document_counter SET last_number = 12 WHERE series = 'INVOICE'", "counter 12"),
        ("audit_entry", "UPDATE audit_entry SET actor = 'nobody'", "block 1"),
    ] {
        story(async |mut app| {
            eleven_partners(&mut app).await;
            app.run("2026-01", Goal::Finalized).await;
            app.verify().await;
            let organization = app.organization.uuid();
            let walls = WALLS_DOWN.replace("{t}", table);
            let clause = if change.contains("WHERE") { "AND" } else { "WHERE" };
            let change = format!(
                "{walls} {change} {clause} organization_id = '{organization}';
                ALTER TABLE {table} FORCE ROW LEVEL SECURITY; COMMIT;"
            );
            console(&world().owner, &change).await;
            let report = billing::reconciliation::verify(&app.billing, app.organization).await.unwrap();
            let told: Vec<_> = report.differences().map(|(check, what)| format!("{check}: {what}")).collect();
            assert!(told.iter().any(|what| what.contains(found)), "{table}: {told:?}");
        });
    }
}
