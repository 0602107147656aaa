//! What a customer is and who may own it. Pure.

use billing_primitives::{CustomerId, Date, OrganizationId, Timestamp};

use super::{Customer, CustomerProfile, NewCustomer, Ownership};
use crate::error::Refusal;
use crate::organizations::rules::{email, external_id, text};
use crate::partners::{Partner, PartnerStatus};
use crate::vat;

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn customer(
    organization: OrganizationId,
    id: CustomerId,
    input: &NewCustomer,
    now: Timestamp,
) -> Result<Customer, Refusal> {
    Ok(Customer {
        organization_id: organization,
        id,
        external_id: external_id(&input.external_id)?,
        name: text("name", &input.name)?,
        country: country(input.country.as_deref())?,
        created_at: now,
        email: input.email.as_deref().map(email).transpose()?,
        stripe_customer_id: input.stripe_customer_id.as_deref().map(stripe_customer).transpose()?,
    })
}

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn changed(before: &Customer, input: &CustomerProfile) -> Result<Customer, Refusal> {
    Ok(Customer {
        name: text("name", &input.name)?,
        country: country(input.country.as_deref())?,
        email: input.email.as_deref().map(email).transpose()?,
        stripe_customer_id: input.stripe_customer_id.as_deref().map(stripe_customer).transpose()?,
        ..before.clone()
    })
}

fn country(given: Option<&str>) -> Result<Option<String>, Refusal> {
    given.map(|country| vat::country("country", country)).transpose()
}

/// The id of a customer at Stripe: `cus_` and letters, digits and `_`.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn stripe_customer(given: &str) -> Result<String, Refusal> {
    let fits = given.strip_prefix("cus_").is_some_and(|rest| {
        (1..=100).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if fits { Ok(given.to_owned()) } else { Err(Refusal::invalid("stripeCustomerId", "an id that begins with cus_")) }
}

/// Only an active partner gets customers. An ownership has no end of its own, so it would reach into any termination,
/// and a partner that owns customers cannot be terminated.
///
/// # Errors
/// [`Refusal::PartnerNotActive`].
pub fn may_own(partner: &Partner) -> Result<(), Refusal> {
    match partner.status {
        PartnerStatus::Active => Ok(()),
        PartnerStatus::Suspended | PartnerStatus::Terminated => {
            Err(Refusal::PartnerNotActive { partner: partner.external_id.clone() })
        }
    }
}

/// Whether the customer began as given.
///
/// # Errors
/// [`Refusal::DiffersFromRecorded`] with the field.
pub fn same_beginning(known: &Customer, first: Option<&Ownership>, input: &NewCustomer) -> Result<(), Refusal> {
    let differs =
        |field| Refusal::DiffersFromRecorded { what: "customer", external_id: known.external_id.clone(), field };
    match first {
        Some(first) if first.owned_from != input.owned_from => Err(differs("ownedFrom")),
        Some(first) if first.partner_id != input.owner => Err(differs("owner")),
        Some(_) => Ok(()),
        None => Err(differs("owner")),
    }
}

/// The ownership in force on `day`, of rows of one customer in any order; none before the first one.
pub fn owner_on(owners: &[Ownership], day: Date) -> Option<&Ownership> {
    owners.iter().filter(|owner| owner.owned_from <= day).max_by_key(|owner| owner.owned_from)
}

#[cfg(test)]
mod tests {
    use billing_primitives::{Currency, PartnerId};

    use super::*;
    use crate::vat::VatStatus;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        "2026-10-01T08:00:00Z".parse().unwrap()
    }

    fn input() -> NewCustomer {
        NewCustomer {
            external_id: "C-1".into(),
            name: " Nordlys ApS ".into(),
            country: Some("DK".into()),
            email: None,
            stripe_customer_id: None,
            owner: None,
            owned_from: day("2026-01-01"),
        }
    }

    fn partner(status: PartnerStatus, terminated_from: Option<&str>) -> Partner {
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
            status,
            terminated_from: terminated_from.map(day),
            created_at: now(),
        }
    }

    #[test]
    fn a_customer_is_checked_field_by_field() {
        let made = |input: &NewCustomer| customer(OrganizationId::new(), CustomerId::new(), input, now());
        assert_eq!(made(&input()).unwrap().name, "Nordlys ApS");
        assert_eq!(made(&NewCustomer { country: None, ..input() }).unwrap().country, None);
        for (wrong, field) in [
            (NewCustomer { external_id: " C-1".into(), ..input() }, "externalId"),
            (NewCustomer { name: "  ".into(), ..input() }, "name"),
            (NewCustomer { country: Some("Denmark".into()), ..input() }, "country"),
            (NewCustomer { email: Some("nobody".into()), ..input() }, "email"),
            (NewCustomer { stripe_customer_id: Some("sub_1".into()), ..input() }, "stripeCustomerId"),
            (NewCustomer { stripe_customer_id: Some("cus_".into()), ..input() }, "stripeCustomerId"),
        ] {
            assert_eq!(made(&wrong).unwrap_err().field(), Some(field));
        }
    }

    #[test]
    fn only_active_partners_get_customers() {
        for (status, from, may) in [
            (PartnerStatus::Active, None, true),
            (PartnerStatus::Suspended, None, false),
            (PartnerStatus::Terminated, Some("2026-06-01"), false),
            (PartnerStatus::Terminated, Some("2199-01-01"), false),
        ] {
            assert_eq!(may_own(&partner(status, from)).is_ok(), may, "{status} {from:?}");
        }
    }

    #[test]
    fn the_beginning_is_history() {
        let known = customer(OrganizationId::new(), CustomerId::new(), &input(), now()).unwrap();
        let first = Ownership { customer_id: known.id, owned_from: day("2026-01-01"), partner_id: None };
        let told = |first: Option<&Ownership>, input: &NewCustomer| match same_beginning(&known, first, input) {
            Err(Refusal::DiffersFromRecorded { field, .. }) => Some(field),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(told(Some(&first), &input()), None);
        assert_eq!(told(Some(&first), &NewCustomer { name: "Other".into(), ..input() }), None);
        assert_eq!(told(Some(&first), &NewCustomer { owner: Some(PartnerId::new()), ..input() }), Some("owner"));
        assert_eq!(told(Some(&first), &NewCustomer { owned_from: day("2026-01-02"), ..input() }), Some("ownedFrom"));
        assert_eq!(told(None, &input()), Some("owner"));
    }

    #[test]
    fn each_owner_holds_until_the_next() {
        let customer_id = CustomerId::new();
        let partner = PartnerId::new();
        let owners = [
            Ownership { customer_id, owned_from: day("2026-03-10"), partner_id: None },
            Ownership { customer_id, owned_from: day("2026-01-01"), partner_id: Some(partner) },
        ];
        for (on, expected) in [
            ("2025-12-31", None),
            ("2026-01-01", Some(Some(partner))),
            ("2026-03-09", Some(Some(partner))),
            ("2026-03-10", Some(None)),
        ] {
            assert_eq!(owner_on(&owners, day(on)).map(|owner| owner.partner_id), expected, "{on}");
        }
    }
}
