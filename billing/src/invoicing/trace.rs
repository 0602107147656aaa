//! How the amounts of documents came about, written down when they are computed. Pure.

use std::fmt::Write;

use billing_primitives::{BasisPoints, ExchangeRate, Money, Month};
use serde::Serialize;

use super::rules::totals::Totals;
use super::rules::usage::{Piece, RatedUsage};
use crate::tiers::rules::{Evaluation, Previous, Ranked};
use crate::trace::json;

/// Of a usage line: written by hand, since a run writes a million of them.
pub fn usage(month: Month, discount: BasisPoints, rated: &RatedUsage) -> String {
    let mut text = String::with_capacity(200 + rated.pieces.len() * 120);
    let gross = i128::from(rated.unit_price.minor) * i128::from(rated.seat_days);
    let discounted = i128::from(rated.amounts.gross.minor) * i128::from(discount.get());
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        r#"{{"days":{},"exactDiscount":"{discounted}/10000","exactGross":"{gross}/{}","pieces":"#,
        month.days(),
        month.days()
    );
    pieces(&mut text, &rated.pieces);
    text.push_str(r#","rules":["R2","R3"]}"#);
    text
}

fn pieces(text: &mut String, pieces: &[Piece]) {
    text.push('[');
    for (index, piece) in pieces.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"from":"{}","priceListVersion":"{}","seats":{},"to":"{}"}}"#,
            piece.from, piece.version, piece.seats, piece.to
        );
    }
    text.push(']');
}

/// Of an adjustment or a correcting credit: what the month is rated at now and what was invoiced before.
pub fn correction(
    month: Month,
    discount: BasisPoints,
    unit_price: i64,
    rated: Option<&RatedUsage>,
    target: Money,
    so_far: Money,
) -> String {
    let rating = rated.map_or_else(|| "null".to_owned(), |rated| usage(month, discount, rated));
    let seat_days = rated.map_or(0, |rated| rated.seat_days);
    format!(
        r#"{{"discountBps":{},"invoicedSoFar":{},"month":"{month}","rated":{},"rating":{rating},"rules":["R3","R10"],"seatDays":{seat_days},"unitPrice":{unit_price}}}"#,
        discount.get(),
        so_far.minor,
        target.minor
    )
}

#[derive(Serialize)]
struct VatStep {
    category: &'static str,
    exact: String,
    tax: i64,
    taxable: i64,
}

fn vat_steps(totals: &Totals) -> Vec<VatStep> {
    let step = |total: &super::rules::totals::VatTotal| VatStep {
        category: total.treatment.category.as_str(),
        exact: format!("{}/10000", i128::from(total.taxable.minor) * i128::from(total.treatment.rate.get())),
        tax: total.tax.minor,
        taxable: total.taxable.minor,
    };
    totals.per_rate.iter().map(step).collect()
}

/// Of an invoice: its tier with everything that decided it, and its VAT.
pub fn invoice(
    table: &Ranked,
    evaluation: &Evaluation,
    previous: Option<Previous<'_>>,
    pin: Option<&str>,
    totals: &Totals,
) -> String {
    let tiers: Vec<_> = table
        .tiers()
        .map(|tier| serde_json::json!({ "code": tier.code, "fromUsers": tier.from_users, "discountBps": tier.discount_bps.get() }))
        .collect();
    let previous = previous.map(|previous| {
        serde_json::json!({ "billed": previous.billed, "monthsBelow": previous.months_below, "reason": previous.reason })
    });
    json(&serde_json::json!({
        "rules": ["R2", "R4", "R11"],
        "tier": {
            "table": table.table.id, "graceMonths": table.table.grace_months, "tiers": tiers,
            "users": evaluation.users, "measured": evaluation.measured, "billed": evaluation.billed,
            "discountBps": evaluation.discount.get(), "reason": evaluation.reason,
            "monthsBelow": evaluation.months_below, "previous": previous, "pin": pin,
        },
        "vat": vat_steps(totals),
    }))
}

/// Of a credit note: its VAT and the rate of its invoice.
pub fn credit_note(totals: &Totals, rate: Option<ExchangeRate>) -> String {
    json(&serde_json::json!({ "rules": ["R10"], "vat": vat_steps(totals), "exchangeRate": rate }))
}

#[cfg(test)]
mod tests {
    use billing_primitives::{Currency, PriceListVersionId};

    use super::*;
    use crate::invoicing::rules::amounts;

    #[test]
    fn a_trace_reads_back_as_the_same_text() {
        let month: Month = "2026-02".parse().unwrap();
        let (unit_price, discount) = (Money::new(14_900, Currency::DKK), BasisPoints::new(3000).unwrap());
        let piece = Piece { from: month.first(), to: month.last(), seats: 12, version: PriceListVersionId::new() };
        let amounts = amounts::line(unit_price, 336, month.days(), discount).unwrap();
        let rated = RatedUsage { unit_price, seat_days: 336, amounts, pieces: vec![piece, piece] };
        for text in [
            usage(month, discount, &rated),
            correction(month, discount, 14_900, Some(&rated), amounts.net, Money::zero(Currency::DKK)),
            correction(month, discount, 14_900, None, amounts.net, Money::zero(Currency::DKK)),
        ] {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value.to_string(), text);
        }
    }
}
