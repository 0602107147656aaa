//! A programme in EUR with its partners, and Stripe telling what their customers pay: the stage of commission stories.

use billing::Page;
use billing::commissions::{self, Commission, CommissionFilter, Entry};
use billing::customers::Customer;
use billing::inbox::{self, EventReason, StripeEvent};
use billing::partners::{Partner, PartnerProfile};
use billing::payouts::{
    self, LeftOut, NewPayoutDetails, NewPayoutRun, Payout, PayoutFilter, PayoutRun, StatementFilter,
};
use billing::programs::Program;
use billing::programs::enrollments::{self, Enrollment, NewEnrollment};
use billing::programs::terms::{Overrides, SettlementMode, Terms};
use billing_primitives::{EnrollmentId, PartnerId, PayoutRunId};
use serde_json::Value;

use crate::app::{App, date};
use crate::desk::Desk;

/// An account to which payouts may go.
const IBAN: &str = "DK50 0040 0440 1162 43";

pub struct Scheme {
    pub app: App,
    pub desk: Desk,
    pub program: Program,
}

/// A partner in the programme.
pub struct Member {
    pub partner: Partner,
    pub enrollment: Enrollment,
}

impl Member {
    pub fn id(&self) -> EnrollmentId {
        self.enrollment.id
    }
}

/// What one partner earns at one level of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub level: i32,
    pub earned: i64,
    pub reversed: i64,
}

/// Short for [`Share`].
pub fn share(level: i32, earned: i64, reversed: i64) -> Share {
    Share { level, earned, reversed }
}

impl Scheme {
    pub async fn of(app: &App, terms: Terms) -> Scheme {
        let program = app.program("AFF", terms).await;
        Scheme { desk: Desk::of(app, 1).await, app: app.clone(), program }
    }

    /// A partner that was recruited by another one, and may be paid.
    pub async fn member(&self, external_id: &str, parent: Option<&Member>) -> Member {
        self.member_as(external_id, parent, SettlementMode::Payout, Overrides::default()).await
    }

    pub async fn member_as(
        &self,
        external_id: &str,
        parent: Option<&Member>,
        settlement: SettlementMode,
        overrides: Overrides,
    ) -> Member {
        let parent = parent.map(|parent| parent.partner.id);
        let partner = self.app.partner_as(PartnerProfile { parent, ..App::profile(external_id) }).await;
        let (program, enrolled_from) = (self.program.id, Some(date("2020-01-01")));
        let input = NewEnrollment { program, partner: partner.id, enrolled_from, settlement, overrides };
        let made = enrollments::enroll(&self.app.billing, &self.app.caller(), &input).await;
        self.details(partner.id).await;
        Member { partner, enrollment: made.expect("an enrollment").into_inner() }
    }

    async fn details(&self, partner: PartnerId) {
        let input = NewPayoutDetails { partner, holder: "Partner ApS".to_owned(), iban: IBAN.to_owned() };
        let (billing, caller) = (&self.app.billing, self.app.caller());
        payouts::set_details(billing, &caller, &input).await.expect("details");
        payouts::verify_details(billing, &caller, partner).await.expect("verified details");
    }

    /// A customer that Stripe bills as `cus_EXTERNAL-ID`, credited to a partner since 2020.
    pub async fn customer(&self, external_id: &str, of: &Member) -> Customer {
        let customer = self.app.stripe_customer(external_id, &format!("cus_{external_id}")).await;
        self.app.attribute(customer.id, of.id(), "2020-01-01").await;
        customer
    }

    /// On a day all of this is delivered and processed.
    pub async fn tell(&self, on: &str, events: impl IntoIterator<Item = Value>) {
        self.app.on(on);
        for event in events {
            self.desk.deliver(&event).await;
        }
    }

    /// How an event ended.
    pub async fn event(&self, event: &Value) -> StripeEvent {
        let ids = [event["id"].as_str().expect("an id").to_owned()];
        let found = inbox::events_by_ids(&self.app.billing, self.app.organization, &ids).await.expect("events");
        found.into_iter().next().expect("the event")
    }

    pub async fn reason(&self, event: &Value) -> Option<EventReason> {
        self.event(event).await.reason
    }

