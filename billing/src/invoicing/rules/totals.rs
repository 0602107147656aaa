//! Totals of a document: VAT once per category and rate on the sum of the nets (golden rule R4).

use std::collections::BTreeMap;

use billing_primitives::{Currency, ExchangeRate, Money, MoneyError};

use crate::vat::VatTreatment;

/// VAT of one category and rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VatTotal {
    pub treatment: VatTreatment,
    pub taxable: Money,
    pub tax: Money,
}

/// What a document comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    pub net: Money,
    pub vat: Money,
    pub gross: Money,
    pub per_rate: Vec<VatTotal>,
}

/// Adds up the nets of the lines and computes VAT once per category and rate, never per line.
///
/// # Errors
/// [`MoneyError::Overflow`], [`MoneyError::CurrencyMix`].
pub fn totals(
    currency: Currency,
    lines: impl IntoIterator<Item = (VatTreatment, Money)>,
) -> Result<Totals, MoneyError> {
    let mut taxable: BTreeMap<VatTreatment, Money> = BTreeMap::new();
    for (treatment, net) in lines {
        let sum = taxable.entry(treatment).or_insert(Money::zero(currency));
        *sum = sum.checked_add(net)?;
    }
    let per_rate = taxable
        .into_iter()
        .map(|(treatment, taxable)| Ok(VatTotal { treatment, taxable, tax: treatment.rate.of(taxable)? }))
        .collect::<Result<Vec<_>, MoneyError>>()?;
    let net = Money::sum(currency, per_rate.iter().map(|total| total.taxable))?;
    let vat = Money::sum(currency, per_rate.iter().map(|total| total.tax))?;
    Ok(Totals { net, vat, gross: net.checked_add(vat)?, per_rate })
}

/// The VAT total in the currency of the books, converted once; none when it is that currency or there is no VAT.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn vat_for_books(vat: Money, books: Currency, rate: Option<ExchangeRate>) -> Result<Option<Money>, MoneyError> {
    match rate {
        Some(rate) if needs_conversion(vat, books) => rate.convert(vat, books).map(Some),
        _ => Ok(None),
    }
}

/// Whether the document needs an exchange rate (compliance: VAT stands in the currency of the books, too).
pub fn needs_conversion(vat: Money, books: Currency) -> bool {
    vat.is_positive() && vat.currency != books
}
