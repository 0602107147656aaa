//! What a retail price may say, and which one holds on a day. Pure.

use std::collections::HashMap;

use billing_primitives::{Currency, CustomerId, Date, PlanId, RetailPriceId, Timestamp};

use super::{NewRetailPrice, RetailPrice};
use crate::catalog::timeline::{Timeline, until};
use crate::error::Refusal;
use crate::partners::Partner;

/// # Errors
/// [`Refusal::Invalid`] with the field, [`Refusal::CurrencyMix`] when it is not in the partner's currency.
pub fn price(
    partner: &Partner,
    id: RetailPriceId,
    input: &NewRetailPrice,
    now: Timestamp,
) -> Result<RetailPrice, Refusal> {
    if input.unit_price.currency != partner.currency {
        return Err(Refusal::CurrencyMix { left: partner.currency, right: input.unit_price.currency });
    }
    if input.unit_price.is_negative() {
        return Err(Refusal::invalid("unitPrice", "a price is not below zero"));
    }
    Ok(RetailPrice {
        organization_id: partner.organization_id,
        id,
        partner_id: partner.id,
        plan_id: input.plan,
        customer_id: input.customer,
        effective_on: input.effective_on,
        unit_price_minor: input.unit_price.minor,
        currency: input.unit_price.currency,
        created_at: now,
    })
}

/// # Errors
/// [`Refusal::DiffersFromRecorded`] with the field.
pub fn same_price(known: &RetailPrice, given: &RetailPrice) -> Result<(), Refusal> {
    let differs = |field| {
        let external_id = format!("of {} from {}", known.plan_id, known.effective_on);
        Err(Refusal::DiffersFromRecorded { what: "retail price", external_id, field })
    };
    if known.currency != given.currency {
        return differs("currency");
    }
    if known.unit_price_minor != given.unit_price_minor {
        return differs("unitPrice");
    }
    Ok(())
}

/// A partner's retail prices in one currency, ordered for look-ups.
#[derive(Debug, Clone)]
pub struct RetailPrices {
    currency: Currency,
    lines: HashMap<(PlanId, Option<CustomerId>), Timeline<i64>>,
}

