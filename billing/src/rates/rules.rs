//! What a stored exchange rate may say. Pure.

use billing_primitives::Timestamp;

use super::{NewRate, StoredRate};
use crate::error::Refusal;
use crate::organizations::rules::text;

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn rate(input: &NewRate, now: Timestamp) -> Result<StoredRate, Refusal> {
    if input.from == input.to {
        return Err(Refusal::invalid("to", "a currency has no rate to itself"));
    }
    Ok(StoredRate {
        date: input.date,
        from: input.from,
        to: input.to,
        rate: input.rate,
        source: text("source", &input.source)?,
        created_at: now,
    })
}

/// Documents were converted at what is recorded; who published it is a note.
///
/// # Errors
/// [`Refusal::DiffersFromRecorded`].
pub fn same_rate(known: &StoredRate, input: &NewRate) -> Result<(), Refusal> {
    if known.rate == input.rate {
        return Ok(());
    }
    let external_id = format!("{}/{} of {}", known.from, known.to, known.date);
    Err(Refusal::DiffersFromRecorded { what: "exchange rate", external_id, field: "rate" })
}

#[cfg(test)]
mod tests {
    use billing_primitives::Currency;

    use super::*;

    fn input(rate: &str) -> NewRate {
        NewRate {
            date: "2026-10-30".parse().unwrap(),
            from: Currency::EUR,
            to: Currency::DKK,
            rate: rate.parse().unwrap(),
            source: "ECB".into(),
        }
    }

    #[test]
    fn a_rate_leads_to_another_currency_and_names_its_source() {
        let now = "2026-10-30T16:00:00Z".parse().unwrap();
        assert_eq!(rate(&input("7.46"), now).unwrap().key(), (Currency::EUR, Currency::DKK, input("7.46").date));
        for (wrong, field) in [
            (NewRate { to: Currency::EUR, ..input("7.46") }, "to"),
            (NewRate { source: " ".into(), ..input("7.46") }, "source"),
        ] {
            assert_eq!(rate(&wrong, now).unwrap_err().field(), Some(field));
        }
    }

    #[test]
    fn trailing_zeros_make_no_other_rate() {
        let known = rate(&input("7.46000000"), "2026-10-30T16:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(same_rate(&known, &NewRate { source: "by hand".into(), ..input("7.46") }), Ok(()));
        assert!(matches!(
            same_rate(&known, &input("7.4601")),
            Err(Refusal::DiffersFromRecorded { field: "rate", external_id, .. }) if external_id == "EUR/DKK of 2026-10-30"
        ));
    }
}
