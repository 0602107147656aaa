//! Programmes: drafts, immutable versions, enrollments with dated terms, applications, tiers month by month.

use billing::programs::applications::{self, ApplicationStatus, Approval, NewApplication};
use billing::programs::enrollments::{self, EnrollmentFilter, NewEnrollment, NewTerms};
use billing::programs::terms::{
    AttributionTerms, CommissionBase, Overrides, Phase, PlanRule, ProgramTier, Reward, SelfReferral, SettlementMode,
    Terms, TouchSource, Trigger, Window,
};
use billing::programs::versions::{self, ProgramVersion, VersionStatus};
use billing::programs::{self, Enrollment, NewProgram, Program, ProgramChange, evaluations, rules};
use billing::stripe::DisputePolicy;
use billing::{Error, Page, Refusal, partners};
use billing_db::APP_ROLE;
use billing_primitives::{BasisPoints, Currency, EnrollmentId, PartnerId, PlanId, Timestamp};
use tests::{App, date, month, story, world};
use tokio_postgres::NoTls;

fn bps(rate: i64) -> BasisPoints {
    BasisPoints::new(rate).unwrap()
}

fn percent(from_month: u32, rate: i64) -> Phase {
    Phase { from_month, reward: Reward::Percent(bps(rate)) }
}

fn tier(code: &str, converted_customers: i64, net_revenue_minor: i64, rate: i64) -> ProgramTier {
    let phases = vec![percent(1, rate), percent(13, rate / 2)];
    ProgramTier { code: code.to_owned(), name: code.to_owned(), converted_customers, net_revenue_minor, phases }
}

fn terms() -> Terms {
    Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers: vec![tier("SILVER", 0, 0, 2_000), tier("GOLD", 2, 100_000, 3_000)],
        plan_rules: Vec::new(),
        upline: vec![bps(1_000)],
        max_share: bps(4_000),
        hold_days: 30,
        cancellation_window_days: Some(14),
        disputes: DisputePolicy::ReverseAtOnce,
        attribution: AttributionTerms {
            sources: vec![Window { source: TouchSource::Link, days: 90 }],
            self_referral: SelfReferral::Block,
        },
        payout_threshold_minor: 50_000,
        payout_schedule: None,
    }
}

async fn program(app: &App, external_id: &str, is_default: bool) -> Program {
    let input = NewProgram {
        external_id: external_id.to_owned(),
        name: "Affiliates".to_owned(),
        currency: Currency::DKK,
        is_default,
        terms: Some(terms()),
    };
    programs::create(&app.billing, &app.caller(), &input).await.unwrap().into_inner()
}

async fn publish(app: &App, of: &Program, from: &str) -> Result<ProgramVersion, Error> {
    versions::publish(&app.billing, &app.caller(), of.id, date(from)).await.map(billing::Applied::into_inner)
}

async fn draft(app: &App, of: &Program, terms: &Terms) -> Result<ProgramVersion, Error> {
    let saved = versions::save_draft(&app.billing, &app.caller(), of.id, terms, false).await;
    saved.map(billing::Applied::into_inner)
}

async fn enroll(app: &App, program: &Program, partner: PartnerId, from: Option<&str>) -> Result<Enrollment, Error> {
    let input = NewEnrollment {
        program: program.id,
        partner,
        enrolled_from: from.map(date),
        settlement: SettlementMode::Payout,
        overrides: Overrides::default(),
    };
    enrollments::enroll(&app.billing, &app.caller(), &input).await.map(billing::Applied::into_inner)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?} is no refusal"),
    }
}

/// A statement of the application's role inside the organization's wall.
async fn sql(app: &App, statement: &str) -> Result<u64, tokio_postgres::Error> {
    let mut server = world().owner.clone();
    server.options(format!("-c role={APP_ROLE} -c citus.propagate_set_commands=local"));
    let (mut client, connection) = server.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("SET LOCAL app.organization = '{}'", app.organization.uuid())).await?;
    let met = transaction.execute(statement, &[]).await?;
    transaction.commit().await?;
    Ok(met)
}

