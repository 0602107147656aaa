//! An organization whose customers were brought by partners: every table of that side has a row of it.

use billing::attribution::ClaimKind;
use billing::attribution::claims::{self, NewClaim};
use billing::attribution::leads::{self, NewLead};
use billing::attribution::links::{self, NewLink};
use billing::attribution::touches::Clues;
use billing::attribution::{Registration, codes, register};
use billing::catalog::{Pricing, stripe_ids};
use billing::commissions::by_hand::{self, NewReversal};
use billing::commissions::conversions::{self, ReportedConversion};
use billing::commissions::{SourceKey, again};
use billing::inbox;
use billing::partners::PartnerProfile;
use billing::payouts::{self, NewPayoutDetails, NewPayoutRun};
use billing::programs::applications::{self, NewApplication};
use billing::programs::{Program, enrollments, evaluations};
use billing_primitives::{EnrollmentId, PartnerId};
use tests::desk::{Desk, paid_invoice};
use tests::{App, date, month, plain_terms};

/// Three payments, one taken back, one kept from ripening; a statement, a payout that was paid, and one left out.
pub async fn referrals(app: &App) {
    app.on("2026-05-01");
    let program = app.program("AFF", plain_terms()).await;
    let recruiter = app.partner("A-0").await;
    let earner = app.partner_as(PartnerProfile { parent: Some(recruiter.id), ..App::profile("A-1") }).await;
    let enrollment = app.enroll(&program, earner.id).await.id;
    // It is owed something and has said nowhere to where.
    let other = app.enroll(&program, app.partner("A-2").await.id).await.id;
    codes_and_claims(app, &program, earner.id, enrollment).await;
    stripe(app, enrollment, other).await;
    by_hand(app).await;
    pay_out(app, &program, earner.id).await;
    evaluations::evaluate_month(&app.billing, app.organization, month("2026-06")).await.expect("an evaluation");
    app.verify().await;
}

async fn codes_and_claims(app: &App, program: &Program, partner: PartnerId, enrollment: EnrollmentId) {
    let (billing, caller) = (&app.billing, app.caller());
    let new = codes::NewCode {
        partner,
        enrollment: Some(enrollment),
        code: "SPRING".to_owned(),
        stripe_promotion_code: None,
    };
    let code = codes::create(billing, &caller, &new).await.expect("a code").into_inner();
    let link = NewLink { code: code.id, name: "Blog".to_owned(), destination: "https://saelger.example/".to_owned() };
    links::create(billing, &caller, &link).await.expect("a link");
    let lead = NewLead {
        code: "spring".to_owned(),
        name: "Ida".to_owned(),
        email: "ida@kunde.example".to_owned(),
        company: None,
        message: None,
        visitor: None,
        clues: Clues::default(),
    };
    leads::submit(billing, app.organization, &lead).await.expect("a lead");
    let registration = Registration {
        external_id: "R-1".to_owned(),
        name: "Kunde R-1".to_owned(),
        email: Some("ida@kunde.example".to_owned()),
        country: None,
        stripe_customer_id: None,
        visitors: Vec::new(),
        code: Some("SPRING".to_owned()),
        registered_at: None,
        clues: Clues::default(),
    };
    register(billing, &caller, &registration).await.expect("a registration");
    let claim = NewClaim {
        partner,
        kind: ClaimKind::Affiliate,
        enrollment: Some(enrollment),
        customer_external_id: "R-2".to_owned(),
        customer_name: "Kunde R-2".to_owned(),
        email: None,
        plan: None,
        seats: None,
        expires_in_days: None,
    };
    claims::create(billing, &caller, &claim).await.expect("a claim link");
    let application = NewApplication {
        program: program.id,
        legal_name: "Ny Partner ApS".to_owned(),
        contact_name: "Bo".to_owned(),
        email: "bo@partner.example".to_owned(),
        country: "DK".to_owned(),
        website: None,
        message: String::new(),
        referred_by: None,
    };
    applications::submit(billing, &caller, &application).await.expect("an application");
}

