//! A partner's month: from facts to documents. Pure; a preview and a run come through here, so they cannot differ.

use std::collections::{BTreeMap, HashMap};

use billing_primitives::{
    BasisPoints, Currency, CustomerId, Date, ExchangeRate, InvoiceId, Money, Month, PlanId, TierTableId,
};

use super::documents::{LineKind, Parties};
use super::draft::{BooksVat, CreditNoteDraft, DraftCreditLine, DraftLine, InvoiceDraft};
use super::rules::corrections::{self, Correction, InvoicedLine};
use super::rules::totals;
use super::rules::usage::{self, RatedUsage, Unrated};
use super::trace;
use crate::catalog::rules::PriceBook;
use crate::error::Refusal;
use crate::organizations::Organization;
use crate::partners::Partner;
use crate::subscriptions::rules::{Segment, seat_days};
use crate::tiers::rules::{Evaluation, Previous, Ranked, evaluate, users};
use crate::vat::{self, Buyer, VatTreatment};

/// What is the same for all partners of a run.
pub struct Setting<'a> {
    pub organization: &'a Organization,
    pub month: Month,
    pub table: Option<&'a Ranked>,
    pub book: &'a PriceBook,
    pub plans: &'a HashMap<PlanId, PlanFacts>,
    /// Latest stored rate to the currency of the books, with its day, within the seven days up to the month's end.
    pub rates: &'a HashMap<Currency, (Date, ExchangeRate)>,
}

/// What rating needs to know of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFacts {
    pub external_id: String,
    pub counts_users: bool,
}

/// Seats of one customer on one plan in one month, on the days on which the partner owned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub customer: CustomerId,
    pub plan: PlanId,
    pub segments: Vec<Segment>,
}

/// An earlier month that a late fact touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateMonth {
    pub month: Month,
    /// The discount that the month was billed with.
    pub discount: BasisPoints,
    pub usage: Usage,
    /// What was invoiced for this customer, plan and month, the oldest first.
    pub invoiced: Vec<StoredLine>,
}

/// A finalized line with what its credit note has to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    pub line: InvoicedLine,
    pub unit_price: i64,
    pub treatment: VatTreatment,
    /// Number of the invoice.
    pub number: String,
    /// Rate at which the invoice's VAT was converted for the books.
    pub books_rate: Option<ExchangeRate>,
}

/// Everything about one partner that its month depends on.
pub struct PartnerFacts<'a> {
    pub partner: &'a Partner,
    /// In the order of customers' and plans' external ids.
    pub usage: &'a [Usage],
    pub previous: Option<Previous<'a>>,
    pub pin: Option<&'a str>,
    pub late: &'a [LateMonth],
}

/// What a partner's month comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerMonth {
    pub evaluation: Evaluation,
    pub table: TierTableId,
    pub invoice: Option<InvoiceDraft>,
    pub credit_notes: Vec<CreditNoteDraft>,
    /// Why the drafts cannot be finalized, if so.
    pub obstacle: Option<Refusal>,
}

/// Computes the documents of a partner's month.
///
/// # Errors
/// A refusal when nothing can be drafted: no tier table, a price or a VAT number missing, amounts that do not fit.
pub fn partner_month(setting: &Setting<'_>, facts: &PartnerFacts<'_>) -> Result<PartnerMonth, Refusal> {
    let month = setting.month;
    let table = setting.table.ok_or(Refusal::TierTableMissing { month })?;
    let evaluation = evaluate(table, counted_users(setting, facts)?, facts.pin, facts.previous);
    let mut lines = usage_lines(setting, facts, evaluation.discount)?;
    let corrections = corrections(setting, facts)?;
    lines.extend(corrections.adjustments);
    let invoice = if lines.is_empty() { None } else { Some(invoice(setting, facts, table, &evaluation, lines)?) };
    let credit_notes = credit_notes(setting, facts, corrections.credits)?;
    let unconverted = invoice.as_ref().is_some_and(|invoice| {
        invoice.books.is_none() && totals::needs_conversion(invoice.totals.vat, setting.organization.currency)
    });
    let obstacle = if table.table.indicative {
        Some(Refusal::TierTableIndicative { month })
    } else if unconverted {
        let (from, to) = (facts.partner.currency, setting.organization.currency);
        Some(Refusal::ExchangeRateMissing { from, to, day: month.last() })
    } else {
        None
    };
    Ok(PartnerMonth { evaluation, table: table.table.id, invoice, credit_notes, obstacle })
}

