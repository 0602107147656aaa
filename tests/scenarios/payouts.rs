//! Payouts: what customers paid ripens, stands on a statement, is bundled, approved, sent and paid; what goes back after
//! that is a debt. After every step the buckets, their entries, the payouts and the books agree.

use billing::catalog::Pricing;
use billing::inbox::{self, EventStatus};
use billing::invoicing::run::Goal;
use billing::partners::{self, Partner, PartnerStatus};
use billing::payments::{self, PaymentStatus, ReversalReason};
use billing::payouts::{
    self, Balance, LeftOut, NewPayoutDetails, NewPayoutRun, Payout, PayoutFilter, PayoutRun, PayoutStatus, RunStatus,
    Statement, StatementFilter,
};
use billing::programs::Program;
use billing::programs::enrollments::Enrollment;
use billing::programs::terms::{SettlementMode, Terms};
use billing::{Actor, Caller, Error, Page, Refusal};
use billing_primitives::{ApiKeyId, Currency, Money, PayoutRunId, Timestamp};
use serde_json::{Value, json};
use tests::desk::{Desk, event, paid_invoice};
use tests::{App, date, dkk, eur, month, plain_terms, story};

const IBAN: &str = "DK50 0040 0440 1162 43";

/// A partner in a programme that pays 20 %, and one customer of its that Stripe bills.
struct Scheme {
    app: App,
    desk: Desk,
    program: Program,
    partner: Partner,
    enrollment: Enrollment,
    currency: Currency,
}

impl Scheme {
    async fn of(app: &App, terms: Terms) -> Scheme {
        Scheme::with(app, Currency::EUR, terms, SettlementMode::Payout).await
    }

    async fn with(app: &App, currency: Currency, terms: Terms, settlement: SettlementMode) -> Scheme {
        let program = app.program_in("AFF", currency, terms).await;
        let partner = app.partner("P-1").await;
        let enrollment = app.enroll_as(&program, partner.id, settlement).await;
        let customer = app.stripe_customer("C-stripe", "cus_1").await;
        app.attribute(customer.id, enrollment.id, "2020-01-01").await;
        Scheme { desk: Desk::of(app, 1).await, app: app.clone(), program, partner, enrollment, currency }
    }

    /// The customer pays invoice `number` on a day: 20 % of `minor` is earned.
    async fn paid(&self, number: u32, on: &str, minor: i64) {
        self.app.on(on);
        for event in paid_invoice("cus_1", number, self.currency.code(), unix(on), minor) {
            self.desk.deliver(&event).await;
        }
        let ids = [format!("evt_paid_{number}"), format!("evt_link_{number}")];
        for event in inbox::events_by_ids(&self.app.billing, self.app.organization, &ids).await.unwrap() {
            assert_eq!((event.status, event.reason), (EventStatus::Processed, None), "{:?}", event.detail);
        }
    }

    fn refund(&self, number: u32, on: &str, minor: i64) -> Value {
        let at = unix(on);
        let refund = json!({ "object": "refund", "id": format!("re_{number}_{at}"), "amount": minor, "created": at,
            "currency": self.currency.code().to_lowercase(), "charge": format!("ch_{number}"),
            "payment_intent": format!("pi_{number}"), "status": "succeeded", "metadata": {} });
        event(&format!("evt_refund_{number}_{at}"), "refund.created", at, &refund)
    }

    /// Part of what the customer paid goes back.
    async fn refunded(&self, number: u32, on: &str, minor: i64) {
        self.app.on(on);
        self.desk.deliver(&self.refund(number, on, minor)).await;
    }

    async fn details(&self) {
        let input =
            NewPayoutDetails { partner: self.partner.id, holder: "Partner P-1 ApS".to_owned(), iban: IBAN.to_owned() };
        payouts::set_details(&self.app.billing, &self.app.caller(), &input).await.unwrap();
        payouts::verify_details(&self.app.billing, &self.app.caller(), self.partner.id).await.unwrap();
    }

