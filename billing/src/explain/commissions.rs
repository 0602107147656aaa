//! Commissions and their steps explain themselves, from what was written down when they were derived.

use billing_primitives::{CommissionEntryId, CommissionId, Money, OrganizationId};
use serde_json::Value;

use super::{Explanation, plain};
use crate::Billing;
use crate::commissions::{self, Commission, Entry, EntryKind, SourceKind};
use crate::error::{Error, Refusal};

/// Why a commission comes to what it comes to.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn commission(
    billing: &Billing,
    organization: OrganizationId,
    id: CommissionId,
) -> Result<Explanation, Error> {
    let found = commissions::by_ids(billing, organization, &[id]).await?.pop();
    let commission = found.ok_or_else(|| Refusal::not_found("id", "commission", id))?;
    let entries = commissions::entries_of(billing, organization, &[id]).await?;
    Ok(of_commission(&commission, &entries))
}

/// Why a step of a commission moved what it moved.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn commission_entry(
    billing: &Billing,
    organization: OrganizationId,
    id: CommissionEntryId,
) -> Result<Explanation, Error> {
    let found = commissions::entries_by_ids(billing, organization, &[id]).await?.pop();
    Ok(of_entry(&found.ok_or_else(|| Refusal::not_found("id", "step of a commission", id))?))
}

/// The tree of a commission: what is earned by which rule on which base, what is reversed, and its steps.
pub fn of_commission(commission: &Commission, entries: &[Entry]) -> Explanation {
    let net = commission.earned_minor.saturating_sub(commission.reversed_minor);
    let mut whole = Explanation::new("commission", Some(commission.money(net)))
        .formula("earned - reversed")
        .rule(&["R6", "R7"])
        .input("commission", commission.id)
        .input(source_name(commission), &commission.source_id)
        .input("level", commission.level)
        .input("enrollment", commission.enrollment_id)
        .input("customer", commission.customer_id)
        .input("attribution", commission.attribution_id)
        .input("programVersion", commission.program_version_id)
        .input("settlement", commission.settlement)
        .input("earnedAt", commission.earned_at)
        .input("payableAt", commission.payable_at)
        .input("onHold", commission.on_hold)
        .part(earned(commission))
        .part(reversed(commission));
    whole.parts.extend(entries.iter().map(of_entry));
    whole
}

const fn source_name(commission: &Commission) -> &'static str {
    match commission.source_kind {
        SourceKind::StripeInvoice => "stripeInvoice",
        SourceKind::Conversion => "convertedCustomer",
    }
}

/// An amount of minor units that a trace tells.
fn told(commission: &Commission, value: &Value) -> Money {
    commission.money(value.as_i64().unwrap_or_default())
}

fn earned(commission: &Commission) -> Explanation {
    let rule = &commission.trace["rule"];
    let earned = Explanation::new("earned", Some(commission.money(commission.earned_minor)));
    if commission.earned_minor != rule["earned"].as_i64().unwrap_or_default() {
        // Nothing is derived for it any more, so nothing newer was written down.
        return earned.formula("nothing: the source is no longer credited to this enrollment").part(base(commission));
    }
    let reward =
        if rule["reward"].is_object() { of_source(commission, rule) } else { of_level_below(commission, rule) };
    let mut earned =
        earned.formula("what the rule comes to, after the cap of all levels").rule(&["R5", "R6"]).part(reward);
    if rule["cap"].is_object() {
        let cap = &rule["cap"];
        earned = earned.part(
            Explanation::new("cap of all levels", Some(told(commission, &cap["limit"])))
                .formula("round(base × share / 10000); what exceeds it is cut, the highest level first")
                .exact(&cap["exact"])
                .rule(&["R1", "R6"])
                .input("maxShareBps", plain(&cap["maxShareBps"]))
                .input("allLevels", told(commission, &cap["total"])),
        );
    }
    earned.part(base(commission))
}