#[test]
fn a_version_is_drafted_published_and_stands() {
    story(async |app| {
        app.on("2026-03-10");
        let of = program(&app, "affiliates", true).await;
        let first = publish(&app, &of, "2025-06-01").await.unwrap();
        assert_eq!((first.number, first.status), (1, VersionStatus::Published));
        assert_eq!(refused(publish(&app, &of, "2026-04-01").await).code(), "NOT_FOUND");

        let mut other = terms();
        other.tiers[1].phases[1].reward = Reward::Flat(500);
        other.hold_days = 14;
        let saved = draft(&app, &of, &terms()).await.unwrap();
        let replaced = draft(&app, &of, &other).await.unwrap();
        assert_eq!((saved.id, replaced.number, &replaced.terms), (replaced.id, 2, &other));
        let paths: Vec<String> =
            rules::difference(&first.terms, &replaced.terms).into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["holdDays", "tiers[GOLD].phases[13].reward"]);

        // Not in the past once something is published, and not before the last version.
        let earliest = |refusal| match refusal {
            Refusal::DateBefore { earliest, .. } => earliest.to_string(),
            other => panic!("{other}"),
        };
        assert_eq!(earliest(refused(publish(&app, &of, "2026-03-09").await)), "2026-03-10");
        let second = publish(&app, &of, "2026-04-01").await.unwrap();
        draft(&app, &of, &terms()).await.unwrap();
        assert_eq!(earliest(refused(publish(&app, &of, "2026-04-01").await)), "2026-04-02");
        versions::discard_draft(&app.billing, &app.caller(), of.id).await.unwrap();
        let gone = versions::discard_draft(&app.billing, &app.caller(), of.id).await;
        assert_eq!(refused(gone).code(), "NOT_FOUND");
        assert_eq!(draft(&app, &of, &terms()).await.unwrap().number, 3);

        // The application itself cannot change what is published.
        let published = "program_version WHERE status = 'PUBLISHED'";
        for statement in [
            "UPDATE program_version SET terms = '{}' WHERE status = 'PUBLISHED'".to_owned(),
            "UPDATE program_version SET status = 'DRAFT', published_at = NULL WHERE status = 'PUBLISHED'".to_owned(),
            format!("DELETE FROM {published}"),
        ] {
            assert_eq!(sql(&app, &statement).await.unwrap(), 0, "{statement}");
        }
        for table in ["enrollment_terms", "enrollment_evaluation"] {
            assert!(sql(&app, &format!("DELETE FROM {table}")).await.is_err(), "{table}");
        }
        let stored = versions::versions_of(&app.billing, app.organization, &[of.id]).await.unwrap();
        assert_eq!(stored[..2], [first, second]);
        app.verify().await;
    });
}

#[test]
fn terms_are_checked_when_they_are_saved() {
    story(async |app| {
        let of = program(&app, "affiliates", false).await;
        let too_much = Terms { max_share: bps(3_200), ..terms() };
        assert_eq!(refused(draft(&app, &of, &too_much).await).field(), Some("tiers"));
        let plan_rules = vec![PlanRule { plan: PlanId::new(), phases: vec![percent(1, 100)] }];
        let refusal = refused(draft(&app, &of, &Terms { plan_rules, ..terms() }).await);
        assert_eq!((refusal.code(), refusal.field()), ("NOT_FOUND", Some("planRules")));
        let again = NewProgram {
            external_id: "affiliates".to_owned(),
            name: "Igen".to_owned(),
            currency: Currency::EUR,
            is_default: false,
            terms: None,
        };
        let taken = programs::create(&app.billing, &app.caller(), &again).await;
        assert_eq!(refused(taken).code(), "EXTERNAL_ID_TAKEN");
    });
}

#[test]
fn one_programme_is_the_default() {
    story(async |app| {
        let (one, two) = (program(&app, "one", true).await, program(&app, "two", true).await);
        let defaults = async || {
            let all = programs::list(&app.billing, app.organization, &Page::new(None, 10)).await.unwrap().items;
            all.into_iter().filter(|program| program.is_default).map(|program| program.external_id).collect::<Vec<_>>()
        };
        assert_eq!(defaults().await, ["two"]);
        let (to, from) = (ProgramChange { name: None, is_default: Some(true) }, app.caller());
        let both = futures::future::join(
            programs::update(&app.billing, &from, one.id, &to),
            programs::update(&app.billing, &from, two.id, &to),
        );
        let (first, second) = both.await;
        first.unwrap();
        second.unwrap();
        assert_eq!(defaults().await.len(), 1);
        let named = ProgramChange { name: Some("Anbefalere".to_owned()), is_default: None };
        let named = programs::update(&app.billing, &from, one.id, &named).await.unwrap().into_inner();
        assert_eq!(named.name, "Anbefalere");
    });
}

