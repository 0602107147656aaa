//! Who plays in the demonstration's affiliate side: the programme, the partners in it, and the customers they brought.
//!
//! Everybody is invented. Months are counted from the first one of the story, which is 0.

use billing::programs::terms::{
    AttributionTerms, CommissionBase, Phase, ProgramTier, Reward, SelfReferral, Terms, TouchSource, Trigger, Window,
};
use billing::stripe::DisputePolicy;
use billing_primitives::{BasisPoints, RateError};

/// Months of the story; the last one is the last that is over. Two more than a year, so that the first customer earns
/// less at the end.
pub const MONTHS: usize = 14;

/// The programme.
pub const PROGRAM: &str = "soelvranke-partner";
pub const PROGRAM_NAME: &str = "Sølvranke Partnerprogram";

/// The name of the endpoint that Stripe posts to.
pub const ENDPOINT: &str = "demo";

/// A partner of the example that is in the programme.
pub struct Member {
    pub external_id: &'static str,
    pub holder: &'static str,
    /// Of an account that does not exist; its check digits are right.
    pub iban: &'static str,
}

/// The second one was recruited by the first one, as the example's `partners.csv` says.
pub static MEMBERS: [Member; 3] = [
    Member { external_id: "P-1002", holder: "Østerbølge Consult A/S", iban: "DK3399990410077314" },
    Member { external_id: "P-1008", holder: "Grænselyng Softwarehus ApS", iban: "DK2099990522018846" },
    Member { external_id: "P-1001", holder: "Fjordhavn IT-Partner ApS", iban: "DK5899990633104502" },
];

/// How a customer came to be credited to a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It typed the partner's code when it registered.
    Code,
    /// It followed the partner's link, and registered as the same visitor.
    Link,
    /// It left its address with the partner's form, and registered with it.
    Lead,
    /// The partner prepared it, and it used the link.
    Claim,
    /// It registered without a trace; somebody credits it in a later month, back to its registration.
    ByHand { in_month: usize },
}

/// A customer that Stripe bills.
pub struct Buyer {
    pub external_id: &'static str,
    pub name: &'static str,
    pub email: &'static str,
    /// The partner that brought it.
    pub partner: &'static str,
    pub way: Way,
    /// The month in which it registers and pays first.
    pub from: usize,
    /// Net of a month, in øre; 25 % VAT comes on top.
    pub net: i64,
}

impl Buyer {
    /// Its id at Stripe.
    pub fn stripe_id(&self) -> String {
        format!("cus_demo_{}", self.tag())
    }

    /// What the ids of its objects at Stripe have in common.
    pub fn tag(&self) -> String {
        self.external_id.replace('-', "")
    }

    /// What it pays for a month, with VAT.
    pub fn gross(&self) -> i64 {
        self.net + self.net / 4
    }
}

pub static BUYERS: [Buyer; 6] = [
    Buyer {
        external_id: "A-5001",
        name: "Vejrhanens Tagdækning ApS",
        email: "kontor@vejrhanen.example",
        partner: "P-1002",
        way: Way::Code,
        from: 0,
        net: 450_000,
    },
    Buyer {
        external_id: "A-5002",
        name: "Lærkesangens Børnehus",
        email: "leder@laerkesangen.example",
        partner: "P-1002",
        way: Way::Link,
        from: 1,
        net: 298_000,
    },
    Buyer {
        external_id: "A-5003",
        name: "Digemosens Gartneri I/S",
        email: "mail@digemosen.example",
        partner: "P-1008",
        way: Way::Claim,
        from: 2,
        net: 360_000,
    },
    Buyer {
        external_id: "A-5004",
        name: "Rimfrost Køleteknik A/S",
        email: "post@rimfrost-koel.example",
        partner: "P-1001",
        way: Way::ByHand { in_month: 3 },
        from: 1,
        net: 238_500,
    },
    Buyer {
        external_id: "A-5005",
        name: "Hyldebjerg Dyreklinik ApS",
        email: "klinik@hyldebjerg.example",
        partner: "P-1001",
        way: Way::Code,
        from: 4,
        net: 159_000,
    },
    Buyer {
        external_id: "A-5006",
        name: "Sejlmager Tjørnelund ApS",
        email: "loft@tjoernelund-sejl.example",
        partner: "P-1002",
        way: Way::Lead,
        from: 3,
        net: 510_000,
    },
];

/// Part of a payment that goes back.
pub struct Return {
    pub buyer: &'static str,
    /// The month whose payment it is about.
    pub paid_in: usize,
    /// When it happens.
    pub month: usize,
    pub day: i32,
    /// Gross, in øre.
    pub amount: i64,
}

/// Two fifths of what A-5005 paid in a month go back before anything of it is payable.
pub const REFUND: Return = Return { buyer: "A-5005", paid_in: 9, month: 9, day: 21, amount: 79_500 };

/// The bank of A-5002 takes all of a payment back, long after its commission was paid out: a debt.
pub const CHARGEBACK: Return = Return { buyer: "A-5002", paid_in: 10, month: 13, day: 16, amount: 372_500 };

/// 20 % for a customer's first twelve months and 10 % after that, more for whoever brings more.
///
/// # Errors
/// None: the rates are rates.
pub fn terms() -> Result<Terms, RateError> {
    let phase = |from_month, bps| Ok(Phase { from_month, reward: Reward::Percent(BasisPoints::new(bps)?) });
    let tier = |code: &str, name: &str, converted_customers, first, later| {
        let phases = vec![phase(1, first)?, phase(13, later)?];
        let (code, name) = (code.to_owned(), name.to_owned());
        Ok(ProgramTier { code, name, converted_customers, net_revenue_minor: 0, phases })
    };
    let window = |source, days| Window { source, days };
    Ok(Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers: vec![tier("START", "Start", 0, 2000, 1000)?, tier("PLUS", "Plus", 3, 2500, 1250)?],
        plan_rules: Vec::new(),
        upline: vec![BasisPoints::new(1000)?],
        max_share: BasisPoints::new(3000)?,
        hold_days: 30,
        cancellation_window_days: Some(14),
        disputes: DisputePolicy::ReverseAtOnce,
        attribution: AttributionTerms {
            sources: vec![
                window(TouchSource::ClaimLink, 90),
                window(TouchSource::Code, 90),
                window(TouchSource::PromotionCode, 90),
                window(TouchSource::LeadForm, 60),
                window(TouchSource::Link, 30),
                window(TouchSource::LandingPage, 30),
            ],
            self_referral: SelfReferral::Block,
        },
        payout_threshold_minor: 50_000,
        payout_schedule: None,
    })
}
