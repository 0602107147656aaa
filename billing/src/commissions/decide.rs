//! What a source should have come to, from everything known about it. Pure: a function of the situation alone.

use billing_primitives::{
    AttributionId, Currency, CustomerId, Date, MoneyError, ProgramId, ProgramVersionId, TimeZone, Timestamp,
    round_ratio, text_enum,
};
use serde_json::{Value, json};

use super::book::SourceKind;
use super::rules::phase::month_no;
use super::rules::{Deal, Earner, Share, Source, SourceLine, Target, cancelled_inside, payable_at, targets};
use super::situation::{Earning, KnownCustomer, Situation, SourceKey, Version};
use super::store::standing::AttributionRow;
use crate::programs::terms::{CommissionBase, Terms, Trigger};
use crate::stripe::{Assessment, DisputePolicy, EligibleLine, Flag, Related, SubscriptionFact, assess};

text_enum! {
    /// Why a source earns nothing.
    pub enum Skipped {
        UnknownCustomer = "UNKNOWN_CUSTOMER",
        /// Not paid, or not converted, as far as is known.
        NotEarned = "NOT_EARNED",
        /// Nobody is credited with the customer, or no version of the programme held that day.
        NoProgram = "NO_PROGRAM",
        CurrencyMismatch = "CURRENCY_MISMATCH",
        /// A partner sold to the customer: wholesale revenue earns no commission.
        Wholesale = "WHOLESALE",
        /// The enrollment had ended, or had not begun, or its partner had left.
        NotEnrolled = "NOT_ENROLLED",
        /// The programme pays for conversions, not for payments, or the other way round.
        OtherTrigger = "OTHER_TRIGGER",
        /// A conversion needs the list price of its plan on its day.
        PriceMissing = "PRICE_MISSING",
        /// The lines of the Stripe invoice do not add up to it.
        TotalsDiffer = "TOTALS_DIFFER",
        /// The Stripe invoice holds no subscription revenue that was paid in money.
        NoRevenue = "NO_REVENUE",
    }
}

/// What the commissions of a source should be.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub customer: CustomerId,
    pub attribution: AttributionId,
    pub program: ProgramId,
    pub version: ProgramVersionId,
    pub currency: Currency,
    pub base: i64,
    pub base_reversed: i64,
    pub earned_at: Timestamp,
    pub payable_at: Timestamp,
    pub on_hold: bool,
    pub targets: Vec<Target>,
    /// How the base came about: the part of the trace that all levels share.
    pub basis: Value,
}

impl Decision {
    /// Whether a paid invoice holds nothing to earn on. One on hold may hold something yet, such as lines that are not
    /// known.
    pub fn is_without_revenue(&self, kind: SourceKind) -> bool {
        let nothing = self.base <= 0 && !self.on_hold && self.targets.iter().all(|target| target.earned == 0);
        kind == SourceKind::StripeInvoice && nothing
    }
}

/// The terms and the partners that apply to a source.
struct Bargain<'a> {
    customer: CustomerId,
    known: &'a KnownCustomer,
    attribution: &'a AttributionRow,
    program: ProgramId,
    currency: Currency,
    version: &'a Version,
    chain: &'a [Earning],
}

/// What was earned on, before anybody's rate.
struct Basis {
    base: i64,
    lines: Vec<SourceLine>,
    month_no: u32,
    reversed: Share,
    earned_at: Timestamp,
    /// From when the hold counts.
    held_from: Timestamp,
    on_hold: bool,
    told: Value,
}

/// # Errors
/// [`MoneyError::Overflow`].
pub(crate) fn decide(situation: &Situation, key: &SourceKey) -> Result<Result<Decision, Skipped>, MoneyError> {
    let bargain = match bargain(situation, key) {
        Ok(bargain) => bargain,
        Err(skipped) => return Ok(Err(skipped)),
    };
    let basis = match key.kind {
        SourceKind::StripeInvoice => of_invoice(situation, key, &bargain)?,
        SourceKind::Conversion => of_conversion(situation, key, &bargain)?,
    };
    let basis = match basis {
        Ok(basis) => basis,
        Err(skipped) => return Ok(Err(skipped)),
    };
    let terms = &bargain.version.terms;
    let chain: Vec<Earner<'_>> = bargain.chain.iter().map(|earning| earner(earning, terms)).collect();
    let source = Source {
        currency: bargain.currency,
        base: basis.base,
        lines: &basis.lines,
        month_no: basis.month_no,
        reversed: basis.reversed,
    };
    let ripe = match basis.base {
        // Below zero it counts as a clawback, and nobody waits for that.
        ..0 => basis.earned_at,
        _ => payable_at(basis.held_from, terms.hold_days, &situation.zone),
    };
    Ok(Ok(Decision {
        customer: bargain.customer,
        attribution: bargain.attribution.id,
        program: bargain.program,
        version: bargain.version.from.id,
        currency: bargain.currency,
        base: basis.base,
        base_reversed: basis.reversed.part.clamp(0, basis.base.max(0)),
        earned_at: basis.earned_at,
        payable_at: ripe,
        on_hold: basis.on_hold || situation.by_hand.get(key).is_some_and(|acts| acts.held),
        targets: targets(&source, &Deal { terms, chain: &chain })?,
        basis: basis.told,
    }))
}