#[test]
fn an_enrollment_has_dated_terms_and_an_end() {
    story(async |app| {
        app.on("2026-03-10");
        let of = program(&app, "affiliates", true).await;
        publish(&app, &of, "2026-01-01").await.unwrap();
        let partner = app.partner("P-1").await;
        let enrollment = enroll(&app, &of, partner.id, Some("2026-02-01")).await.unwrap();
        assert_eq!(refused(enroll(&app, &of, partner.id, None).await).code(), "ALREADY_ENROLLED");

        let change = async |from: &str, settlement, rate: Option<i64>| {
            let overrides = Overrides { phases: rate.map(|rate| vec![percent(1, rate)]), plan_rules: Vec::new() };
            let input = NewTerms { enrollment: enrollment.id, effective_from: date(from), settlement, overrides };
            enrollments::change_terms(&app.billing, &app.caller(), &input).await.map(billing::Applied::into_inner)
        };
        assert_eq!(refused(change("2026-01-31", SettlementMode::Credit, None).await).code(), "DATE_BEFORE");
        // 37 % and a tenth of it above are more than 40 %; what is only counted feeds nobody.
        assert_eq!(refused(change("2026-03-01", SettlementMode::Payout, Some(3_700)).await).field(), Some("phases"));
        change("2026-03-01", SettlementMode::ReportOnly, Some(3_700)).await.unwrap();
        change("2026-03-01", SettlementMode::Credit, Some(3_500)).await.unwrap();
        let same = change("2026-05-01", SettlementMode::Credit, Some(3_500)).await.unwrap();
        assert_eq!(same.effective_from, date("2026-03-01"), "equal terms are the ones that stand");
        let rows = enrollments::terms_of(&app.billing, app.organization, &[enrollment.id]).await.unwrap();
        assert_eq!(rows.len(), 3);
        for (day, settlement) in [
            ("2026-01-31", None),
            ("2026-02-28", Some(SettlementMode::Payout)),
            ("2026-03-01", Some(SettlementMode::Credit)),
        ] {
            assert_eq!(rules::in_force(&rows, date(day)).map(|row| row.settlement), settlement, "{day}");
        }
        // A version under which the agreement would give away too much is not published.
        let steep = Terms { upline: vec![bps(1_500)], ..terms() };
        draft(&app, &of, &steep).await.unwrap();
        assert_eq!(refused(publish(&app, &of, "2026-04-01").await).field(), Some("uplineBps"));

        let end = async |from: &str| {
            let ended = enrollments::end(&app.billing, &app.caller(), enrollment.id, date(from)).await;
            ended.map(billing::Applied::into_inner)
        };
        assert_eq!(refused(end("2026-01-31").await).code(), "DATE_BEFORE");
        assert_eq!(end("2026-04-01").await.unwrap().ended_from, Some(date("2026-04-01")));
        assert_eq!(end("2026-03-20").await.unwrap().ended_from, Some(date("2026-03-20")));
        app.on("2026-03-25");
        assert_eq!(refused(end("2026-05-01").await).code(), "INVALID");
        assert_eq!(publish(&app, &of, "2026-04-01").await.unwrap().number, 2, "it has ended by then");

        let gone = app.partner("P-2").await;
        let (status, from) = (partners::PartnerStatus::Terminated, Some(date("2026-03-25")));
        partners::set_status(&app.billing, &app.caller(), gone.id, status, from).await.unwrap();
        assert_eq!(refused(enroll(&app, &of, gone.id, None).await).code(), "PARTNER_NOT_ACTIVE");
        let filter = EnrollmentFilter { program: Some(of.id), partner: None };
        let listed = enrollments::list(&app.billing, app.organization, &Page::new(None, 10), &filter).await.unwrap();
        assert_eq!(listed.items.iter().map(|row| row.id).collect::<Vec<_>>(), [enrollment.id]);
    });
}