    async fn try_open(&self, key: &str) -> Result<PayoutRun, Error> {
        let input = NewPayoutRun { program: self.program.id, run_key: key.to_owned(), cut_off: None };
        payouts::open(&self.app.billing, &self.app.caller(), &input).await.map(billing::Applied::into_inner)
    }

    async fn open(&self, on: &str, key: &str) -> PayoutRun {
        self.app.on(on);
        self.try_open(key).await.unwrap()
    }

    /// Opens, approves and sends a run, and has all of it paid.
    async fn pay_out(&self, on: &str, key: &str) -> Vec<Payout> {
        let run = self.open(on, key).await;
        let (billing, caller) = (&self.app.billing, self.app.caller());
        payouts::approve(billing, &caller, run.id, None).await.unwrap();
        payouts::mark_sent(billing, &caller, run.id).await.unwrap();
        payouts::mark_all_paid(billing, &caller, run.id, date(on), "Bank 1").await.unwrap();
        self.app.verify().await;
        self.payouts(run.id).await
    }

    async fn payouts(&self, run: PayoutRunId) -> Vec<Payout> {
        let filter = PayoutFilter { run: Some(run), ..PayoutFilter::default() };
        let page = Page::new(None, 100);
        payouts::list(&self.app.billing, self.app.organization, &page, &filter).await.unwrap().items
    }

    async fn left_out(&self, run: PayoutRunId) -> Vec<(LeftOut, i64)> {
        let page = Page::new(None, 100);
        let rows = payouts::left_out(&self.app.billing, self.app.organization, run, &page).await.unwrap().items;
        rows.iter().map(|row| (row.reason, row.balance_minor)).collect()
    }

    async fn balance(&self) -> Balance {
        let found = payouts::balances_of(&self.app.billing, self.app.organization, &[self.enrollment.id]).await;
        found.unwrap()[0]
    }

    /// Held, payable, owed, in payouts and paid.
    async fn amounts(&self) -> [i64; 5] {
        let balance = self.balance().await;
        [balance.held, balance.payable, balance.debt, balance.in_payout, balance.paid].map(|money| money.minor)
    }

    async fn statements(&self) -> Vec<Statement> {
        let page = Page::new(None, 100);
        let filter = StatementFilter::default();
        let mut all =
            payouts::list_statements(&self.app.billing, self.app.organization, &page, &filter).await.unwrap().items;
        all.reverse();
        all
    }
}

fn unix(day: &str) -> i64 {
    format!("{day}T12:00:00Z").parse::<Timestamp>().unwrap().microseconds() / 1_000_000
}