fn bargain<'a>(situation: &'a Situation, key: &SourceKey) -> Result<Bargain<'a>, Skipped> {
    if key.kind == SourceKind::StripeInvoice {
        let invoice = situation.invoices.get(&key.id).ok_or(Skipped::NotEarned)?;
        let known = invoice.customer.as_ref().is_some_and(|customer| situation.ids.contains_key(customer));
        if !known {
            return Err(Skipped::UnknownCustomer);
        }
    }
    let (customer, day) = situation.day_of(key).ok_or(Skipped::NotEarned)?;
    let known = situation.customers.get(&customer).ok_or(Skipped::UnknownCustomer)?;
    let attribution = situation.attribution_of(key, customer, day).ok_or(Skipped::NoProgram)?;
    let (Some(enrollment), Some(program), Some(currency)) =
        (attribution.enrollment_id, attribution.program_id, attribution.currency)
    else {
        return Err(Skipped::NoProgram);
    };
    let version = situation.version_of(attribution, day).ok_or(Skipped::NoProgram)?;
    let chain = situation.chains.get(&(enrollment, day)).ok_or(Skipped::NotEnrolled)?;
    Ok(Bargain { customer, known, attribution, program, currency, version, chain })
}

fn earner<'a>(earning: &'a Earning, terms: &'a Terms) -> Earner<'a> {
    let lowest = terms.tiers.first().map_or("", |tier| tier.code.as_str());
    Earner {
        enrollment: earning.enrollment,
        partner: earning.partner,
        settlement: earning.settlement,
        tier: earning.tier.as_deref().unwrap_or(lowest),
        overrides: &earning.overrides,
    }
}

type Found = Result<Result<Basis, Skipped>, MoneyError>;

fn of_invoice(situation: &Situation, key: &SourceKey, bargain: &Bargain<'_>) -> Found {
    let terms = &bargain.version.terms;
    let (Some(invoice), Some(related)) = (situation.invoices.get(&key.id), situation.related.get(&key.id)) else {
        return Ok(Err(Skipped::NotEarned));
    };
    let Some(paid_at) = invoice.paid_at else { return Ok(Err(Skipped::NotEarned)) };
    if invoice.currency != bargain.currency.code() {
        return Ok(Err(Skipped::CurrencyMismatch));
    }
    if terms.trigger == Trigger::Conversion {
        return Ok(Err(Skipped::OtherTrigger));
    }
    let assessment = assess(invoice, related, terms.disputes)?;
    if assessment.flags.contains(&Flag::TotalsDiffer) {
        return Ok(Err(Skipped::TotalsDiffer));
    }
    let period_start = assessment.period_start.unwrap_or_else(|| paid_at.date_in(&situation.zone));
    if bargain.known.is_wholesale_on(period_start) {
        return Ok(Err(Skipped::Wholesale));
    }
    let anchor = bargain.known.anchor().unwrap_or(period_start);
    let month_no = month_no(anchor, period_start);
    let cancelled = cancelled_base(&situation.zone, bargain.known, terms, &assessment)?;
    let gone = gone(situation, key, &assessment, cancelled);
    let mut told = told(&assessment, related);
    told["anchor"] = json!(anchor);
    told["monthNo"] = json!(month_no);
    told["cancelled"] = json!(cancelled);
    Ok(Ok(Basis {
        base: assessment.base_minor,
        lines: source_lines(situation, bargain.known, &key.id, &assessment.eligible),
        month_no,
        reversed: Share { part: gone, whole: assessment.base_minor },
        earned_at: paid_at,
        held_from: paid_at,
        on_hold: assessment.hold,
        told,
    }))
}

/// How much of an invoice's base is gone: returned, cancelled or taken back by hand; never more than all of it.
fn gone(situation: &Situation, key: &SourceKey, assessment: &Assessment, cancelled: i64) -> i64 {
    let by_hand = situation
        .by_hand
        .get(key)
        .map_or(0, |acts| if acts.reversed_wholly { assessment.base_minor } else { acts.reversed_minor });
    let sum = assessment.reversed_minor.saturating_add(cancelled).saturating_add(by_hand);
    sum.min(assessment.base_minor)
}