    /// The commissions of the organization, in the order in which they were made.
    pub async fn commissions(&self, filter: &CommissionFilter) -> Vec<Commission> {
        let mut all: Vec<Commission> = Vec::new();
        loop {
            let page = Page::new(all.last().map(|last| last.id), 500);
            let slice = commissions::list(&self.app.billing, self.app.organization, &page, filter).await;
            let slice = slice.expect("commissions");
            all.extend(slice.items);
            if !slice.has_next {
                all.reverse();
                return all;
            }
        }
    }

    /// What a partner earns on one Stripe invoice, or on the conversion of a customer; what came to nothing left out.
    pub async fn shares(&self, of: &Member, source: &str) -> Vec<Share> {
        let (enrollment, source_id) = (Some(of.id()), Some(source.to_owned()));
        let found = self.commissions(&CommissionFilter { enrollment, source_id, ..CommissionFilter::default() }).await;
        let shares = found.iter().map(|one| share(one.level, one.earned_minor, one.reversed_minor));
        shares.filter(|share| share.earned != 0).collect()
    }

    /// The steps of everything a partner has earned on a source.
    pub async fn entries(&self, of: &Member, source: &str) -> Vec<Entry> {
        let (enrollment, source_id) = (Some(of.id()), Some(source.to_owned()));
        let found = self.commissions(&CommissionFilter { enrollment, source_id, ..CommissionFilter::default() }).await;
        let ids: Vec<_> = found.iter().map(|one| one.id).collect();
        commissions::entries_of(&self.app.billing, self.app.organization, &ids).await.expect("entries")
    }

    /// Held, payable, owed, in payouts and paid.
    pub async fn amounts(&self, of: &Member) -> [i64; 5] {
        let found = payouts::balances_of(&self.app.billing, self.app.organization, &[of.id()]).await;
        let balance = found.expect("a balance")[0];
        [balance.held, balance.payable, balance.debt, balance.in_payout, balance.paid].map(|money| money.minor)
    }

    /// Month, carried, earned, clawed back and balance of each statement.
    pub async fn statements(&self, of: &Member) -> Vec<(String, [i64; 4])> {
        let filter = StatementFilter { enrollment: Some(of.id()), ..StatementFilter::default() };
        let page = Page::new(None, 100);
        let found = payouts::list_statements(&self.app.billing, self.app.organization, &page, &filter).await;
        let told = found.expect("statements").items.into_iter().rev().map(|one| {
            let figures = [one.carried_minor, one.earned_minor, one.clawed_back_minor, one.balance_minor];
            (one.month.to_string(), figures)
        });
        told.collect()
    }

    /// Lets ripen what may; returns how many commissions did.
    pub async fn mature(&self, on: &str) -> usize {
        self.app.on(on);
        payouts::mature(&self.app.billing, self.app.organization).await.expect("maturity")
    }

    /// Opens a run; its cut-off is the end of the month before.
    pub async fn open(&self, on: &str) -> PayoutRun {
        self.app.on(on);
        let input = NewPayoutRun { program: self.program.id, run_key: on.to_owned(), cut_off: None };
        payouts::open(&self.app.billing, &self.app.caller(), &input).await.expect("a run").into_inner()
    }

    /// Opens, approves and sends a run, and has all of it paid.
    pub async fn pay_out(&self, on: &str) -> Vec<Payout> {
        let run = self.open(on).await;
        let (billing, caller) = (&self.app.billing, self.app.caller());
        payouts::approve(billing, &caller, run.id, None).await.expect("an approval");
        payouts::mark_sent(billing, &caller, run.id).await.expect("a sent run");
        payouts::mark_all_paid(billing, &caller, run.id, date(on), "Bank 1").await.expect("a paid run");
        self.payouts(run.id).await
    }

    pub async fn payouts(&self, run: PayoutRunId) -> Vec<Payout> {
        let filter = PayoutFilter { run: Some(run), ..PayoutFilter::default() };
        let page = Page::new(None, 100);
        payouts::list(&self.app.billing, self.app.organization, &page, &filter).await.expect("payouts").items
    }

    /// Who gets nothing, and the balance.
    pub async fn left_out(&self, run: PayoutRunId) -> Vec<(LeftOut, i64)> {
        let page = Page::new(None, 100);
        let rows = payouts::left_out(&self.app.billing, self.app.organization, run, &page).await.expect("rows").items;
        rows.iter().map(|row| (row.reason, row.balance_minor)).collect()
    }
}