#[test]
fn an_application_is_decided_once() {
    story(async |app| {
        app.on("2026-03-10");
        let of = program(&app, "affiliates", true).await;
        publish(&app, &of, "2026-01-01").await.unwrap();
        let recruiter = app.partner("P-1").await;
        let apply = async |email: &str| {
            let input = NewApplication {
                program: of.id,
                legal_name: "Ny Partner ApS".to_owned(),
                contact_name: "Åse Østergård".to_owned(),
                email: email.to_owned(),
                country: "DK".to_owned(),
                website: Some("https://ny.example".to_owned()),
                message: "Vi vil gerne\nvære med.".to_owned(),
                referred_by: Some(recruiter.id),
            };
            applications::submit(&app.billing, &app.caller(), &input).await.map(billing::Applied::into_inner)
        };
        let (yes, no) = (apply("a@ny.example").await.unwrap(), apply("b@ny.example").await.unwrap());
        assert_eq!(refused(apply("A@ny.example").await).code(), "APPLICATION_PENDING");
        let approve = async |external_id: &str| {
            let input = Approval {
                application: yes.id,
                external_id: external_id.to_owned(),
                street: "Gade 1".to_owned(),
                postal_code: "5000".to_owned(),
                city: "Odense C".to_owned(),
                vat_number: None,
                currency: Currency::DKK,
                payment_terms: None,
                enrolled_from: None,
                settlement: SettlementMode::Payout,
                overrides: Overrides::default(),
            };
            applications::approve(&app.billing, &app.caller(), &input).await.map(billing::Applied::into_inner)
        };
        assert_eq!(refused(approve("P-1").await).code(), "EXTERNAL_ID_TAKEN");
        let approved = approve("P-2").await.unwrap();
        let partner = approved.partner_id.unwrap();
        let made = partners::by_ids(&app.billing, app.organization, &[partner]).await.unwrap().remove(0);
        assert_eq!((made.legal_name.as_str(), made.parent_partner_id), ("Ny Partner ApS", Some(recruiter.id)));
        let enrolled = enrollments::of_partners(&app.billing, app.organization, &[partner]).await.unwrap();
        assert_eq!((enrolled.len(), enrolled[0].enrolled_from), (1, date("2026-03-10")));
        assert_eq!(refused(approve("P-3").await).code(), "APPLICATION_DECIDED");
        let rejected = applications::reject(&app.billing, &app.caller(), no.id, "Kender vi ikke").await.unwrap();
        assert_eq!(rejected.into_inner().reason.as_deref(), Some("Kender vi ikke"));
        let rejected = Some(ApplicationStatus::Rejected);
        let page = Page::new(None, 10);
        let listed = applications::list(&app.billing, app.organization, &page, rejected).await.unwrap().items;
        assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [no.id]);
        assert!(apply("b@ny.example").await.is_ok(), "one who was rejected may ask again");
        app.verify().await;
    });
}

/// Books a level 1 commission of the customer's attribution, as far as tiers look at it.
async fn earned(app: &App, enrollment: &Enrollment, customer: &str, at: &str, base: i64, reversed: i64) {
    let statement = format!(
        "INSERT INTO commission (organization_id, id, source_kind, source_id, level, enrollment_id, partner_id, program_id,
             program_version_id, customer_id, attribution_id, settlement, currency, base_minor, base_reversed_minor,
             earned_minor, reversed_minor, held_minor, earned_at, payable_at, trace)
         SELECT a.organization_id, '{id}', 'STRIPE_INVOICE', '{id}', 1, e.id, e.partner_id,
             e.program_id, v.id, a.customer_id, a.id, 'PAYOUT', 'DKK', {base}, {reversed}, 100, 0, 100,
             '{at}', '{at}', '{{}}'
         FROM attribution a
         JOIN enrollment e ON e.organization_id = a.organization_id AND e.id = '{enrollment}'
         JOIN program_version v ON v.organization_id = a.organization_id AND v.program_id = e.program_id AND v.number = 1
         JOIN customer c ON c.organization_id = a.organization_id AND c.id = a.customer_id
         WHERE a.organization_id = '{organization}' AND c.external_id = '{customer}' AND a.enrollment_id = e.id",
        id = uuid::Uuid::now_v7(),
        organization = app.organization.uuid(),
        enrollment = enrollment.id.uuid(),
    );
    assert_eq!(sql(app, &statement).await.unwrap(), 1, "{customer}");
}

async fn attributed(app: &App, enrollment: &Enrollment, customer: &str, from: &str) {
    let customer = billing::customers::by_external_id(&app.billing, app.organization, customer).await.unwrap();
    app.attribute(customer.unwrap().id, enrollment.id, from).await;
}