/// The base of the subscriptions on the invoice that ended inside the programme's window.
fn cancelled_base(
    zone: &TimeZone,
    known: &KnownCustomer,
    terms: &Terms,
    assessment: &Assessment,
) -> Result<i64, MoneyError> {
    let Some(window) = terms.cancellation_window_days else { return Ok(0) };
    if assessment.base_minor <= 0 || assessment.eligible_net <= 0 {
        return Ok(0);
    }
    let ended = |line: &&EligibleLine| {
        line.subscription.as_ref().is_some_and(|subscription| cancelled(zone, known, window, subscription))
    };
    let net: i128 = assessment.eligible.iter().filter(ended).map(|line| i128::from(line.net)).sum();
    let product = i128::from(assessment.base_minor) * net.max(0);
    round_ratio(product, i128::from(assessment.eligible_net)).ok_or(MoneyError::Overflow)
}

fn cancelled(zone: &TimeZone, known: &KnownCustomer, window: u32, subscription: &str) -> bool {
    let paid = known.paid.iter().find(|paid| paid.subscription.as_deref() == Some(subscription));
    let fact = known.subscriptions.iter().find(|fact| fact.id == subscription);
    let (Some(paid), Some(fact)) = (paid, fact) else { return false };
    let Some(ended_at) = fact.ended_at else { return false };
    let mut others = known.subscriptions.iter().filter(|other| other.id != fact.id);
    let other_active = others.any(|other| was_active(other, ended_at));
    // An ending made by a hand-over is no cancellation: from the next day on a partner sells to the customer.
    let handed_over = known.is_wholesale_on(ended_at.date_in(zone).next());
    !handed_over && cancelled_inside(Some(ended_at), paid.paid_at, window, other_active)
}

/// Whether a subscription ran at an instant, whatever became of it since.
fn was_active(subscription: &SubscriptionFact, at: Timestamp) -> bool {
    let began = matches!(subscription.status.as_deref(), Some("active" | "trialing" | "past_due" | "canceled"));
    let begun = subscription.started_at.is_none_or(|started_at| started_at <= at);
    began && begun && subscription.ended_at.is_none_or(|ended_at| ended_at > at)
}

fn source_lines(
    situation: &Situation,
    known: &KnownCustomer,
    invoice: &str,
    eligible: &[EligibleLine],
) -> Vec<SourceLine> {
    let utc = TimeZone::utc();
    let plan = |id: &Option<String>| id.as_ref().and_then(|id| situation.plans.get(id)).copied();
    let line = |line: &EligibleLine| {
        let period_start = line.period_start.map(|start| start.date_in(&utc));
        let before = known.paid.iter().take_while(|paid| paid.stripe_id != invoice);
        let taken = before
            .filter(|paid| line.subscription.is_some() && paid.subscription == line.subscription)
            .any(|paid| Some(paid.earns_from) == period_start);
        SourceLine {
            plan: plan(&line.price).or_else(|| plan(&line.product)),
            net: line.net,
            subscription: line.subscription.clone(),
            proration: line.proration,
            period_start,
            flat_taken: taken,
        }
    };
    eligible.iter().map(line).collect()
}

fn of_conversion(situation: &Situation, key: &SourceKey, bargain: &Bargain<'_>) -> Found {
    let terms = &bargain.version.terms;
    if terms.trigger != Trigger::Conversion {
        return Ok(Err(Skipped::OtherTrigger));
    }
    if situation.day_of(key).is_some_and(|(_, day)| bargain.known.is_wholesale_on(day)) {
        return Ok(Err(Skipped::Wholesale));
    }
    let first = match bargain.known.paid.first() {
        Some(paid) => first_paid(situation, &paid.stripe_id, bargain, terms.disputes)?,
        None => None,
    };
    let found = match terms.base {
        CommissionBase::NetRevenue => of_first_invoice(bargain, first),
        CommissionBase::ListPrice => of_list_price(situation, bargain, first)?,
    };
    let Ok(mut basis) = found else { return Ok(found) };
    // What was taken back by hand comes on top of what the first invoice lost.
    if let Some(acts) = situation.by_hand.get(key).filter(|acts| acts.reversed_wholly || acts.reversed_minor > 0) {
        let lost = round_ratio(
            i128::from(basis.base) * i128::from(basis.reversed.part),
            i128::from(basis.reversed.whole.max(1)),
        );
        let lost = lost.ok_or(MoneyError::Overflow)?.saturating_add(acts.reversed_minor);
        let part = if acts.reversed_wholly { basis.base } else { lost.min(basis.base) };
        basis.reversed = Share { part, whole: basis.base };
    }
    Ok(Ok(basis))
}