/// Somebody else than the operator.
fn colleague(app: &App) -> Caller {
    Caller { organization: app.organization, actor: Actor::ApiKey(ApiKeyId::new()), key: None }
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(Error::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn from_the_payment_to_the_bank_by_four_eyes() {
    story(async |app| {
        let app = App::with(app.billing.db.clone(), |input| input.payout_four_eyes = Some(true)).await;
        let (billing, caller) = (&app.billing, app.caller());
        let scheme = Scheme::of(&app, plain_terms()).await;
        scheme.paid(1, "2026-01-10", 10_000).await;
        assert_eq!(scheme.amounts().await, [2000, 0, 0, 0, 0], "held to the end of the day");
        assert_eq!(payouts::mature(billing, app.organization).await.unwrap(), 0);
        app.on("2026-01-11");
        assert_eq!(payouts::mature(billing, app.organization).await.unwrap(), 1);
        assert_eq!(payouts::mature(billing, app.organization).await.unwrap(), 0, "twice is once");
        assert_eq!(scheme.amounts().await, [0, 2000, 0, 0, 0]);
        app.verify().await;

        let run = scheme.open("2026-02-02", "2026-01").await;
        assert_eq!((run.status, run.cut_off), (RunStatus::Draft, date("2026-01-31")));
        assert_eq!(scheme.left_out(run.id).await, [(LeftOut::DetailsMissing, 2000)]);
        assert_eq!(code(scheme.try_open("2026-01").await), "PAYOUT_RUN_EXISTS");
        let statement = scheme.statements().await.remove(0);
        assert_eq!((statement.month, statement.earned_minor, statement.balance_minor), (month("2026-01"), 2000, 2000));
        scheme.details().await;
        payouts::recompute(billing, &caller, run.id).await.unwrap();
        let draft = scheme.payouts(run.id).await.remove(0);
        assert_eq!((draft.status, draft.net_minor), (PayoutStatus::Draft, 2000));
        assert!(scheme.left_out(run.id).await.is_empty());

        assert_eq!(code(payouts::approve(billing, &caller, run.id, None).await), "FOUR_EYES_REQUIRED");
        let other = colleague(&app);
        assert_eq!(code(payouts::approve(billing, &other, run.id, Some(eur(1999))).await), "PAYOUT_RUN_CHANGED");
        assert_eq!(code(payouts::export(billing, &caller, run.id).await), "PAYOUT_RUN_STATUS");
        let approved = payouts::approve(billing, &other, run.id, Some(eur(2000))).await.unwrap().into_inner();
        assert_eq!(approved.approved_by, Some(other.actor.to_string()));
        assert_eq!(payouts::approve(billing, &other, run.id, None).await.unwrap().into_inner(), approved);
        assert_eq!(scheme.amounts().await, [0, 0, 0, 2000, 0]);
        assert_eq!(scheme.payouts(run.id).await[0].id, draft.id, "a payout keeps its id when it is approved");
        app.verify().await;
        payouts::return_to_draft(billing, &caller, run.id).await.unwrap();
        assert_eq!(scheme.amounts().await, [0, 2000, 0, 0, 0]);
        app.verify().await;
        payouts::approve(billing, &other, run.id, Some(eur(2000))).await.unwrap();

        let file = payouts::export(billing, &caller, run.id).await.unwrap().into_inner();
        assert!(file.csv.contains("DK5000400440116243,20.00,EUR"), "{}", file.csv);
        assert_eq!(file.control_total, eur(2000));
        let payout = scheme.payouts(run.id).await.remove(0);
        assert_eq!(payout.iban.as_ref().unwrap().masked(), "DK** **** 6243");
        let paid = payouts::mark_paid(billing, &caller, payout.id, date("2026-02-02"), "").await;
        assert_eq!(code(paid), "PAYOUT_STATUS", "not sent yet");
        payouts::mark_sent(billing, &caller, run.id).await.unwrap();
        assert_eq!(code(payouts::return_to_draft(billing, &caller, run.id).await), "PAYOUT_RUN_STATUS");
        for _ in 0..2 {
            let paid = payouts::mark_paid(billing, &caller, payout.id, date("2026-02-02"), "B-1").await.unwrap();
            assert_eq!(paid.into_inner().status, PayoutStatus::Paid);
        }
        assert_eq!(code(payouts::mark_unknown(billing, &caller, payout.id).await), "PAYOUT_STATUS");
        assert_eq!(scheme.amounts().await, [0, 0, 0, 0, 2000]);
        app.verify().await;
    });
}

#[test]
fn a_refund_after_the_payout_is_a_debt_that_the_next_one_nets() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        scheme.details().await;
        scheme.paid(1, "2026-01-10", 10_000).await;
        let first = scheme.pay_out("2026-02-02", "2026-01").await;
        assert_eq!(first[0].net_minor, 2000);
        scheme.paid(2, "2026-02-10", 20_000).await;
        scheme.refunded(1, "2026-02-15", 5_000).await;
        // Held clawbacks lower what is held, and no statement shows them by themselves.
        scheme.refunded(2, "2026-02-10", 2_500).await;
        assert_eq!(scheme.amounts().await, [3500, 0, 1000, 0, 2000]);
        app.verify().await;
        let second = scheme.pay_out("2026-03-02", "2026-02").await;
        let figures = (second[0].payable_minor, second[0].offset_minor, second[0].net_minor);
        assert_eq!(figures, (3500, 1000, 2500));
        assert_eq!(scheme.amounts().await, [0, 0, 0, 0, 4500]);
        let told: Vec<_> = scheme.statements().await.iter().map(figures_of).collect();
        assert_eq!(told, [(0, 2000, 0, 2000), (0, 3500, 1000, 2500)]);
        // Nothing new: no statement, no payout, nobody left out.
        let third = scheme.open("2026-04-02", "2026-03").await;
        assert_eq!(scheme.statements().await.len(), 2);
        assert!(scheme.payouts(third.id).await.is_empty() && scheme.left_out(third.id).await.is_empty());
        app.verify().await;
    });
}

