//! What an organization must have before it can bill. Pure.

use billing_primitives::{OrganizationId, Timestamp};
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;

use super::{Mode, NewOrganization, Organization};
use crate::error::Refusal;
use crate::vat;

/// Prefix that no live document carries.
const TEST_PREFIX: &str = "TEST-";

/// The organization as it will be stored, or the first field that cannot be right.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn organization(id: OrganizationId, input: &NewOrganization, now: Timestamp) -> Result<Organization, Refusal> {
    let prefix = |given: &Option<String>, usual: &str| {
        let wanted = given.as_deref().unwrap_or(usual);
        match input.mode {
            Mode::Test if !wanted.starts_with(TEST_PREFIX) => format!("{TEST_PREFIX}{wanted}"),
            _ => wanted.to_owned(),
        }
    };
    let organization = Organization {
        id,
        external_id: external_id(&input.external_id)?,
        name: text("name", &input.name)?,
        mode: input.mode,
        time_zone: input.time_zone.clone(),
        currency: input.currency,
        country: vat::country("country", &input.country)?,
        vat_number: input.vat_number.as_deref().map(vat::number).transpose()?,
        registration_number: input.registration_number.clone(),
        street: text("street", &input.street)?,
        postal_code: text("postalCode", &input.postal_code)?,
        city: text("city", &input.city)?,
        email: email(&input.email)?,
        invoice_prefix: prefix(&input.invoice_prefix, "INV-"),
        credit_note_prefix: prefix(&input.credit_note_prefix, "CRN-"),
        payment_terms_days: terms_days(input.payment_terms_days)?,
        payment_terms_from: input.payment_terms_from,
        billing_from: input.billing_from,
        run_schedule: input.run_schedule.as_deref().map(run_schedule).transpose()?,
        payout_four_eyes: input.payout_four_eyes.unwrap_or(false),
        created_at: now,
        publishable_key: None,
        public_host: None,
    };
    check_prefixes(&organization)?;
    Ok(organization)
}

/// The organization as it is given now; prefixes and the rule of four eyes stay when they are not given.
///
/// # Errors
/// [`Refusal::Invalid`]; [`Refusal::DiffersFromRecorded`] with the field that cannot change any more.
pub fn changed(before: &Organization, input: &NewOrganization) -> Result<Organization, Refusal> {
    for (same, field) in [
        (before.external_id == input.external_id, "externalId"),
        (before.mode == input.mode, "mode"),
        (before.time_zone == input.time_zone, "timeZone"),
        (before.currency == input.currency, "currency"),
        (before.billing_from == input.billing_from, "billingFrom"),
    ] {
        if !same {
            let external_id = before.external_id.clone();
            return Err(Refusal::DiffersFromRecorded { what: "organization", external_id, field });
        }
    }
    let kept = |given: &Option<String>, recorded: &String| given.clone().or_else(|| Some(recorded.clone()));
    let input = NewOrganization {
        invoice_prefix: kept(&input.invoice_prefix, &before.invoice_prefix),
        credit_note_prefix: kept(&input.credit_note_prefix, &before.credit_note_prefix),
        payout_four_eyes: input.payout_four_eyes.or(Some(before.payout_four_eyes)),
        ..input.clone()
    };
    let fresh = organization(before.id, &input, before.created_at)?;
    let (publishable_key, public_host) = (before.publishable_key.clone(), before.public_host.clone());
    Ok(Organization { publishable_key, public_host, ..fresh })
}

/// `avp_live_` or `avp_test_` and 48 hex digits. It is public, and random only so that nobody guesses who is here.
pub fn publishable_key(mode: Mode, bits: [u8; 24]) -> String {
    let prefix = match mode {
        Mode::Live => "avp_live_",
        Mode::Test => "avp_test_",
    };
    format!("{prefix}{}", hex::encode(bits))
}

/// A host name as browsers send it, without a port: small letters.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn host(given: &str) -> Result<String, Refusal> {
    let name = given.trim().to_ascii_lowercase();
    let label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    let fits = name.len() <= 200 && name.contains('.') && name.split('.').all(label);
    if fits { Ok(name) } else { Err(Refusal::invalid("host", "a host name such as partner.example.com")) }
}

