//! Runs that race, that are cut, and books that somebody tampers with.

use std::time::Duration;

use billing::invoicing::run::{self, Goal};
use rand::RngExt;
use tests::{App, console, month, story, world};

/// Two of them to a transaction.
const PARTNERS: usize = 11;

#[test]
fn workers_that_race_make_one_result() {
    story(async |mut app| {
        let expected = app.undisturbed(PARTNERS).await;
        app.crowd(PARTNERS, 2).await;
        let workers = (0..4).map(|_| {
            let app = app.clone();
            tokio::spawn(async move {
                let run = app.begin_january().await;
                run::walk(&app.billing, &run, |_| {}).await
            })
        });
        for worker in futures::future::join_all(workers.collect::<Vec<_>>()).await {
            worker.unwrap().unwrap();
        }
        assert_eq!(app.told().await, expected);
        app.verify().await;
    });
}

#[test]
fn a_worker_killed_at_any_commit_is_followed_by_another() {
    story(async |app| {
        let expected = app.undisturbed(PARTNERS).await;
        // Eleven partners, two to a commit: six commits, the first of them the beginning of the pass.
        for commits in 0..=6 {
            let mut app = App::new(app.billing.db.clone()).await;
            app.crowd(PARTNERS, 2).await;
            let run = app.begin_january().await;
            for _ in 0..commits {
                run::step(&app.billing, app.organization, run.id, run.pass).await.unwrap();
            }
            // The first worker is gone. A day later another one goes on; the issue date was fixed before.
            app.on("2026-02-02");
            let run = app.begin_january().await;
            run::walk(&app.billing, &run, |_| {}).await.unwrap();
            let told = app.told().await;
            if commits < 6 {
                assert_eq!(told, expected, "killed after {commits} commits");
            }
            assert_eq!(told.len(), PARTNERS);
            app.verify().await;
        }
    });
}

#[test]
fn a_worker_cut_inside_a_transaction_leaves_nothing_half_done() {
    story(async |mut app| {
        let expected = app.undisturbed(PARTNERS).await;
        app.crowd(PARTNERS, 2).await;
        let run = app.begin_january().await;
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
        assert_eq!(app.told().await, expected);
        app.verify().await;
    });
}

#[test]
fn an_older_pass_is_refused() {
    story(async |mut app| {
        app.crowd(PARTNERS, 2).await;
        let drafting =
            run::begin(&app.billing, &app.caller(), month("2026-01"), Goal::Drafts).await.unwrap().into_inner();
        let finalizing = app.begin_january().await;
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
            app.crowd(PARTNERS, 2).await;
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