/// The customer's first paid invoice with a base, if it is in the programme's currency.
fn first_paid(
    situation: &Situation,
    id: &str,
    bargain: &Bargain<'_>,
    disputes: DisputePolicy,
) -> Result<Option<(Assessment, Timestamp, i64)>, MoneyError> {
    let (Some(invoice), Some(related)) = (situation.invoices.get(id), situation.related.get(id)) else {
        return Ok(None);
    };
    let Some(paid_at) = invoice.paid_at.filter(|_| invoice.currency == bargain.currency.code()) else {
        return Ok(None);
    };
    let assessment = assess(invoice, related, disputes)?;
    let cancelled = cancelled_base(&situation.zone, bargain.known, &bargain.version.terms, &assessment)?;
    Ok(Some((assessment, paid_at, cancelled)))
}

fn of_first_invoice(bargain: &Bargain<'_>, first: Option<(Assessment, Timestamp, i64)>) -> Result<Basis, Skipped> {
    let (assessment, paid_at, cancelled) = first.ok_or(Skipped::NotEarned)?;
    let base = assessment.base_minor;
    let gone = assessment.reversed_minor.saturating_add(cancelled).min(base);
    let earned_at = bargain.known.conversion.as_ref().map_or(paid_at, |conversion| conversion.converted_at);
    Ok(Basis {
        base,
        lines: vec![converted_line(bargain, base)],
        month_no: 1,
        reversed: Share { part: gone, whole: base },
        earned_at,
        held_from: paid_at,
        on_hold: assessment.hold,
        told: told(&assessment, &Related::default()),
    })
}

fn of_list_price(
    situation: &Situation,
    bargain: &Bargain<'_>,
    first: Option<(Assessment, Timestamp, i64)>,
) -> Result<Result<Basis, Skipped>, MoneyError> {
    let Some(conversion) = &bargain.known.conversion else { return Ok(Err(Skipped::NotEarned)) };
    let day: Date = conversion.converted_at.date_in(&situation.zone);
    let price = conversion.plan_id.and_then(|plan| situation.prices.get(&(plan, bargain.currency, day)));
    let Some((unit_price, per_seat)) = price else { return Ok(Err(Skipped::PriceMissing)) };
    let seats = if *per_seat { conversion.seats } else { 1 };
    let base = unit_price.checked_mul(seats).ok_or(MoneyError::Overflow)?;
    let billed_by_stripe = conversion.stripe_subscription_id.is_some();
    let (reversed, held_from, waits) = match &first {
        Some((assessment, paid_at, cancelled)) if billed_by_stripe => {
            let gone = assessment.reversed_minor.saturating_add(*cancelled).min(assessment.base_minor);
            (Share { part: gone, whole: assessment.base_minor }, *paid_at, assessment.hold)
        }
        // Stripe bills the customer and has not been paid yet.
        _ if billed_by_stripe => (Share::default(), conversion.converted_at, true),
        _ => (Share::default(), conversion.converted_at, false),
    };
    Ok(Ok(Basis {
        base,
        lines: vec![converted_line(bargain, base)],
        month_no: 1,
        reversed,
        earned_at: conversion.converted_at,
        held_from,
        on_hold: waits,
        told: json!({ "base": base, "unitPrice": unit_price, "seats": seats, "plan": conversion.plan_id,
            "day": day, "reversed": { "part": reversed.part, "whole": reversed.whole } }),
    }))
}

fn converted_line(bargain: &Bargain<'_>, base: i64) -> SourceLine {
    let conversion = bargain.known.conversion.as_ref();
    SourceLine {
        plan: conversion.and_then(|conversion| conversion.plan_id),
        net: base,
        subscription: conversion.and_then(|conversion| conversion.stripe_subscription_id.clone()),
        proration: false,
        period_start: None,
        flat_taken: false,
    }
}

/// What an assessment says, for the trace.
fn told(assessment: &Assessment, related: &Related) -> Value {
    json!({
        "base": assessment.base_minor,
        "eligibleNet": assessment.eligible_net,
        "cash": assessment.cash,
        "total": assessment.total,
        "exactBase": crate::trace::exact(
            i128::from(assessment.eligible_net) * i128::from(assessment.cash),
            i128::from(assessment.total),
        ),
        "periodStart": assessment.period_start,
        "flags": assessment.flags,
        "reversed": assessment.reversed_minor,
        "reversal": assessment.reversal,
        "refunds": related.refunds.iter().map(|refund| &refund.id).collect::<Vec<_>>(),
        "disputes": related.disputes.iter().map(|dispute| &dispute.id).collect::<Vec<_>>(),
        "creditNotes": related.credit_notes.iter().map(|note| &note.id).collect::<Vec<_>>(),
    })
}
