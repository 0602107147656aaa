//! One line: gross, discount and net (golden rules R2 and R3).

use billing_primitives::{BasisPoints, Money, MoneyError};

/// The amounts of a line. `net = gross - discount`; the net price of a seat is never rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAmounts {
    pub gross: Money,
    pub discount: Money,
    pub net: Money,
}

/// `gross = round(unit price × seat-days / days in month)`, `discount = round(gross × bps / 10000)`.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn line(
    unit_price: Money,
    seat_days: i64,
    days_in_month: i8,
    discount: BasisPoints,
) -> Result<LineAmounts, MoneyError> {
    let gross = unit_price.scaled(seat_days, i64::from(days_in_month))?;
    let discount = discount.of(gross)?;
    Ok(LineAmounts { gross, discount, net: gross.checked_sub(discount)? })
}
