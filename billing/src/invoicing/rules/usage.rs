//! From seats and prices to the lines of one customer and plan in one month (golden rule R3, product rule 2.1).

use billing_primitives::{BasisPoints, Currency, Date, Money, Month, PriceListVersionId};

use super::amounts::{self, LineAmounts};
use crate::catalog::rules::PriceSegment;
use crate::error::Refusal;
use crate::subscriptions::rules::Segment;

/// Days with one number of seats at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub from: Date,
    /// Inclusive.
    pub to: Date,
    pub seats: i64,
    pub version: PriceListVersionId,
}

impl Piece {
    fn seat_days(&self) -> Option<i64> {
        self.seats.checked_mul(self.from.days_until(self.to) + 1)
    }
}

/// A customer's plan at one unit price in one month: what becomes a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedUsage {
    pub unit_price: Money,
    pub seat_days: i64,
    pub amounts: LineAmounts,
    pub pieces: Vec<Piece>,
}

/// A day that has seats and no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceGap {
    pub day: Date,
}

/// Why usage cannot be rated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unrated {
    NoPrice(PriceGap),
    Refused(Refusal),
}

impl From<billing_primitives::MoneyError> for Unrated {
    fn from(error: billing_primitives::MoneyError) -> Self {
        Unrated::Refused(error.into())
    }
}

/// One line per unit price, the cheapest first, each rounded once; nothing where there are no seats.
///
/// `segments` and `prices` are in the order of days and inside `month`. Segments may overlap where a customer has two
/// subscriptions of one plan behind each other or beside each other: their days add up.
///
/// # Errors
/// The first day that has seats and no price; an amount that does not fit.
pub fn rate(
    month: Month,
    currency: Currency,
    discount: BasisPoints,
    segments: &[Segment],
    prices: &[PriceSegment],
) -> Result<Vec<RatedUsage>, Unrated> {
    let mut lines: Vec<RatedUsage> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.seats > 0) {
        for price in prices {
            let (from, to) = (segment.from.max(price.from), segment.to.min(price.to));
            if from > to {
                continue;
            }
            let Some(priced) = price.priced else { return Err(Unrated::NoPrice(PriceGap { day: from })) };
            let piece = Piece { from, to, seats: segment.seats, version: priced.version };
            let unit_price = Money::new(priced.unit_price_minor, currency);
            match lines.iter_mut().find(|line| line.unit_price == unit_price) {
                Some(line) => line.pieces.push(piece),
                None => lines.push(unpriced(unit_price, piece)),
            }
        }
    }
    for line in &mut lines {
        line.seat_days = total_seat_days(&line.pieces)?;
        line.amounts = amounts::line(line.unit_price, line.seat_days, month.days(), discount)?;
    }
    lines.sort_by_key(|line| line.unit_price.minor);
    Ok(lines)
}

fn unpriced(unit_price: Money, piece: Piece) -> RatedUsage {
    let zero = Money::zero(unit_price.currency);
    let amounts = LineAmounts { gross: zero, discount: zero, net: zero };
    RatedUsage { unit_price, seat_days: 0, amounts, pieces: vec![piece] }
}

fn total_seat_days(pieces: &[Piece]) -> Result<i64, Unrated> {
    pieces
        .iter()
        .try_fold(0_i64, |sum, piece| sum.checked_add(piece.seat_days()?))
        .ok_or(Unrated::Refused(Refusal::AmountOverflow))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::rules::Priced;

    fn month() -> Month {
        "2026-04".parse().unwrap()
    }

    fn day(day: i8) -> Date {
        Date::new(2026, 4, day).unwrap()
    }

    fn price(from: i8, to: i8, minor: Option<i64>, version: PriceListVersionId) -> PriceSegment {
        let priced = minor.map(|unit_price_minor| Priced { unit_price_minor, version });
        PriceSegment { from: day(from), to: day(to), priced }
    }

    fn seats(from: i8, to: i8, seats: i64) -> Segment {
        Segment { from: day(from), to: day(to), seats }
    }

    fn bps(bps: i64) -> BasisPoints {
        BasisPoints::new(bps).unwrap()
    }

    #[test]
    fn a_price_rise_in_mid_month_makes_two_lines() {
        let (old, new) = (PriceListVersionId::new(), PriceListVersionId::new());
        let prices = [price(1, 14, Some(14_900), old), price(15, 30, Some(15_900), new)];
        let lines = rate(month(), Currency::DKK, bps(1500), &[seats(10, 20, 3)], &prices).unwrap();
        let told: Vec<_> = lines.iter().map(|line| (line.unit_price.minor, line.seat_days)).collect();
        assert_eq!(told, [(14_900, 15), (15_900, 18)]);
        assert_eq!(lines[0].amounts.gross.minor, 7_450);
    }

    #[test]
    fn two_versions_with_one_price_are_one_line() {
        let (old, new) = (PriceListVersionId::new(), PriceListVersionId::new());
        let prices = [price(1, 14, Some(999), old), price(15, 30, Some(999), new)];
        let lines = rate(month(), Currency::DKK, bps(0), &[seats(1, 30, 1)], &prices).unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].amounts.net.minor, lines[0].pieces.len()), (999, 2));
    }

    #[test]
    fn the_first_unpriced_day_with_seats_is_named() {
        let version = PriceListVersionId::new();
        let prices = [price(1, 9, None, version), price(10, 30, Some(1), version)];
        let gap = rate(month(), Currency::DKK, bps(0), &[seats(5, 6, 1)], &prices);
        assert_eq!(gap, Err(Unrated::NoPrice(PriceGap { day: day(5) })));
        assert!(rate(month(), Currency::DKK, bps(0), &[seats(10, 12, 1)], &prices).is_ok());
    }

    #[test]
    fn an_amount_that_does_not_fit_is_refused() {
        let prices = [price(1, 30, Some(i64::MAX), PriceListVersionId::new())];
        let rated = rate(month(), Currency::DKK, bps(0), &[seats(1, 30, 2)], &prices);
        assert_eq!(rated, Err(Unrated::Refused(Refusal::AmountOverflow)));
    }

    proptest! {
        #[test]
        fn cutting_segments_changes_no_line(held in 1_i64..500, cut in 2_i8..30, minor in 0_i64..100_000) {
            let prices = [price(1, 30, Some(minor), PriceListVersionId::new())];
            let whole = rate(month(), Currency::DKK, bps(3000), &[seats(1, 30, held)], &prices).unwrap();
            let parts = [seats(1, cut - 1, held), seats(cut, 30, held)];
            let cut = rate(month(), Currency::DKK, bps(3000), &parts, &prices).unwrap();
            prop_assert_eq!(whole[0].amounts, cut[0].amounts);
            prop_assert_eq!(whole[0].seat_days, cut[0].seat_days);
        }
    }
}