/// Carried, earned, clawed back, balance.
fn figures_of(statement: &Statement) -> (i64, i64, i64, i64) {
    (statement.carried_minor, statement.earned_minor, statement.clawed_back_minor, statement.balance_minor)
}

#[test]
fn what_fails_is_payable_again_and_what_nobody_knows_waits_for_proof() {
    story(async |app| {
        let (billing, caller) = (&app.billing, app.caller());
        let scheme = Scheme::of(&app, plain_terms()).await;
        scheme.details().await;
        scheme.paid(1, "2026-01-10", 10_000).await;
        let run = scheme.open("2026-02-02", "2026-01").await;
        payouts::approve(billing, &caller, run.id, None).await.unwrap();
        payouts::mark_sent(billing, &caller, run.id).await.unwrap();
        let payout = scheme.payouts(run.id).await.remove(0).id;
        payouts::mark_unknown(billing, &caller, payout).await.unwrap();
        let blind = payouts::mark_failed(billing, &caller, payout, "not there", "").await;
        assert_eq!(code(blind), "INVALID", "no proof");
        payouts::mark_all_paid(billing, &caller, run.id, date("2026-02-02"), "").await.unwrap();
        assert_eq!(scheme.payouts(run.id).await[0].status, PayoutStatus::Unknown);
        payouts::mark_paid(billing, &caller, payout, date("2026-02-02"), "B-77").await.unwrap();
        // The partner's bank sends it back; with it comes the debt that it had netted, here none.
        for _ in 0..2 {
            let failed = payouts::mark_failed(billing, &caller, payout, "account closed", "").await.unwrap();
            assert_eq!(failed.into_inner().status, PayoutStatus::Failed);
        }
        assert_eq!(scheme.amounts().await, [0, 2000, 0, 0, 0]);
        app.verify().await;
        // A new account has to be verified first.
        let new = NewPayoutDetails {
            partner: scheme.partner.id,
            holder: "Partner P-1 ApS".to_owned(),
            iban: "DE89 3704 0044 0532 0130 00".to_owned(),
        };
        payouts::set_details(billing, &caller, &new).await.unwrap();
        let again = scheme.open("2026-02-03", "again").await;
        assert_eq!(scheme.left_out(again.id).await, [(LeftOut::DetailsUnverified, 2000)]);
        payouts::cancel(billing, &caller, again.id).await.unwrap();
        payouts::verify_details(billing, &caller, scheme.partner.id).await.unwrap();
        let paid = scheme.pay_out("2026-02-04", "third").await;
        assert_eq!((paid[0].net_minor, paid[0].status), (2000, PayoutStatus::Paid));
    });
}