#[test]
fn a_tier_is_evaluated_once_a_month_from_what_was_known() {
    story(async |app| {
        app.on("2026-01-01");
        let of = program(&app, "affiliates", true).await;
        publish(&app, &of, "2025-01-01").await.unwrap();
        let (one, two) = (app.partner("P-1").await, app.partner("P-2").await);
        let first = enroll(&app, &of, one.id, Some("2025-01-01")).await.unwrap();
        let second = enroll(&app, &of, two.id, Some("2025-01-01")).await.unwrap();
        for customer in ["C-1", "C-2", "C-3"] {
            app.customer(customer, None).await;
            attributed(&app, &first, customer, "2025-01-01").await;
        }
        // 1000.00 DKK in the twelve months, all of it known on the first; a third customer got its money back.
        earned(&app, &first, "C-1", "2025-02-28T22:59:59Z", 900_000, 0).await;
        earned(&app, &first, "C-1", "2025-03-01T12:00:00Z", 60_000, 0).await;
        earned(&app, &first, "C-2", "2026-02-27T12:00:00Z", 40_000, 0).await;
        earned(&app, &first, "C-3", "2026-02-27T12:00:00Z", 70_000, 70_000).await;
        earned(&app, &first, "C-2", "2026-03-02T12:00:00Z", 999_999, 0).await;

        let tier = async |enrollment: EnrollmentId, of: &str| {
            let page = Page::new(None, 100);
            let rows = evaluations::list(&app.billing, app.organization, enrollment, &page).await.unwrap().items;
            let row = rows.into_iter().find(|row| row.month == month(of));
            row.map(|row| (row.tier_code, row.converted_customers, row.net_revenue_minor))
        };
        app.on("2026-02-28");
        let none = evaluations::evaluate_month(&app.billing, app.organization, month("2026-03")).await.unwrap();
        assert_eq!(none, 0, "the month has not begun");
        app.on("2026-03-05");
        assert_eq!(evaluations::evaluate_current(&app.billing, app.organization).await.unwrap(), 2);
        assert_eq!(evaluations::evaluate_current(&app.billing, app.organization).await.unwrap(), 0);
        assert_eq!(tier(first.id, "2026-03").await, Some(("GOLD".to_owned(), 2, 100_000)));
        assert_eq!(tier(second.id, "2026-03").await, Some(("SILVER".to_owned(), 0, 0)));

        // Re-attributed: it counts for the other one, with what it has ever brought; the revenue stays where it was.
        attributed(&app, &second, "C-1", "2026-03-15").await;
        let stands = evaluations::progress(&app.billing, app.organization, &[first.id]).await.unwrap().remove(0);
        let next = stands.next.map(|next| (next.tier.code, next.missing_customers, next.missing_revenue_minor));
        assert_eq!((stands.tier.code.as_str(), stands.converted_customers, next), ("GOLD", 2, None));
        app.on("2026-04-01");
        assert_eq!(evaluations::evaluate_current(&app.billing, app.organization).await.unwrap(), 2);
        assert_eq!(tier(first.id, "2026-04").await, Some(("SILVER".to_owned(), 1, 1_039_999)));
        assert_eq!(tier(second.id, "2026-04").await, Some(("SILVER".to_owned(), 1, 0)));
        assert_eq!(tier(first.id, "2026-03").await, Some(("GOLD".to_owned(), 2, 100_000)), "never reopened");
        let stands = evaluations::progress(&app.billing, app.organization, &[second.id]).await.unwrap().remove(0);
        let next = stands.next.map(|next| (next.tier.code, next.missing_customers, next.missing_revenue_minor));
        assert_eq!(next, Some(("GOLD".to_owned(), 1, 100_000)));

        // What was earned keeps its terms.
        let at: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let too_early = NewTerms {
            enrollment: first.id,
            effective_from: at.date_in(&"Europe/Copenhagen".parse().unwrap()),
            settlement: SettlementMode::Credit,
            overrides: Overrides::default(),
        };
        let refusal = refused(enrollments::change_terms(&app.billing, &app.caller(), &too_early).await);
        assert_eq!(refusal.to_string(), "effectiveFrom 2026-03-02 is before 2026-03-03");
    });
}
