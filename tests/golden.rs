//! The golden examples: every case of every file of a folder goes through the product's own rules.
//!
//! `AVANCE_GOLDEN_DIR` names another folder. The last line counts: `golden: N cases, M failed`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use billing::catalog::rules::{PriceSegment, Priced};
use billing::commissions::rules::clawback::reversed_target;
use billing::commissions::rules::phase::{month_no, phase};
use billing::commissions::rules::{Buckets, Deal, Earner, Share, Source, SourceLine, Standing, book, targets};
use billing::invoicing::rules::{amounts, totals, usage};
use billing::payments::rules::vat_left;
use billing::payouts::rules::{due, statement};
use billing::programs::terms::{
    AttributionTerms, CommissionBase, Overrides, Phase, ProgramTier, Reward, Rule, SelfReferral, SettlementMode, Terms,
    Trigger,
};
use billing::stripe::DisputePolicy;
use billing::subscriptions::rules::{SeatFact, Seats, seat_days, segments, timeline};
use billing::tiers::rules::{Previous, Ranked, Tier, TierTable, evaluate};
use billing::vat::{VatCategory, VatTreatment};
use billing_primitives::{
    BasisPoints, Currency, EnrollmentId, ExchangeRate, Money, Month, OrganizationId, PartnerId, PriceListVersionId,
    TierTableId, Timestamp,
};
use serde_json::{Value, json};

type Run = fn(&Value) -> Option<Value>;

/// The rule of a file, and what computes its cases.
const RULES: &[(&str, Run)] = &[
    ("R1", rate_on_amount),
    ("R2", wholesale_line),
    ("R3", proration),
    ("R4", document),
    ("R5", phases),
    ("R6", levels),
    ("R7", clawbacks),
    ("R8", payout_runs),
    ("R9", allocation),
    ("R10", credit_notes),
    ("R11", tier_months),
];