impl RetailPrices {
    /// Of one partner's rows, those in `currency`: nothing is converted.
    pub fn new(currency: Currency, rows: &[RetailPrice]) -> RetailPrices {
        let mut lines: HashMap<_, Timeline<i64>> = HashMap::new();
        for row in rows.iter().filter(|row| row.currency == currency) {
            lines.entry((row.plan_id, row.customer_id)).or_default().insert(row.effective_on, row.unit_price_minor);
        }
        RetailPrices { currency, lines }
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Minor units per seat and month on `day`: the customer's own price, else the one for all.
    pub fn price_on(&self, customer: CustomerId, plan: PlanId, day: Date) -> Option<i64> {
        self.lines_of(customer, plan).into_iter().flatten().find_map(|line| line.on(day).copied())
    }

    /// Calls `each` with the first and last day of every stretch from `from` to `to` and its price.
    pub fn for_each(
        &self,
        customer: CustomerId,
        plan: PlanId,
        from: Date,
        to: Date,
        mut each: impl FnMut(Date, Date, Option<i64>),
    ) {
        let lines = self.lines_of(customer, plan);
        let mut day = from;
        while day <= to {
            let end = until(to, lines.map(|line| line.and_then(|line| line.next_change(day))));
            each(day, end, lines.into_iter().flatten().find_map(|line| line.on(day).copied()));
            day = end.next();
        }
    }

    /// The customer's own prices, then those for all.
    fn lines_of(&self, customer: CustomerId, plan: PlanId) -> [Option<&Timeline<i64>>; 2] {
        [self.lines.get(&(plan, Some(customer))), self.lines.get(&(plan, None))]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use billing_primitives::{Money, OrganizationId, PartnerId};

    use super::*;
    use crate::partners::PartnerStatus;
    use crate::vat::VatStatus;

    pub fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        "2026-10-01T08:00:00Z".parse().unwrap()
    }

    pub fn row(plan: PlanId, customer: Option<CustomerId>, from: &str, unit_price: Money) -> RetailPrice {
        RetailPrice {
            organization_id: OrganizationId::new(),
            id: RetailPriceId::new(),
            partner_id: PartnerId::new(),
            plan_id: plan,
            customer_id: customer,
            effective_on: day(from),
            unit_price_minor: unit_price.minor,
            currency: unit_price.currency,
            created_at: now(),
        }
    }

    pub fn dkk(minor: i64) -> Money {
        Money::new(minor, Currency::DKK)
    }

    fn partner() -> Partner {
        Partner {
            organization_id: OrganizationId::new(),
            id: PartnerId::new(),
            external_id: "P-1".into(),
            legal_name: "P".into(),
            email: "p@example.com".into(),
            street: "S 1".into(),
            postal_code: "1".into(),
            city: "C".into(),
            country: "DK".into(),
            vat_number: None,
            vat_status: VatStatus::Unchecked,
            vat_checked_at: None,
            vat_answer: None,
            currency: Currency::DKK,
            payment_terms_days: None,
            payment_terms_from: None,
            parent_partner_id: None,
            status: PartnerStatus::Active,
            terminated_from: None,
            created_at: now(),
        }
    }

    #[test]
    fn a_price_is_in_the_partners_currency_and_not_below_zero() {
        let partner = partner();
        let told = |unit_price| {
            let input = NewRetailPrice {
                partner: partner.id,
                plan: PlanId::new(),
                customer: None,
                effective_on: day("2026-01-01"),
                unit_price,
            };
            price(&partner, RetailPriceId::new(), &input, now()).map(|price| price.unit_price_minor)
        };
        assert_eq!(told(dkk(0)), Ok(0));
        assert_eq!(told(dkk(-1)).unwrap_err().field(), Some("unitPrice"));
        let mix = Refusal::CurrencyMix { left: Currency::DKK, right: Currency::EUR };
        assert_eq!(told(Money::new(1, Currency::EUR)), Err(mix));
    }

    #[test]
    fn another_price_of_the_day_differs() {
        let plan = PlanId::new();
        let known = row(plan, None, "2026-01-01", dkk(100));
        for (given, field) in [
            (row(plan, None, "2026-01-01", dkk(100)), None),
            (row(plan, None, "2026-01-01", dkk(101)), Some("unitPrice")),
            (row(plan, None, "2026-01-01", Money::new(100, Currency::EUR)), Some("currency")),
        ] {
            let told = same_price(&known, &given).err().map(|refusal| match refusal {
                Refusal::DiffersFromRecorded { field, .. } => field,
                other => panic!("{other}"),
            });
            assert_eq!(told, field);
        }
    }

    #[test]
    fn the_customers_own_price_comes_first() {
        let (plan, other_plan, own, other) = (PlanId::new(), PlanId::new(), CustomerId::new(), CustomerId::new());
        let rows = [
            row(plan, None, "2026-02-01", dkk(200)),
            row(plan, None, "2026-01-01", dkk(100)),
            row(plan, Some(own), "2026-01-20", dkk(50)),
            row(plan, None, "2026-01-10", Money::new(1, Currency::EUR)),
        ];
        let prices = RetailPrices::new(Currency::DKK, &rows);
        for (customer, plan, on, expected) in [
            (own, plan, "2025-12-31", None),
            (own, plan, "2026-01-19", Some(100)),
            (own, plan, "2026-01-20", Some(50)),
            (own, plan, "2026-02-01", Some(50)),
            (other, plan, "2026-01-31", Some(100)),
            (other, plan, "2026-02-01", Some(200)),
            (other, other_plan, "2026-02-01", None),
        ] {
            assert_eq!(prices.price_on(customer, plan, day(on)), expected, "{on}");
        }
        let mut stretches = Vec::new();
        prices.for_each(own, plan, day("2025-12-30"), day("2026-02-02"), |from, to, price| {
            stretches.push((from.to_string(), to.to_string(), price));
        });
        let text = |from: &str, to: &str, price| (from.to_owned(), to.to_owned(), price);
        assert_eq!(
            stretches,
            [
                text("2025-12-30", "2025-12-31", None),
                text("2026-01-01", "2026-01-19", Some(100)),
                text("2026-01-20", "2026-01-31", Some(50)),
                text("2026-02-01", "2026-02-02", Some(50)),
            ]
        );
    }
}