fn counted_users(setting: &Setting<'_>, facts: &PartnerFacts<'_>) -> Result<i64, Refusal> {
    let counts = |plan: &PlanId| setting.plans.get(plan).is_some_and(|plan| plan.counts_users);
    let counted = facts.usage.iter().filter(|usage| counts(&usage.plan)).map(|usage| seat_days(&usage.segments));
    let total = counted.into_iter().try_fold(0_i64, i64::checked_add).ok_or(Refusal::AmountOverflow)?;
    Ok(users(total, setting.month))
}

fn usage_lines(
    setting: &Setting<'_>,
    facts: &PartnerFacts<'_>,
    discount: BasisPoints,
) -> Result<Vec<DraftLine>, Refusal> {
    let mut held = facts.usage.iter().filter(|usage| !usage.segments.is_empty()).peekable();
    if held.peek().is_none() {
        return Ok(Vec::new());
    }
    let treatment = treatment(setting, facts.partner, setting.month)?;
    let mut lines = Vec::with_capacity(facts.usage.len());
    for usage in held {
        for rated in rate(setting, facts.partner, setting.month, discount, usage)? {
            let trace = trace::usage(setting.month, discount, &rated);
            lines.push(usage_line(usage, setting.month, discount, treatment, &rated, trace));
        }
    }
    Ok(lines)
}

fn usage_line(
    usage: &Usage,
    month: Month,
    discount_bps: BasisPoints,
    treatment: VatTreatment,
    rated: &RatedUsage,
    trace: String,
) -> DraftLine {
    DraftLine {
        kind: LineKind::Usage,
        customer: usage.customer,
        plan: usage.plan,
        month,
        unit_price: rated.unit_price.minor,
        seat_days: rated.seat_days,
        gross: rated.amounts.gross.minor,
        discount_bps,
        discount: rated.amounts.discount.minor,
        net: rated.amounts.net.minor,
        treatment,
        trace,
    }
}

/// Rates usage of a month at that month's prices.
///
/// # Errors
/// [`Refusal::PriceMissing`], [`Refusal::AmountOverflow`].
pub fn rate(
    setting: &Setting<'_>,
    partner: &Partner,
    month: Month,
    discount: BasisPoints,
    usage: &Usage,
) -> Result<Vec<RatedUsage>, Refusal> {
    let prices = setting.book.segments(partner.id, partner.currency, usage.plan, month.first(), month.last());
    usage::rate(month, partner.currency, discount, &usage.segments, &prices).map_err(|unrated| match unrated {
        Unrated::Refused(refusal) => refusal,
        Unrated::NoPrice(gap) => {
            let plan = setting.plans.get(&usage.plan).map_or_else(String::new, |plan| plan.external_id.clone());
            Refusal::PriceMissing { plan, day: gap.day, currency: partner.currency }
        }
    })
}

fn treatment(setting: &Setting<'_>, partner: &Partner, month: Month) -> Result<VatTreatment, Refusal> {
    let buyer = Buyer {
        external_id: &partner.external_id,
        country: &partner.country,
        vat_number: partner.vat_number.as_deref(),
        vat_status: partner.vat_status,
    };
    vat::treatment(&setting.organization.country, buyer, month.last())
}

#[derive(Default)]
struct Corrections {
    adjustments: Vec<DraftLine>,
    credits: BTreeMap<(String, InvoiceId), Vec<(StoredLine, DraftCreditLine)>>,
}

/// Re-rates the months that late facts touched and compares with what was invoiced, unit price by unit price.
fn corrections(setting: &Setting<'_>, facts: &PartnerFacts<'_>) -> Result<Corrections, Refusal> {
    let mut all = Corrections::default();
    for late in facts.late {
        let rated = rate(setting, facts.partner, late.month, late.discount, &late.usage)?;
        let mut unit_prices: Vec<i64> = rated.iter().map(|rated| rated.unit_price.minor).collect();
        unit_prices.extend(late.invoiced.iter().map(|line| line.unit_price));
        unit_prices.sort_unstable();
        unit_prices.dedup();
        for unit_price in unit_prices {
            let rated = rated.iter().find(|rated| rated.unit_price.minor == unit_price);
            correct_one(setting, facts.partner, late, unit_price, rated, &mut all)?;
        }
    }
    Ok(all)
}

