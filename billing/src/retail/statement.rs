//! A partner's month at retail: retail = retail price x seat-days (R3), margin = retail - wholesale net. Pure.
//!
//! Per customer and plan each retail unit price is rounded once. A seat-day without a retail price makes the line's
//! retail and margin unknown, and an unknown line makes the totals unknown.

use std::collections::BTreeMap;

use billing_primitives::{Currency, CustomerId, Date, Money, MoneyError, Month, PlanId};

use super::rules::RetailPrices;

/// Seats that a customer of the partner held on every day from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub customer: CustomerId,
    pub plan: PlanId,
    pub from: Date,
    pub to: Date,
    pub seats: i64,
}

/// What the partner was billed for a customer and plan in the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholesaleLine {
    pub customer: CustomerId,
    pub plan: PlanId,
    pub net: Money,
    /// Billed in this month, but for an earlier one.
    pub adjustment: bool,
}

/// The seat-days of a line at one retail unit price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RetailPart {
    pub unit_price: Money,
    pub seat_days: i64,
    /// `round(unit price x seat-days / days in month)`.
    pub amount: Money,
}

/// One customer and plan of the month.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RetailLine {
    pub customer: CustomerId,
    pub plan: PlanId,
    pub seat_days: i64,
    /// By retail unit price, the lowest first; seat-days without a price stand in none.
    pub parts: Vec<RetailPart>,
    /// None: some seat-day has no retail price.
    pub retail: Option<Money>,
    /// Everything billed in the month, adjustments for earlier months included.
    pub wholesale_net: Money,
    /// The part of `wholesale_net` that is for earlier months.
    pub adjustments: Money,
    /// None: unknown, because `retail` is.
    pub margin: Option<Money>,
}

/// Sums over all lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RetailTotals {
    pub seat_days: i64,
    /// None when that of any line is unknown.
    pub retail: Option<Money>,
    pub wholesale_net: Money,
    /// None when that of any line is unknown.
    pub margin: Option<Money>,
}

/// A partner's month at retail, lines in the order of customer and plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RetailStatement {
    pub month: Month,
    pub currency: Currency,
    pub lines: Vec<RetailLine>,
    pub totals: RetailTotals,
}

/// What the partner should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RetailWarning {
    /// The month's seats were sold for less than they cost.
    BelowWholesale { customer: CustomerId, plan: PlanId, retail: Money, wholesale_net: Money },
}

/// The statement of a month. Usage outside the month and days without seats do not count.
///
/// # Errors
/// [`MoneyError::CurrencyMix`] when a wholesale line is not in the currency of `prices`, [`MoneyError::Overflow`].
pub fn statement(
    month: Month,
    usage: &[Usage],
    wholesale: &[WholesaleLine],
    prices: &RetailPrices,
) -> Result<RetailStatement, MoneyError> {
    let currency = prices.currency();
    let mut open: BTreeMap<(CustomerId, PlanId), OpenLine> = BTreeMap::new();
    for usage in usage.iter().filter(|usage| usage.seats != 0) {
        let (from, to) = (usage.from.max(month.first()), usage.to.min(month.last()));
        if from <= to {
            let line = open.entry((usage.customer, usage.plan)).or_insert_with(|| OpenLine::new(currency));
            line.use_seats(prices, &Usage { from, to, ..*usage })?;
        }
    }
    for billed in wholesale {
        let line = open.entry((billed.customer, billed.plan)).or_insert_with(|| OpenLine::new(currency));
        line.wholesale_net = line.wholesale_net.checked_add(billed.net)?;
        if billed.adjustment {
            line.adjustments = line.adjustments.checked_add(billed.net)?;
        }
    }
    let lines = open
        .into_iter()
        .map(|((customer, plan), line)| line.close(customer, plan, month, currency))
        .collect::<Result<Vec<RetailLine>, MoneyError>>()?;
    let totals = totals(currency, &lines)?;
    Ok(RetailStatement { month, currency, lines, totals })
}

/// What to warn the partner of. Adjustments are for earlier months, so they say nothing about this month's prices.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn warnings(statement: &RetailStatement) -> Result<Vec<RetailWarning>, MoneyError> {
    let mut found = Vec::new();
    for line in &statement.lines {
        let Some(retail) = line.retail else { continue };
        let wholesale_net = line.wholesale_net.checked_sub(line.adjustments)?;
        if retail.minor < wholesale_net.minor {
            let (customer, plan) = (line.customer, line.plan);
            found.push(RetailWarning::BelowWholesale { customer, plan, retail, wholesale_net });
        }
    }
    Ok(found)
}

/// A line while its usage is counted.
struct OpenLine {
    seat_days: i64,
    priced: BTreeMap<i64, i64>,
    unpriced: bool,
    wholesale_net: Money,
    adjustments: Money,
}