/// What level 1 earns: percents of the lines together, and flat amounts.
fn of_source(commission: &Commission, rule: &Value) -> Explanation {
    let reward = &rule["reward"];
    let lines = reward["lines"].as_array().map_or(&[][..], Vec::as_slice);
    let percent = Explanation::new("percent", Some(told(commission, &reward["percent"])))
        .formula("round(base × Σ(net × rate) / (Σ net × 10000)), once for all lines")
        .exact(&reward["exactPercent"])
        .rule(&["R1", "R5"]);
    let percent = lines.iter().fold(percent, |percent, line| percent.part(of_line(commission, line)));
    let flat = Explanation::new("flat", Some(told(commission, &reward["flat"])))
        .formula("once per subscription and period, only of a line that is no proration")
        .rule(&["R5"]);
    Explanation::new("rule", Some(told(commission, &rule["rounded"])))
        .formula("percent + flat, at most the base")
        .rule(&["R5"])
        .input("tier", plain(&rule["tier"]))
        .input("monthOfCustomer", plain(&rule["monthNo"]))
        .part(percent)
        .part(flat)
}

/// A line of the source, and what it earns by.
fn of_line(commission: &Commission, line: &Value) -> Explanation {
    let origin = plain(&line["rule"]);
    let mut told = Explanation::new(format!("line by {origin}"), Some(told(commission, &line["net"])))
        .formula(
            "the enrollment's rule for the plan, else its own, else the programme's for the plan, else tier and phase",
        )
        .rule(&["R5"])
        .input("plan", plain(&line["plan"]))
        .input("phaseFromMonth", plain(&line["phase"]["fromMonth"]))
        .input("reward", reward(commission, &line["phase"]["reward"]));
    for name in ["tier", "subscription", "periodStart", "flat"] {
        if !line[name].is_null() {
            told = told.input(name, plain(&line[name]));
        }
    }
    told
}

/// `2000 bps`, or an amount.
fn reward(commission: &Commission, reward: &Value) -> String {
    match reward["flat"].as_i64() {
        Some(minor) => commission.money(minor).to_string(),
        None => format!("{} bps", plain(&reward["percent"])),
    }
}

/// What a higher level earns.
fn of_level_below(commission: &Commission, rule: &Value) -> Explanation {
    Explanation::new("rule", Some(told(commission, &rule["rounded"])))
        .formula("round(commission of the level below × rate / 10000)")
        .exact(&rule["exact"])
        .rule(&["R1", "R6"])
        .input("levelBelow", told(commission, &rule["levelBelow"]))
        .input("rateBps", plain(&rule["bps"]))
}

fn base(commission: &Commission) -> Explanation {
    let basis = &commission.trace["basis"];
    let base = Explanation::new("base", Some(commission.money(commission.base_minor)));
    if basis["unitPrice"].is_i64() {
        return base
            .formula("list price of the plan on the day × seats")
            .rule(&["R5"])
            .input("plan", plain(&basis["plan"]))
            .input("day", plain(&basis["day"]))
            .input("unitPrice", told(commission, &basis["unitPrice"]))
            .input("seats", plain(&basis["seats"]));
    }
    let mut base = base
        .formula("round(net of the lines that count × paid in money / total of the invoice)")
        .exact(&basis["exactBase"])
        .rule(&["R1", "R5"])
        .input("eligibleNet", told(commission, &basis["eligibleNet"]))
        .input("paid", told(commission, &basis["cash"]))
        .input("total", told(commission, &basis["total"]));
    for name in ["periodStart", "anchor", "monthNo"] {
        if !basis[name].is_null() {
            base = base.input(name, plain(&basis[name]));
        }
    }
    if basis["flags"].as_array().is_some_and(|flags| !flags.is_empty()) {
        base = base.input("flags", list(&basis["flags"]));
    }
    base
}