fn correct_one(
    setting: &Setting<'_>,
    partner: &Partner,
    late: &LateMonth,
    unit_price: i64,
    rated: Option<&RatedUsage>,
    all: &mut Corrections,
) -> Result<(), Refusal> {
    let zero = Money::zero(partner.currency);
    let stored: Vec<&StoredLine> = late.invoiced.iter().filter(|line| line.unit_price == unit_price).collect();
    let invoiced: Vec<InvoicedLine> = stored.iter().map(|line| line.line).collect();
    let target = rated.map_or(zero, |rated| rated.amounts.net);
    let so_far = corrections::invoiced_so_far(zero, &invoiced)?;
    let trace = trace::correction(late.month, late.discount, unit_price, rated, target, so_far);
    match corrections::correct(target, &invoiced)? {
        Correction::Nothing => {}
        Correction::Bill(more) => all.adjustments.push(DraftLine {
            kind: LineKind::Adjustment,
            customer: late.usage.customer,
            plan: late.usage.plan,
            month: late.month,
            unit_price,
            seat_days: rated.map_or(0, |rated| rated.seat_days),
            gross: more.minor,
            discount_bps: BasisPoints::ZERO,
            discount: 0,
            net: more.minor,
            treatment: treatment(setting, partner, late.month)?,
            trace,
        }),
        Correction::Credit(credits) => {
            for credit in credits {
                let of = |line: &&&StoredLine| {
                    (line.line.invoice, line.line.line_number) == (credit.invoice, credit.line_number)
                };
                let Some(line) = stored.iter().find(of) else { continue };
                let draft = DraftCreditLine {
                    invoice_line_number: credit.line_number,
                    net: credit.net.minor,
                    treatment: line.treatment,
                    trace: trace.clone(),
                };
                let note = all.credits.entry((line.number.clone(), credit.invoice)).or_default();
                note.push(((*line).clone(), draft));
            }
        }
    }
    Ok(())
}

fn invoice(
    setting: &Setting<'_>,
    facts: &PartnerFacts<'_>,
    table: &Ranked,
    evaluation: &Evaluation,
    lines: Vec<DraftLine>,
) -> Result<InvoiceDraft, Refusal> {
    let currency = facts.partner.currency;
    let nets = lines.iter().map(|line| (line.treatment, Money::new(line.net, currency)));
    let totals = totals::totals(currency, nets)?;
    let books = setting.organization.currency;
    let rate = setting.rates.get(&currency).copied();
    let converted = totals::vat_for_books(totals.vat, books, rate.map(|(_, rate)| rate))?;
    let books = converted.zip(rate).map(|(amount, (date, rate))| BooksVat { amount, rate, date });
    Ok(InvoiceDraft {
        partner: facts.partner.id,
        month: setting.month,
        currency,
        books,
        users: evaluation.users,
        billed_tier: evaluation.billed.clone(),
        discount_bps: evaluation.discount,
        parties: crate::trace::json(&Parties::new(setting.organization, facts.partner)),
        trace: trace::invoice(table, evaluation, facts.previous, facts.pin, &totals),
        lines,
        totals,
    })
}

fn credit_notes(
    setting: &Setting<'_>,
    facts: &PartnerFacts<'_>,
    credits: BTreeMap<(String, InvoiceId), Vec<(StoredLine, DraftCreditLine)>>,
) -> Result<Vec<CreditNoteDraft>, Refusal> {
    let notes = credits.into_iter().map(|((number, invoice), mut credited)| {
        credited.sort_by_key(|(_, line)| line.invoice_line_number);
        let rate = credited.first().and_then(|(stored, _)| stored.books_rate);
        let lines = merged(credited.into_iter().map(|(_, line)| line).collect());
        let memo = format!("Correction of {number} after late changes");
        credit_note(setting.organization, facts.partner, invoice, rate, lines, memo)
    });
    notes.collect()
}

/// One credit line per invoice line: several late facts may take back parts of the same one.
fn merged(lines: Vec<DraftCreditLine>) -> Vec<DraftCreditLine> {
    let mut merged: Vec<DraftCreditLine> = Vec::with_capacity(lines.len());
    for line in lines {
        match merged.last_mut() {
            Some(last) if last.invoice_line_number == line.invoice_line_number => last.net += line.net,
            _ => merged.push(line),
        }
    }
    merged
}

/// A credit note with VAT from its own net (R10) and the exchange rate of its invoice.
///
/// # Errors
/// [`Refusal::AmountOverflow`].
pub fn credit_note(
    organization: &Organization,
    partner: &Partner,
    invoice: InvoiceId,
    rate: Option<ExchangeRate>,
    lines: Vec<DraftCreditLine>,
    memo: String,
) -> Result<CreditNoteDraft, Refusal> {
    let currency = partner.currency;
    let nets = lines.iter().map(|line| (line.treatment, Money::new(line.net, currency)));
    let totals = totals::totals(currency, nets)?;
    let books = totals::vat_for_books(totals.vat, organization.currency, rate)?.zip(rate);
    let trace = trace::credit_note(&totals, rate);
    Ok(CreditNoteDraft { invoice, partner: partner.id, currency, lines, totals, books, memo, trace })
}