async fn stripe(app: &App, enrollment: EnrollmentId, other: EnrollmentId) {
    let (billing, caller) = (&app.billing, app.caller());
    let plan = app.plan("stripe-plan", Pricing::Flat).await;
    stripe_ids::set(billing, &caller, plan.id, &["price_1".to_owned()]).await.expect("ids of a plan");
    let desk = Desk::of(app, 1).await;
    for (name, stripe_id, to) in [("X-1", "cus_1", enrollment), ("X-2", "cus_2", other)] {
        let customer = app.stripe_customer(name, stripe_id).await;
        app.attribute(customer.id, to, "2020-01-01").await;
        let conversion =
            ReportedConversion { customer: customer.id, plan: Some(plan.id), seats: 1, converted_at: None };
        conversions::record_conversion(billing, &caller, &conversion).await.expect("a conversion");
    }
    let at = 1_777_629_600;
    for (number, customer) in [(1, "cus_1"), (2, "cus_1"), (3, "cus_1"), (4, "cus_2")] {
        for event in paid_invoice(customer, number, "EUR", at, 10_000) {
            desk.post(0, &event).await;
            let id = event["id"].as_str().expect("an id");
            inbox::process(billing, app.organization, id).await.expect("processed");
        }
    }
    // Behind the events: nobody answers for Stripe here.
    inbox::set_account(billing, &caller, "rk_test_nobody").await.expect("a key");
}

async fn by_hand(app: &App) {
    let (billing, caller) = (&app.billing, app.caller());
    let reversal = NewReversal { source: SourceKey::invoice("in_2"), amount: None, reason: "a mistake".to_owned() };
    by_hand::reverse(billing, &caller, &reversal).await.expect("a reversal");
    by_hand::hold(billing, &caller, &SourceKey::invoice("in_3"), "looked into").await.expect("a hold");
}

async fn pay_out(app: &App, program: &Program, partner: PartnerId) {
    let (billing, caller) = (&app.billing, app.caller());
    let details =
        NewPayoutDetails { partner, holder: "Partner A-1".to_owned(), iban: "DK50 0040 0440 1162 43".to_owned() };
    payouts::set_details(billing, &caller, &details).await.expect("details");
    payouts::verify_details(billing, &caller, partner).await.expect("a check");
    app.on("2026-05-10");
    payouts::mature(billing, app.organization).await.expect("ripening");
    app.on("2026-06-02");
    payouts::make_due_statements(billing, app.organization).await.expect("statements");
    let run = NewPayoutRun { program: program.id, run_key: "2026-05".to_owned(), cut_off: None };
    let run = payouts::open(billing, &caller, &run).await.expect("a run").into_inner();
    payouts::approve(billing, &caller, run.id, None).await.expect("an approval");
    payouts::mark_sent(billing, &caller, run.id).await.expect("sent");
    payouts::mark_all_paid(billing, &caller, run.id, date("2026-06-02"), "bank 1").await.expect("paid");
}

/// What the API and the jobs ask for.
pub async fn referral_readings(app: &App) {
    let (billing, organization) = (&app.billing, app.organization);
    let program = billing::programs::by_external_id(billing, organization, "AFF").await.expect("an answer");
    let program = program.expect("a programme").id;
    let page = billing::Page::new(None, 10);
    let all = enrollments::EnrollmentFilter { program: Some(program), ..enrollments::EnrollmentFilter::default() };
    let enrolled = enrollments::list(billing, organization, &page, &all).await.expect("enrollments").items;
    let ids: Vec<EnrollmentId> = enrolled.iter().map(|enrollment| enrollment.id).collect();
    evaluations::progress(billing, organization, &ids).await.expect("progress");
    payouts::balances_of(billing, organization, &ids).await.expect("balances");
    again::what_if(billing, organization, program, &plain_terms()).await.expect("a comparison");
    inbox::retry_open(billing, organization).await.expect("a sweep");
}