#[test]
fn the_threshold_carries_and_the_end_pays_everything() {
    story(async |app| {
        let terms = Terms { payout_threshold_minor: 2500, hold_days: 5, ..plain_terms() };
        let scheme = Scheme::of(&app, terms).await;
        scheme.details().await;
        scheme.paid(1, "2026-01-10", 10_000).await;
        let run = scheme.open("2026-02-02", "2026-01").await;
        assert_eq!((run.threshold_minor, scheme.left_out(run.id).await), (2500, vec![(LeftOut::BelowThreshold, 2000)]));
        // Paid late in the month: held over its end, it is on the next statement.
        scheme.paid(2, "2026-02-27", 5_000).await;
        let run = scheme.open("2026-03-04", "2026-02").await;
        assert_eq!(scheme.left_out(run.id).await, [(LeftOut::BelowThreshold, 2000)]);
        partners::set_status(&app.billing, &app.caller(), scheme.partner.id, PartnerStatus::Suspended, None)
            .await
            .unwrap();
        app.on("2026-03-10");
        assert_eq!(payouts::mature(&app.billing, app.organization).await.unwrap(), 0, "nothing ripens");
        let run = scheme.open("2026-04-02", "2026-03").await;
        assert_eq!(scheme.left_out(run.id).await, [(LeftOut::PartnerSuspended, 2000)]);
        let (end, caller) = (Some(date("2026-04-03")), app.caller());
        partners::set_status(&app.billing, &caller, scheme.partner.id, PartnerStatus::Terminated, end).await.unwrap();
        let last = scheme.pay_out("2026-05-02", "2026-04").await;
        assert_eq!(last[0].net_minor, 3000, "without a threshold");
        assert_eq!(scheme.amounts().await, [0, 0, 0, 0, 3000]);
    });
}

#[test]
fn a_clawback_meets_the_approval_in_the_payout_or_as_a_debt() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        scheme.details().await;
        for round in 1..=6_u32 {
            let day = format!("2026-{round:02}-10");
            scheme.paid(round, &day, 10_000).await;
            let next = format!("2026-{:02}-02", round + 1);
            let run = scheme.open(&next, &format!("run {round}")).await;
            let refund = scheme.refund(round, &next, 10_000);
            scheme.desk.post(0, &refund).await;
            let (billing, caller) = (&app.billing, app.caller());
            let (approved, ()) =
                tokio::join!(payouts::approve(billing, &caller, run.id, None), scheme.desk.process(&refund));
            approved.unwrap();
            let payouts = scheme.payouts(run.id).await;
            let [held, payable, debt, in_payout, _] = scheme.amounts().await;
            let taken: i64 = payouts.iter().map(|payout| payout.net_minor).sum();
            // Earned and taken back: what is out is owed, and nothing is left over.
            assert_eq!((held, payable, debt - in_payout), (0, 0, 0), "round {round}: {taken} taken");
            app.verify().await;
            if !payouts.is_empty() {
                payouts::return_to_draft(billing, &caller, run.id).await.unwrap();
                assert_eq!(scheme.left_out(run.id).await.len(), 1, "in debt by what is payable");
                // The debt and what is payable again are equal; the next round begins with both.
                break;
            }
        }
        app.verify().await;
    });
}