fn main() -> ExitCode {
    let folder = std::env::var_os("AVANCE_GOLDEN_DIR").map_or_else(own_folder, PathBuf::from);
    let mut count = Count::default();
    let files = json_files(&folder);
    if files.is_empty() {
        println!("{}: no JSON file here", folder.display());
        count.failed += 1;
    }
    for file in &files {
        run_file(file, &mut count);
    }
    println!("golden: {} cases, {} failed", count.cases, count.failed);
    if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Count {
    cases: usize,
    failed: usize,
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden")
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn run_file(path: &Path, count: &mut Count) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let file: Value = serde_json::from_str(&text).unwrap_or_default();
    let rule = file["rule"].as_str().unwrap_or_default();
    let cases = file["cases"].as_array().cloned().unwrap_or_default();
    count.cases += cases.len();
    let Some((_, run)) = RULES.iter().find(|(known, _)| *known == rule) else {
        println!("{name}: no such rule {rule:?}");
        count.failed += cases.len().max(1);
        return;
    };
    if cases.is_empty() {
        println!("{name}: no cases");
        count.failed += 1;
    }
    for case in &cases {
        let computed = run(&case["input"]);
        if computed.as_ref() != Some(&case["expected"]) {
            count.failed += 1;
            let computed = computed.unwrap_or_else(|| json!("nothing: the input could not be read"));
            println!("{name}: {}\n  expected {}\n  computed {computed}", case["name"], case["expected"]);
        }
    }
}

fn int(value: &Value) -> Option<i64> {
    value.as_i64()
}

fn dkk(value: &Value) -> Option<Money> {
    Some(Money::new(int(value)?, Currency::DKK))
}

fn bps(value: &Value) -> Option<BasisPoints> {
    BasisPoints::new(int(value)?).ok()
}

fn parsed<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

fn array(value: &Value) -> Option<&Vec<Value>> {
    value.as_array()
}

fn rate_on_amount(input: &Value) -> Option<Value> {
    let result = bps(&input["bps"])?.of(dkk(&input["amount"])?).ok()?;
    Some(json!({ "result": result.minor }))
}

fn table(tiers: Vec<(String, i64, BasisPoints)>, grace_months: i32) -> Option<Ranked> {
    let (id, organization_id) = (TierTableId::new(), OrganizationId::new());
    let effective_from: Month = "2020-01".parse().ok()?;
    let created_at: Timestamp = "2020-01-01T00:00:00Z".parse().ok()?;
    let head = TierTable {
        organization_id,
        id,
        effective_from,
        grace_months,
        indicative: false,
        confirmed_at: None,
        created_at,
    };
    let tier = |(name, from_users, discount_bps): (String, i64, BasisPoints)| Tier {
        tier_table_id: id,
        code: name.clone(),
        name,
        from_users,
        discount_bps,
    };
    Ranked::new(head, tiers.into_iter().map(tier).collect())
}

fn wholesale_line(input: &Value) -> Option<Value> {
    let standard = [("Registreret", 0, 1500), ("Certificeret", 500, 3000), ("Premier", 1000, 4000)];
    let tiers = standard.map(|(name, from, bps)| Some((name.to_owned(), from, BasisPoints::new(bps).ok()?)));
    let table = table(tiers.into_iter().collect::<Option<_>>()?, 1)?;
    let tier = table.measure(int(&input["tier_seats"])?);
    let month: Month = parsed(&input["month"])?;
    let line =
        amounts::line(dkk(&input["unit_price"])?, int(&input["seat_days"])?, month.days(), tier.discount_bps).ok()?;
    Some(json!({
        "tier": tier.name, "margin_bps": tier.discount_bps.get(),
        "gross": line.gross.minor, "discount": line.discount.minor, "net": line.net.minor,
    }))
}

fn proration(input: &Value) -> Option<Value> {
    let month: Month = parsed(&input["month"])?;
    let fact = |(sequence, change): (i32, &Value)| {
        let seats = Seats::Delta(int(&change["delta"])?);
        Some(SeatFact { effective_on: parsed(&change["date"])?, sequence, seats })
    };
    let facts = (1..).zip(array(&input["seat_changes"])?).map(fact).collect::<Option<Vec<_>>>()?;
    let held = segments(&timeline(&facts).ok()?, month.first(), month.last());
    let unit_price_minor = int(&input["unit_price"])?;
    let priced = Some(Priced { unit_price_minor, version: PriceListVersionId::new() });
    let prices = [PriceSegment { from: month.first(), to: month.last(), priced }];
    let lines = usage::rate(month, Currency::DKK, bps(&input["margin_bps"])?, &held, &prices).ok()?;
    let [gross, discount, net] = lines
        .first()
        .map_or([0; 3], |line| [line.amounts.gross.minor, line.amounts.discount.minor, line.amounts.net.minor]);
    let told = held.iter().map(|s| json!({ "from": s.from.to_string(), "to": s.to.to_string(), "seats": s.seats }));
    Some(json!({
        "days_in_month": month.days(), "seat_days": seat_days(&held), "segments": told.collect::<Vec<_>>(),
        "gross": gross, "discount": discount, "net": net,
    }))
}

fn treatment(line: &Value) -> Option<VatTreatment> {
    let category: VatCategory = parsed(&line["vat_category"])?;
    Some(VatTreatment { category, rate: bps(&line["vat_bps"])? })
}

fn document(input: &Value) -> Option<Value> {
    let currency: Currency = parsed(&input["currency"])?;
    let mut lines = Vec::new();
    let mut nets = Vec::new();
    for (number, line) in (1..).zip(array(&input["lines"])?) {
        let unit_price = Money::new(int(&line["unit_price"])?, currency);
        let days = i8::try_from(int(&line["days_in_month"])?).ok()?;
        let amounts = amounts::line(unit_price, int(&line["seat_days"])?, days, bps(&line["margin_bps"])?).ok()?;
        nets.push((treatment(line)?, amounts.net));
        lines.push(json!({
            "line": number, "tenant": line["tenant"], "plan": line["plan"],
            "gross": amounts.gross.minor, "discount": amounts.discount.minor, "net": amounts.net.minor,
        }));
    }
    let totals = totals::totals(currency, nets).ok()?;
    let vat = totals.per_rate.iter().map(|total| {
        json!({
            "category": total.treatment.category, "vat_bps": total.treatment.rate.get(),
            "taxable": total.taxable.minor, "tax": total.tax.minor,
        })
    });
    let mut told = json!({
        "lines": lines, "vat": vat.collect::<Vec<_>>(),
        "net_total": totals.net.minor, "vat_total": totals.vat.minor, "gross_total": totals.gross.minor,
    });
    if let Some(books) = parsed::<Currency>(&input["vat_currency"]) {
        let rate: ExchangeRate = parsed(&input["rate"])?;
        let converted = totals::vat_for_books(totals.vat, books, Some(rate)).ok()??;
        told[format!("vat_total_{}", books.code().to_lowercase())] = json!(converted.minor);
    }
    Some(told)
}

fn ints(value: &Value) -> Option<Vec<i64>> {
    array(value)?.iter().map(int).collect()
}

/// What each level of a chain earns on one line under a programme of one tier.
fn commissions(net_paid: i64, month_no: u32, phases: Rule, upline: Vec<BasisPoints>) -> Option<Vec<i64>> {
    let levels = upline.len() + 1;
    let tier = String::from("BASE");
    let tiers = vec![ProgramTier {
        code: tier.clone(),
        name: tier.clone(),
        converted_customers: 0,
        net_revenue_minor: 0,
        phases,
    }];
    let terms = Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers,
        plan_rules: Vec::new(),
        upline,
        max_share: BasisPoints::new(10_000).ok()?,
        hold_days: 0,
        cancellation_window_days: None,
        disputes: DisputePolicy::ReverseAtOnce,
        attribution: AttributionTerms { sources: Vec::new(), self_referral: SelfReferral::Block },
        payout_threshold_minor: 0,
        payout_schedule: None,
    };
    let overrides = Overrides::default();
    let earner = |_| Earner {
        enrollment: EnrollmentId::new(),
        partner: PartnerId::new(),
        settlement: SettlementMode::Payout,
        tier: &tier,
        overrides: &overrides,
    };
    let chain: Vec<Earner<'_>> = (0..levels).map(earner).collect();
    let lines = [SourceLine {
        plan: None,
        net: net_paid,
        subscription: None,
        proration: false,
        period_start: None,
        flat_taken: false,
    }];
    let source =
        Source { currency: Currency::DKK, base: net_paid, lines: &lines, month_no, reversed: Share::default() };
    let targets = targets(&source, &Deal { terms: &terms, chain: &chain }).ok()?;
    Some(targets.iter().map(|target| target.earned).collect())
}