impl OpenLine {
    fn new(currency: Currency) -> OpenLine {
        OpenLine {
            seat_days: 0,
            priced: BTreeMap::new(),
            unpriced: false,
            wholesale_net: Money::zero(currency),
            adjustments: Money::zero(currency),
        }
    }

    fn use_seats(&mut self, prices: &RetailPrices, usage: &Usage) -> Result<(), MoneyError> {
        let mut fits = Ok(());
        prices.for_each(usage.customer, usage.plan, usage.from, usage.to, |from, to, price| {
            fits = fits.and_then(|()| self.use_stretch(usage.seats, from.days_until(to) + 1, price));
        });
        fits
    }

    fn use_stretch(&mut self, seats: i64, days: i64, price: Option<i64>) -> Result<(), MoneyError> {
        let seat_days = seats.checked_mul(days).ok_or(MoneyError::Overflow)?;
        self.seat_days = self.seat_days.checked_add(seat_days).ok_or(MoneyError::Overflow)?;
        match price {
            None => self.unpriced = true,
            Some(price) => {
                let at_price = self.priced.entry(price).or_default();
                *at_price = at_price.checked_add(seat_days).ok_or(MoneyError::Overflow)?;
            }
        }
        Ok(())
    }

    fn close(
        self,
        customer: CustomerId,
        plan: PlanId,
        month: Month,
        currency: Currency,
    ) -> Result<RetailLine, MoneyError> {
        let part = |(minor, seat_days): (i64, i64)| {
            let unit_price = Money::new(minor, currency);
            let amount = unit_price.scaled(seat_days, i64::from(month.days()))?;
            Ok(RetailPart { unit_price, seat_days, amount })
        };
        let parts = self.priced.into_iter().map(part).collect::<Result<Vec<RetailPart>, MoneyError>>()?;
        let retail = match self.unpriced {
            true => None,
            false => Some(Money::sum(currency, parts.iter().map(|part| part.amount))?),
        };
        let margin = retail.map(|retail| retail.checked_sub(self.wholesale_net)).transpose()?;
        Ok(RetailLine {
            customer,
            plan,
            seat_days: self.seat_days,
            parts,
            retail,
            wholesale_net: self.wholesale_net,
            adjustments: self.adjustments,
            margin,
        })
    }
}