fn reversed(commission: &Commission) -> Explanation {
    let (rule, basis) = (&commission.trace["rule"], &commission.trace["basis"]);
    let reversal = &rule["reversal"];
    let reversed = Explanation::new("reversed", Some(commission.money(commission.reversed_minor)));
    if !reversal.is_object() {
        return reversed.formula("nothing of the base is gone").rule(&["R7"]);
    }
    let mut gone = Explanation::new("gone of the base", Some(told(commission, &reversal["part"])))
        .formula("returned + cancelled inside the window + taken back by hand, at most the base")
        .rule(&["R7"]);
    for name in ["refunds", "disputes", "creditNotes"] {
        if basis[name].as_array().is_some_and(|ids| !ids.is_empty()) {
            gone = gone.input(name, list(&basis[name]));
        }
    }
    if basis["reversal"].is_object() {
        let figures = &basis["reversal"];
        gone = gone.part(
            Explanation::new("returned", Some(told(commission, &basis["reversed"])))
                .formula("creditedNet + round((base - creditedNet) × returned / (paid - creditedCash)), all of it when as much is gone as was paid")
                .rule(&["R1", "R7"])
                .input("creditedNet", told(commission, &figures["credited_net"]))
                .input("creditedCash", told(commission, &figures["credited_cash"]))
                .input("returned", told(commission, &figures["returned"]))
                .input("paid", told(commission, &figures["paid"])),
        );
    }
    if basis["cancelled"].as_i64().is_some_and(|minor| minor != 0) {
        gone = gone.part(
            Explanation::new("cancelled inside the window", Some(told(commission, &basis["cancelled"])))
                .formula("round(base × net of the subscriptions that ended / net of all lines that count)")
                .rule(&["R1", "R7"]),
        );
    }
    reversed
        .formula("round(earned × gone / base), and all of it when the whole base is gone")
        .exact(&reversal["exact"])
        .rule(&["R1", "R7"])
        .input("gone", told(commission, &reversal["part"]))
        .input("base", told(commission, &reversal["whole"]))
        .part(gone)
}

/// A step: what it moved, when, because of what, and by whom.
pub fn of_entry(entry: &Entry) -> Explanation {
    let label = format!("{} on {}", entry.kind, entry.occurred_on);
    let amount = match entry.kind {
        EntryKind::Accrual | EntryKind::Clawback | EntryKind::Restoration => entry.amount_minor,
        EntryKind::Maturity | EntryKind::PayoutReturned => entry.payable_minor,
        EntryKind::Payout | EntryKind::Credit => entry.taken_minor,
    };
    let mut step = Explanation::new(label, Some(entry.money(amount)))
        .formula(meaning(entry.kind))
        .input("step", entry.id)
        .input("cause", &entry.cause)
        .input("actor", &entry.actor)
        .input("at", entry.created_at);
    for (name, minor) in [
        ("counted", entry.counted_minor),
        ("held", entry.held_minor),
        ("payable", entry.payable_minor),
        ("taken", entry.taken_minor),
        ("owed", entry.owed_minor),
    ] {
        if minor != 0 {
            step = step.input(name, entry.money(minor));
        }
    }
    let (booked, target) = (&entry.trace["booked"], &entry.trace["target"]);
    if !booked.is_object() || !target.is_object() {
        return step;
    }
    let minor = |value: &Value| entry.money(value.as_i64().unwrap_or_default());
    let standing = |label: &str, standing: &Value| {
        Explanation::new(label, None)
            .input("earned", minor(&standing["earned"]))
            .input("reversed", minor(&standing["reversed"]))
    };
    step.rule(&["R6", "R7"]).part(standing("booked before", booked)).part(
        standing("what the facts say", target)
            .input("base", minor(&entry.trace["base"]))
            .input("gone of the base", minor(&entry.trace["baseReversed"])),
    )
}

const fn meaning(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Accrual => "what is earned by the facts - what was booked as earned",
        EntryKind::Clawback => "what was booked as reversed - what is reversed by the facts",
        EntryKind::Restoration => "what was booked as reversed - what is reversed by the facts: less than before",
        EntryKind::Maturity => "its day came: what was held is payable",
        EntryKind::Payout => "taken by an approved payout",
        EntryKind::PayoutReturned => "a payout gave it back: it is payable again",
        EntryKind::Credit => "credited to an invoice of the partner's",
    }
}

/// Texts of a JSON list, one beside the other.
fn list(value: &Value) -> String {
    value.as_array().map_or(&[][..], Vec::as_slice).iter().map(plain).collect::<Vec<_>>().join(", ")
}