fn phases(input: &Value) -> Option<Value> {
    let read = |phase: &Value| {
        let from_month = u32::try_from(int(&phase["from_month"])?).ok()?;
        Some(Phase { from_month, reward: Reward::Percent(bps(&phase["bps"])?) })
    };
    let rule: Rule = array(&input["phases"])?.iter().map(read).collect::<Option<_>>()?;
    let month_no = month_no(parsed(&input["first_paid_period_start"])?, parsed(&input["period_start"])?);
    let Reward::Percent(rate) = phase(&rule, month_no).reward else { return None };
    let commission = commissions(int(&input["net_paid"])?, month_no, rule, Vec::new())?;
    Some(json!({ "month_no": month_no, "bps": rate.get(), "commission": commission.first()? }))
}

fn levels(input: &Value) -> Option<Value> {
    let mut rates = array(&input["level_bps"])?.iter().map(bps).collect::<Option<Vec<_>>>()?.into_iter();
    let first = vec![Phase { from_month: 1, reward: Reward::Percent(rates.next()?) }];
    let commissions = commissions(int(&input["net_paid"])?, 1, first, rates.collect())?;
    Some(json!({ "commissions": commissions, "total": commissions.iter().sum::<i64>() }))
}

fn clawbacks(input: &Value) -> Option<Value> {
    let whole = int(&input["net_paid"])?;
    // Each commission is booked on its own, as it is when it was earned and nothing has ripened yet.
    let earned = |earned| (Buckets { held: earned, ..Buckets::default() }, Standing { earned, reversed: 0 });
    let mut commissions: Vec<(Buckets, Standing)> = ints(&input["commissions"])?.into_iter().map(earned).collect();
    let (mut part, mut steps) = (0, Vec::new());
    for refund in ints(&input["refunds"])? {
        part += refund;
        let (mut clawback, mut remaining) = (Vec::new(), Vec::new());
        for (now, booked) in &mut commissions {
            let reversed = reversed_target(booked.earned, Share { part, whole });
            let target = Standing { reversed, ..*booked };
            let before = now.net().ok()?;
            for step in book(*now, *booked, target, SettlementMode::Payout).ok()? {
                *now = now.after(&step.change).ok()?;
            }
            *booked = target;
            remaining.push(now.net().ok()?);
            clawback.push(before - now.net().ok()?);
        }
        steps.push(json!({
            "refund": refund, "refunded_so_far": part, "clawback": clawback, "remaining": remaining,
        }));
    }
    Some(json!({ "steps": steps }))
}