fn check_prefixes(organization: &Organization) -> Result<(), Refusal> {
    if organization.invoice_prefix == organization.credit_note_prefix {
        return Err(Refusal::invalid("creditNotePrefix", "invoices and credit notes need prefixes of their own"));
    }
    for (field, prefix) in
        [("invoicePrefix", &organization.invoice_prefix), ("creditNotePrefix", &organization.credit_note_prefix)]
    {
        let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/');
        if !plain || prefix.len() > 20 {
            return Err(Refusal::invalid(field, "at most 20 letters, digits, - and /"));
        }
        if organization.mode == Mode::Live && prefix.starts_with(TEST_PREFIX) {
            return Err(Refusal::invalid(field, "TEST- is for test organizations"));
        }
    }
    Ok(())
}

/// A name that other systems use: 1 to 100 characters without control characters or surrounding blanks.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn external_id(given: &str) -> Result<String, Refusal> {
    let fits = (1..=100).contains(&given.chars().count());
    if !fits || given.trim() != given || given.chars().any(char::is_control) {
        return Err(Refusal::invalid("externalId", "1 to 100 characters, no control characters, no blanks around"));
    }
    Ok(given.to_owned())
}

/// A line of text that stands on documents: 1 to 200 characters, no control characters; blanks around it go.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn text(field: &'static str, given: &str) -> Result<String, Refusal> {
    let text = given.trim();
    if !(1..=200).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(Refusal::invalid(field, "1 to 200 characters without control characters"));
    }
    Ok(text.to_owned())
}

/// # Errors
/// [`Refusal::Invalid`].
pub fn email(given: &str) -> Result<String, Refusal> {
    let plausible = given.len() <= 254
        && !given.chars().any(|c| c.is_whitespace() || c.is_control())
        && given.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && host.contains('.')
                && !host.contains('@')
                && !host.starts_with('.')
                && !host.ends_with('.')
        });
    if plausible { Ok(given.to_owned()) } else { Err(Refusal::invalid("email", "not an e-mail address")) }
}

/// A cron expression of five fields, and a day that it will ever meet.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn run_schedule(given: &str) -> Result<String, Refusal> {
    first_ticks("runSchedule", given)?;
    Ok(given.to_owned())
}

/// As [`run_schedule`], at most once a day: a period has one payout run, and every other tick would open nothing.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn payout_schedule(given: &str) -> Result<(), Refusal> {
    match first_ticks("payoutSchedule", given)? {
        // All days it meets have the same ticks, so the first one stands for them.
        (first, Some(second)) if second.date() == first.date() => {
            Err(Refusal::invalid("payoutSchedule", "more often than once a day"))
        }
        _ => Ok(()),
    }
}

/// The first two ticks there ever were.
fn first_ticks(field: &'static str, given: &str) -> Result<(Zoned, Option<Zoned>), Refusal> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser
        .parse(given)
        .map_err(|error| Refusal::invalid(field, format!("not a cron expression of five fields: {error}")))?;
    // In UTC, where no hour is left out or comes twice, and from midnight on, so that the first day is whole.
    let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let first = cron
        .find_next_occurrence(&start, true)
        .map_err(|_| Refusal::invalid(field, "a cron expression that no day ever meets"))?;
    let second = cron.find_next_occurrence(&first, false).ok();
    Ok((first, second))
}

/// # Errors
/// [`Refusal::Invalid`].
pub fn terms_days(days: i32) -> Result<i32, Refusal> {
    match days {
        0..=365 => Ok(days),
        _ => Err(Refusal::invalid("paymentTermsDays", "0 to 365 days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in ["", "* * * *", "60 * * * *", "0 0 * * * *", "every day", "0 0 30 2 *"] {
            assert!(run_schedule(wrong).is_err(), "{wrong}");
            assert_eq!(payout_schedule(wrong).unwrap_err().field(), Some("payoutSchedule"), "{wrong}");
        }
        for right in ["0 6 1 * *", "0 6 L * *", "0 0 29 2 *"] {
            assert!(run_schedule(right).is_ok() && payout_schedule(right).is_ok(), "{right}");
        }
        for often in ["* * * * *", "0 6,18 1 * *", "59,0 23 * * MON"] {
            assert!(run_schedule(often).is_ok() && payout_schedule(often).is_err(), "{often}");
        }
        assert!(payout_schedule("0 6 * * *").is_ok());
    }

    #[test]
    fn a_host_is_a_name_and_nothing_else() {
        assert_eq!(host(" Partner.Saelger.example ").unwrap(), "partner.saelger.example");
        for wrong in
            ["", "localhost", "a..b", "-a.example", "a.example:443", "https://a.example", "a.example/x", "ø.dk"]
        {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", "a", "a@b", "a b@c.example", "@c.example", "a@.example", "a@b@c.example"] {
            assert!(email(wrong).is_err(), "{wrong}");
        }
        assert!(email("faktura@saelger.example").is_ok());
    }
}
