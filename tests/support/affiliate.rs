//! What stories about commissions need: a programme, partners in it, customers credited to them.

use billing::attribution::{self, ByHand};
use billing::customers::{Customer, NewCustomer};
use billing::programs::enrollments::{self, Enrollment, NewEnrollment};
use billing::programs::terms::{
    AttributionTerms, CommissionBase, Overrides, Phase, ProgramTier, Reward, SelfReferral, SettlementMode, Terms,
    TouchSource, Trigger, Window,
};
use billing::programs::{self, NewProgram, Program, versions};
use billing::stripe::DisputePolicy;
use billing_primitives::{BasisPoints, Currency, CustomerId, EnrollmentId, PartnerId};

use crate::app::{App, date};

/// `bps` from a month of the customer on.
pub fn percent(from_month: u32, bps: i64) -> Phase {
    Phase { from_month, reward: Reward::Percent(BasisPoints::new(bps).expect("a rate")) }
}

/// 20 % of every payment for ever, one level, no hold, no threshold.
pub fn plain_terms() -> Terms {
    let tier = ProgramTier {
        code: "START".to_owned(),
        name: "Start".to_owned(),
        converted_customers: 0,
        net_revenue_minor: 0,
        phases: vec![percent(1, 2000)],
    };
    let sources = [
        TouchSource::Code,
        TouchSource::PromotionCode,
        TouchSource::ClaimLink,
        TouchSource::LeadForm,
        TouchSource::Link,
        TouchSource::LandingPage,
    ];
    Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers: vec![tier],
        plan_rules: Vec::new(),
        upline: Vec::new(),
        max_share: BasisPoints::new(10_000).expect("a share"),
        hold_days: 0,
        cancellation_window_days: None,
        disputes: DisputePolicy::ReverseAtOnce,
        attribution: AttributionTerms {
            sources: sources.map(|source| Window { source, days: 30 }).to_vec(),
            self_referral: SelfReferral::Block,
        },
        payout_threshold_minor: 0,
        payout_schedule: None,
    }
}

impl App {
    /// A programme in EUR whose first version holds from 2020 on.
    pub async fn program(&self, external_id: &str, terms: Terms) -> Program {
        self.program_in(external_id, Currency::EUR, terms).await
    }

    pub async fn program_in(&self, external_id: &str, currency: Currency, terms: Terms) -> Program {
        let input = NewProgram {
            external_id: external_id.to_owned(),
            name: external_id.to_owned(),
            currency,
            is_default: false,
            terms: Some(terms),
        };
        let made = programs::create(&self.billing, &self.caller(), &input).await.expect("a programme").into_inner();
        versions::publish(&self.billing, &self.caller(), made.id, date("2020-01-01")).await.expect("a version");
        made
    }

    /// Enrolls a partner from 2020 on, paid by payout runs.
    pub async fn enroll(&self, program: &Program, partner: PartnerId) -> Enrollment {
        self.enroll_as(program, partner, SettlementMode::Payout).await
    }

    pub async fn enroll_as(&self, program: &Program, partner: PartnerId, settlement: SettlementMode) -> Enrollment {
        let input = NewEnrollment {
            program: program.id,
            partner,
            enrolled_from: Some(date("2020-01-01")),
            settlement,
            overrides: Overrides::default(),
        };
        enrollments::enroll(&self.billing, &self.caller(), &input).await.expect("an enrollment").into_inner()
    }

    /// A direct customer that Stripe bills.
    pub async fn stripe_customer(&self, external_id: &str, stripe_id: &str) -> Customer {
        let input = NewCustomer {
            external_id: external_id.to_owned(),
            name: format!("Kunde {external_id}"),
            country: None,
            email: None,
            stripe_customer_id: Some(stripe_id.to_owned()),
            owner: None,
            owned_from: date("2020-01-01"),
        };
        billing::customers::create(&self.billing, &self.caller(), &input).await.expect("a customer").into_inner()
    }

    /// Credits a customer by hand from a day on.
    pub async fn attribute(&self, customer: CustomerId, enrollment: EnrollmentId, from: &str) {
        let input =
            ByHand { customer, enrollment: Some(enrollment), from: date(from), reason: "the story says so".to_owned() };
        attribution::attribute(&self.billing, &self.caller(), &input).await.expect("an attribution");
    }
}