#[test]
fn credit_pays_the_next_invoice_and_its_vat_stays() {
    story(async |app| {
        let scheme = Scheme::with(&app, Currency::DKK, plain_terms(), SettlementMode::Credit).await;
        app.tiers("2026-01").await;
        let plan = app.plan("pro", Pricing::PerSeat).await;
        app.prices("2025-01-01", &[(&plan, dkk(10_000))]).await;
        let customer = app.customer("C-1", Some(scheme.partner.id)).await;
        app.subscribe("S-1", &customer, &plan, "2026-01-01", 8).await;
        scheme.paid(1, "2026-01-10", 100_000).await;
        app.on("2026-01-15");
        payouts::mature(&app.billing, app.organization).await.unwrap();
        app.on("2026-02-01").run("2026-01", Goal::Finalized).await;
        let invoice = app.invoices().await.remove(0);
        assert_eq!((invoice.gross_total_minor, invoice.vat_total_minor), (85_000, 17_000));
        assert_eq!(due(&app, &invoice).await, (PaymentStatus::PartiallyPaid, 65_000));
        assert_eq!(scheme.amounts().await, [0, 0, 0, 0, 20_000]);
        app.verify().await;
        let payment = payments::of_invoices(&app.billing, app.organization, &[invoice.id]).await.unwrap().remove(0);
        let (reason, on) = (ReversalReason::Mistake, date("2026-02-01"));
        let back = payments::reverse_payment(&app.billing, &app.caller(), payment.id, reason, on).await;
        assert_eq!(code(back), "PAID_BY_COMMISSION");
        // No run pays what is credited.
        let run = scheme.open("2026-02-02", "2026-01").await;
        assert!(scheme.payouts(run.id).await.is_empty() && scheme.left_out(run.id).await.is_empty());

        // A refund after the credit is netted by the next one, and no more is taken than the invoice needs.
        scheme.refunded(1, "2026-02-05", 50_000).await;
        scheme.paid(2, "2026-02-10", 600_000).await;
        app.on("2026-02-20");
        payouts::mature(&app.billing, app.organization).await.unwrap();
        app.on("2026-03-01").run("2026-02", Goal::Finalized).await;
        let second = app.invoices().await.remove(1);
        assert_eq!(due(&app, &second).await, (PaymentStatus::Paid, 0));
        assert_eq!(scheme.amounts().await, [0, 25_000, 0, 0, 105_000], "120 000 less a debt of 10 000 and 85 000");
        app.verify().await;
        let filter = PayoutFilter { enrollment: Some(scheme.enrollment.id), ..PayoutFilter::default() };
        let page = Page::new(None, 100);
        let credits = payouts::list(&app.billing, app.organization, &page, &filter).await.unwrap().items;
        let figures: Vec<_> = credits.iter().map(|one| (one.payable_minor, one.offset_minor, one.net_minor)).collect();
        assert_eq!(figures, [(95_000, 10_000, 85_000), (20_000, 0, 20_000)]);
        assert_eq!(
            code(payouts::mark_failed(&app.billing, &app.caller(), credits[0].id, "x", "y").await),
            "PAYOUT_STATUS"
        );
    });
}

/// Where an invoice stands.
async fn due(app: &App, invoice: &billing::invoicing::documents::Invoice) -> (PaymentStatus, i64) {
    let found = payments::settlements_of(&app.billing, app.organization, &[invoice.id]).await.unwrap().remove(0);
    (found.status, found.due.minor)
}

#[test]
fn statements_are_made_once_and_only_of_months_that_are_over() {
    story(async |app| {
        let scheme = Scheme::of(&app, plain_terms()).await;
        scheme.paid(1, "2026-01-10", 10_000).await;
        scheme.paid(2, "2026-02-10", 10_000).await;
        let early = payouts::make_statements(&app.billing, &app.caller(), month("2026-02")).await;
        assert!(matches!(early, Err(Error::Refused(Refusal::MonthNotOver { .. }))), "{early:?}");
        app.on("2026-03-15");
        let made = payouts::make_statements(&app.billing, &app.caller(), month("2026-02")).await.unwrap();
        // Nobody let anything ripen: what was ripe by the end of February stands on its statement.
        assert_eq!(made.into_inner(), 1);
        assert_eq!(payouts::make_due_statements(&app.billing, app.organization).await.unwrap(), 0);
        let told: Vec<_> = scheme.statements().await.iter().map(figures_of).collect();
        assert_eq!(told, [(0, 4000, 0, 4000)]);
        let statement = scheme.statements().await.remove(0);
        let page = Page::new(None, 1);
        let first = payouts::statement_entries(&app.billing, app.organization, statement.id, &page).await.unwrap();
        assert_eq!((first.items[0].amount(), first.has_next), (Money::new(2000, Currency::EUR), true));
        app.verify().await;
    });
}