fn payout_runs(input: &Value) -> Option<Value> {
    let (mut carried, mut open, mut runs) = (0, 0, Vec::new());
    for run in array(&input["runs"])? {
        let [earned, unshown, shown] =
            ["commissions", "clawbacks_not_yet_invoiced", "clawbacks_of_invoiced"].map(|key| ints(&run[key]));
        let month = statement(carried, &earned?, &unshown?, &shown?, bps(&input["vat_bps"])?).ok()?;
        open += month.earned.gross - month.clawed_back.map_or(0, |credit_note| credit_note.gross);
        let due = due(month.balance_net, open, int(&input["threshold_net"])?, false);
        runs.push(json!({
            "invoice_389": month.earned, "credit_note_261": month.clawed_back, "balance_net": month.balance_net,
            "paid_net": due.paid_net, "carried_net": due.carried_net,
            "transfer_gross": due.transfer_gross, "open_gross": due.open_gross,
        }));
        (carried, open) = (due.carried_net, due.open_gross);
    }
    Some(json!({ "runs": runs }))
}

fn allocation(input: &Value) -> Option<Value> {
    let weights = array(&input["weights"])?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
    let parts = dkk(&input["total"])?.allocate(&weights).ok()?;
    Some(json!({ "parts": parts.iter().map(|part| part.minor).collect::<Vec<_>>() }))
}

fn credit_notes(input: &Value) -> Option<Value> {
    let treatment = VatTreatment { category: VatCategory::Standard, rate: bps(&input["vat_bps"])? };
    let total = |nets: Vec<i64>| {
        let nets = nets.into_iter().map(|net| (treatment, Money::new(net, Currency::DKK)));
        totals::totals(Currency::DKK, nets).ok()
    };
    let told = |totals: &totals::Totals| json!({ "net": totals.net.minor, "vat": totals.vat.minor, "gross": totals.gross.minor });
    let lines = array(&input["invoice_line_nets"])?.iter().map(int).collect::<Option<Vec<_>>>()?;
    let invoice = total(lines)?;
    let mut notes = Vec::new();
    for credit in array(&input["credits"])? {
        let credit: BTreeMap<String, i64> = serde_json::from_value(credit.clone()).ok()?;
        notes.push(total(credit.into_values().collect())?);
    }
    let credited: Vec<(i64, i64)> = notes.iter().map(|note| (note.net.minor, note.vat.minor)).collect();
    let left = vat_left(invoice.net.minor, invoice.vat.minor, &credited);
    Some(json!({
        "invoice": told(&invoice), "credit_notes": notes.iter().map(told).collect::<Vec<_>>(),
        "fully_credited": left.is_some(), "vat_left_after_full_credit": left,
    }))
}

fn tier_months(input: &Value) -> Option<Value> {
    let tier = |tier: &Value| {
        Some((tier["name"].as_str()?.to_owned(), int(&tier["from_users"])?, bps(&tier["discount_bps"])?))
    };
    let tiers = array(&input["tiers"])?.iter().map(tier).collect::<Option<Vec<_>>>()?;
    let table = table(tiers, i32::try_from(int(&input["grace_months"])?).ok()?)?;
    let mut last: Option<billing::tiers::rules::Evaluation> = None;
    let mut months = Vec::new();
    for month in array(&input["months"])? {
        let previous = last.as_ref().map(|last| Previous {
            billed: &last.billed,
            months_below: last.months_below,
            reason: last.reason,
        });
        let done = evaluate(&table, int(&month["users"])?, month["pinned"].as_str(), previous);
        months.push(json!({
            "month": month["month"], "measured": done.measured, "billed": done.billed,
            "discount_bps": done.discount.get(), "reason": done.reason,
        }));
        last = Some(done);
    }
    Some(json!({ "months": months }))
}