fn totals(currency: Currency, lines: &[RetailLine]) -> Result<RetailTotals, MoneyError> {
    let known = |amounts: Option<Vec<Money>>| amounts.map(|amounts| Money::sum(currency, amounts)).transpose();
    let mut seat_days = 0_i64;
    for line in lines {
        seat_days = seat_days.checked_add(line.seat_days).ok_or(MoneyError::Overflow)?;
    }
    Ok(RetailTotals {
        seat_days,
        retail: known(lines.iter().map(|line| line.retail).collect())?,
        wholesale_net: Money::sum(currency, lines.iter().map(|line| line.wholesale_net))?,
        margin: known(lines.iter().map(|line| line.margin).collect())?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::rules::tests::{day, dkk, row};
    use super::*;

    fn april() -> Month {
        "2026-04".parse().unwrap()
    }

    fn usage(customer: CustomerId, plan: PlanId, from: &str, to: &str, seats: i64) -> Usage {
        Usage { customer, plan, from: day(from), to: day(to), seats }
    }

    fn billed(customer: CustomerId, plan: PlanId, net: i64) -> WholesaleLine {
        WholesaleLine { customer, plan, net: dkk(net), adjustment: false }
    }

    /// Seat-days, retail and margin of the only line.
    fn only(statement: &RetailStatement) -> (i64, Option<i64>, Option<i64>) {
        assert_eq!(statement.lines.len(), 1);
        let line = &statement.lines[0];
        assert_eq!((line.retail, line.margin), (statement.totals.retail, statement.totals.margin));
        (line.seat_days, line.retail.map(|money| money.minor), line.margin.map(|money| money.minor))
    }

    #[test]
    fn retail_is_price_times_seat_days() {
        let (customer, plan) = (CustomerId::new(), PlanId::new());
        let prices = RetailPrices::new(Currency::DKK, &[row(plan, None, "2026-01-01", dkk(19_900))]);
        for (name, used, net, expected) in [
            (
                "whole month",
                vec![usage(customer, plan, "2026-04-01", "2026-04-30", 12)],
                125_160,
                (360, 238_800, 113_640),
            ),
            (
                "five more from the 16th",
                vec![
                    usage(customer, plan, "2026-04-01", "2026-04-15", 10),
                    usage(customer, plan, "2026-04-16", "2026-04-30", 15),
                ],
                130_375,
                (375, 248_750, 118_375),
            ),
            (
                "days of other months and days without seats do not count",
                vec![
                    usage(customer, plan, "2026-03-15", "2026-04-01", 1),
                    usage(customer, plan, "2026-04-02", "2026-05-10", 0),
                ],
                0,
                (1, 663, 663),
            ),
        ] {
            let made = statement(april(), &used, &[billed(customer, plan, net)], &prices).unwrap();
            assert_eq!(only(&made), (expected.0, Some(expected.1), Some(expected.2)), "{name}");
        }
    }

    #[test]
    fn each_unit_price_is_rounded_once() {
        let (customer, plan) = (CustomerId::new(), PlanId::new());
        let rows = [
            row(plan, None, "2026-04-01", dkk(100)),
            row(plan, None, "2026-04-11", dkk(101)),
            row(plan, None, "2026-04-21", dkk(100)),
        ];
        let prices = RetailPrices::new(Currency::DKK, &rows);
        let used = [usage(customer, plan, "2026-04-01", "2026-04-30", 1)];
        let made = statement(april(), &used, &[billed(customer, plan, 90)], &prices).unwrap();
        let parts: Vec<_> =
            made.lines[0].parts.iter().map(|p| (p.unit_price.minor, p.seat_days, p.amount.minor)).collect();
        // Rounded per stretch it would be 33 + 34 + 33.
        assert_eq!(parts, [(100, 20, 67), (101, 10, 34)]);
        assert_eq!(only(&made), (30, Some(101), Some(11)));
    }

    #[test]
    fn a_seat_day_without_a_price_makes_the_margin_unknown() {
        let (priced, unpriced, plan) = (CustomerId::new(), CustomerId::new(), PlanId::new());
        let prices = RetailPrices::new(
            Currency::DKK,
            &[row(plan, Some(priced), "2026-01-01", dkk(300)), row(plan, Some(unpriced), "2026-04-30", dkk(300))],
        );
        let used =
            [usage(priced, plan, "2026-04-01", "2026-04-30", 1), usage(unpriced, plan, "2026-04-29", "2026-04-30", 2)];
        let made = statement(april(), &used, &[billed(priced, plan, 100), billed(unpriced, plan, 7)], &prices).unwrap();
        let line = |customer| made.lines.iter().find(|line| line.customer == customer).unwrap();
        assert_eq!(line(priced).margin, Some(dkk(200)));
        assert_eq!((line(unpriced).seat_days, line(unpriced).retail, line(unpriced).margin), (4, None, None));
        assert_eq!(line(unpriced).parts.iter().map(|part| part.seat_days).sum::<i64>(), 2);
        let expected = RetailTotals { seat_days: 34, retail: None, wholesale_net: dkk(107), margin: None };
        assert_eq!(made.totals, expected);
        assert_eq!(warnings(&made).unwrap(), []);
    }

    #[test]
    fn adjustments_count_in_the_month_they_are_billed() {
        let (customer, gone, plan) = (CustomerId::new(), CustomerId::new(), PlanId::new());
        let prices = RetailPrices::new(Currency::DKK, &[row(plan, None, "2026-01-01", dkk(300))]);
        let adjusted = |customer| WholesaleLine { adjustment: true, ..billed(customer, plan, 250) };
        let wholesale = [billed(customer, plan, 200), adjusted(customer), adjusted(gone)];
        let used = [usage(customer, plan, "2026-04-01", "2026-04-30", 1)];
        let made = statement(april(), &used, &wholesale, &prices).unwrap();
        let line = |customer| made.lines.iter().find(|line| line.customer == customer).unwrap();
        assert_eq!(line(customer).margin, Some(dkk(-150)));
        assert_eq!(line(customer).adjustments, dkk(250));
        assert_eq!((line(gone).retail, line(gone).margin), (Some(dkk(0)), Some(dkk(-250))));
        assert_eq!(made.totals.margin, Some(dkk(-400)));
        assert_eq!(warnings(&made).unwrap(), [], "this month was sold above wholesale");
    }

    #[test]
    fn selling_below_wholesale_warns() {
        let (customer, plan) = (CustomerId::new(), PlanId::new());
        let used = [usage(customer, plan, "2026-04-01", "2026-04-30", 1)];
        for (retail, below) in [(99, true), (100, false), (101, false)] {
            let prices = RetailPrices::new(Currency::DKK, &[row(plan, None, "2026-01-01", dkk(retail))]);
            let made = statement(april(), &used, &[billed(customer, plan, 100)], &prices).unwrap();
            let (retail, wholesale_net) = (dkk(retail), dkk(100));
            let warning = RetailWarning::BelowWholesale { customer, plan, retail, wholesale_net };
            assert_eq!(warnings(&made).unwrap(), below.then_some(warning).into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_empty_month_adds_up_to_zero_and_currencies_never_meet() {
        let prices = RetailPrices::new(Currency::EUR, &[]);
        let empty = statement(april(), &[], &[], &prices).unwrap();
        let zero = Money::zero(Currency::EUR);
        assert_eq!((empty.totals.retail, empty.totals.margin), (Some(zero), Some(zero)));
        let mixed = statement(april(), &[], &[billed(CustomerId::new(), PlanId::new(), 1)], &prices);
        assert!(matches!(mixed, Err(MoneyError::CurrencyMix { .. })));
    }
}
