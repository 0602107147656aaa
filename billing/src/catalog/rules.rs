//! What plans and price lists may say, and which price holds on which day. Pure.
//!
//! The price of a day is that of the partner's own version in force if it has the plan, else that of the organization's
//! list in the same currency. Nothing is converted, and a missing price is said, never zero.

use std::collections::{BTreeSet, HashMap};

use billing_primitives::{
    Currency, Date, OrganizationId, PartnerId, PlanId, PriceListId, PriceListVersionId, Timestamp,
};

use super::plans::NewPlan;
use super::timeline::{Timeline, until};
use super::{Plan, Price, PriceList, PriceListVersion, Pricing, PublishPrices};
use crate::error::Refusal;
use crate::organizations::rules::{external_id, text};

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn plan(organization: OrganizationId, id: PlanId, input: &NewPlan, now: Timestamp) -> Result<Plan, Refusal> {
    Ok(Plan {
        organization_id: organization,
        id,
        external_id: external_id(&input.external_id)?,
        name: text("name", &input.name)?,
        pricing: input.pricing,
        counts_users: counts_users(input)?,
        created_at: now,
    })
}

/// # Errors
/// [`Refusal::Invalid`].
pub fn renamed(before: &Plan, name: &str) -> Result<Plan, Refusal> {
    Ok(Plan { name: text("name", name)?, ..before.clone() })
}

/// Ids of prices or products at Stripe, each once.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn stripe_ids(given: &[String]) -> Result<BTreeSet<String>, Refusal> {
    let fits = |id: &String| (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if given.len() > 100 || !given.iter().all(fits) {
        return Err(Refusal::invalid("stripeIds", "at most 100 ids of prices or products, as Stripe writes them"));
    }
    Ok(given.iter().cloned().collect())
}

/// A flat plan has no seats that somebody could sit on.
fn counts_users(input: &NewPlan) -> Result<bool, Refusal> {
    match (input.pricing, input.counts_users) {
        (Pricing::Flat, Some(true)) => Err(Refusal::invalid("countsUsers", "a flat plan counts no users")),
        (Pricing::Flat, _) => Ok(false),
        (Pricing::PerSeat, given) => Ok(given.unwrap_or(true)),
    }
}

/// # Errors
/// [`Refusal::DiffersFromRecorded`] with the field, [`Refusal::Invalid`].
pub fn same_plan(known: &Plan, input: &NewPlan) -> Result<(), Refusal> {
    let differs = |field| Refusal::DiffersFromRecorded { what: "plan", external_id: known.external_id.clone(), field };
    if known.pricing != input.pricing {
        return Err(differs("pricing"));
    }
    if known.counts_users != counts_users(input)? {
        return Err(differs("countsUsers"));
    }
    Ok(())
}

/// The prices of a version in the order of their plans.
///
/// # Errors
/// [`Refusal::Invalid`] when there is none, one is below zero, or a plan stands twice.
pub fn complete(prices: &[(PlanId, i64)]) -> Result<Vec<(PlanId, i64)>, Refusal> {
    if prices.is_empty() {
        return Err(Refusal::invalid("prices", "a version has at least one price"));
    }
    if let Some((plan, _)) = prices.iter().find(|(_, minor)| *minor < 0) {
        return Err(Refusal::invalid("prices", format!("the price of {plan} is below zero")));
    }
    let mut ordered = prices.to_vec();
    ordered.sort_unstable();
    match ordered.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Refusal::invalid("prices", format!("{} has two prices", pair[0].0))),
        None => Ok(ordered),
    }
}

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn price_list(
    organization: OrganizationId,
    id: PriceListId,
    input: &PublishPrices,
    now: Timestamp,
) -> Result<PriceList, Refusal> {
    Ok(PriceList {
        organization_id: organization,
        id,
        external_id: external_id(&input.price_list)?,
        currency: input.currency,
        partner_id: input.partner,
        created_at: now,
    })
}

/// The rows of a version.
pub fn rows(version: &PriceListVersion, currency: Currency, prices: &[(PlanId, i64)]) -> Vec<Price> {
    let row = |(plan_id, unit_price_minor): &(PlanId, i64)| Price {
        organization_id: version.organization_id,
        price_list_version_id: version.id,
        plan_id: *plan_id,
        unit_price_minor: *unit_price_minor,
        currency,
    };
    prices.iter().map(row).collect()
}

/// # Errors
/// [`Refusal::DiffersFromRecorded`] with the field.
pub fn same_list(known: &PriceList, input: &PublishPrices) -> Result<(), Refusal> {
    if known.currency != input.currency {
        return Err(differs(known, "currency"));
    }
    if known.partner_id != input.partner {
        return Err(differs(known, "partner"));
    }
    Ok(())
}

/// Whether the stored version has exactly these prices (`wanted` as [`complete`] orders them).
///
/// # Errors
/// [`Refusal::DiffersFromRecorded`].
pub fn same_prices(list: &PriceList, stored: &[Price], wanted: &[(PlanId, i64)]) -> Result<(), Refusal> {
    let mut stored: Vec<_> = stored.iter().map(|price| (price.plan_id, price.unit_price_minor)).collect();
    stored.sort_unstable();
    if stored == wanted { Ok(()) } else { Err(differs(list, "prices")) }
}

fn differs(list: &PriceList, field: &'static str) -> Refusal {
    Refusal::DiffersFromRecorded { what: "price list", external_id: list.external_id.clone(), field }
}

/// A price and the version it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Priced {
    /// Minor units per seat (or for a flat plan) and month.
    pub unit_price_minor: i64,
    pub version: PriceListVersionId,
}

/// Neighbouring days, both included, with one price; none: there is no price on these days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PriceSegment {
    pub from: Date,
    pub to: Date,
    pub priced: Option<Priced>,
}

/// The price lists of an organization and of some of its partners, ordered for look-ups.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    lists: HashMap<(Option<PartnerId>, Currency), Timeline<BookVersion>>,
}

#[derive(Debug, Clone)]
struct BookVersion {
    id: PriceListVersionId,
    prices: HashMap<PlanId, i64>,
}

impl PriceBook {
    /// Rows whose list or version is not among those given are left out.
    pub fn new(lists: &[PriceList], versions: &[PriceListVersion], prices: &[Price]) -> PriceBook {
        let mut by_version: HashMap<PriceListVersionId, HashMap<PlanId, i64>> = HashMap::with_capacity(versions.len());
        for price in prices {
            by_version.entry(price.price_list_version_id).or_default().insert(price.plan_id, price.unit_price_minor);
        }
        let keys: HashMap<PriceListId, _> =
            lists.iter().map(|list| (list.id, (list.partner_id, list.currency))).collect();
        let mut book = PriceBook { lists: HashMap::with_capacity(lists.len()) };
        for version in versions {
            let Some(key) = keys.get(&version.price_list_id) else { continue };
            let prices = by_version.remove(&version.id).unwrap_or_default();
            let timeline = book.lists.entry(*key).or_default();
            timeline.insert(version.effective_on, BookVersion { id: version.id, prices });
        }
        book
    }

    /// The prices of a plan for a partner on every day from `from` to `to`, both included.
    pub fn segments(
        &self,
        partner: PartnerId,
        currency: Currency,
        plan: PlanId,
        from: Date,
        to: Date,
    ) -> Vec<PriceSegment> {
        let agreed = self.lists.get(&(Some(partner), currency));
        let general = self.lists.get(&(None, currency));
        let mut segments: Vec<PriceSegment> = Vec::with_capacity(1);
        let mut day = from;
        while day <= to {
            let end = until(to, [agreed, general].map(|list| list.and_then(|list| list.next_change(day))));
            let priced = price_in(agreed, plan, day).or_else(|| price_in(general, plan, day));
            match segments.last_mut() {
                Some(last) if last.priced == priced => last.to = end,
                _ => segments.push(PriceSegment { from: day, to: end, priced }),
            }
            day = end.next();
        }
        segments
    }
}

fn price_in(list: Option<&Timeline<BookVersion>>, plan: PlanId, day: Date) -> Option<Priced> {
    let version = list?.on(day)?;
    let unit_price_minor = *version.prices.get(&plan)?;
    Some(Priced { unit_price_minor, version: version.id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        "2026-10-01T08:00:00Z".parse().unwrap()
    }

    /// Lists under names, published in any order.
    #[derive(Default)]
    struct Shelf {
        lists: Vec<PriceList>,
        versions: Vec<PriceListVersion>,
        prices: Vec<Price>,
    }

    impl Shelf {
        fn publish(&mut self, partner: Option<PartnerId>, currency: Currency, from: &str, prices: &[(PlanId, i64)]) {
            let organization_id = OrganizationId::new();
            let known = self.lists.iter().find(|list| (list.partner_id, list.currency) == (partner, currency));
            let price_list_id = match known {
                Some(list) => list.id,
                None => {
                    let id = PriceListId::new();
                    let external_id = format!("{partner:?}-{currency}");
                    let partner_id = partner;
                    self.lists.push(PriceList {
                        organization_id,
                        id,
                        external_id,
                        currency,
                        partner_id,
                        created_at: now(),
                    });
                    id
                }
            };
            let id = PriceListVersionId::new();
            let effective_on = day(from);
            let version = PriceListVersion { organization_id, id, price_list_id, effective_on, created_at: now() };
            self.prices.extend(rows(&version, currency, prices));
            self.versions.push(version);
        }

        fn march(&self, partner: PartnerId, currency: Currency, plan: PlanId) -> Vec<(String, String, Option<i64>)> {
            let book = PriceBook::new(&self.lists, &self.versions, &self.prices);
            book.segments(partner, currency, plan, day("2026-03-01"), day("2026-03-31"))
                .into_iter()
                .map(|s| (s.from.to_string(), s.to.to_string(), s.priced.map(|priced| priced.unit_price_minor)))
                .collect()
        }
    }

    fn told(segments: &[(&str, &str, Option<i64>)]) -> Vec<(String, String, Option<i64>)> {
        segments.iter().map(|(from, to, price)| ((*from).to_owned(), (*to).to_owned(), *price)).collect()
    }

    #[test]
    fn a_month_is_cut_where_versions_begin() {
        let (partner, other, plan) = (PartnerId::new(), PartnerId::new(), PlanId::new());
        let mut shelf = Shelf::default();
        shelf.publish(None, Currency::DKK, "2026-03-16", &[(plan, 16_900)]);
        shelf.publish(None, Currency::DKK, "2026-01-01", &[(plan, 14_900)]);
        shelf.publish(None, Currency::EUR, "2026-01-01", &[(plan, 1_990)]);
        shelf.publish(Some(other), Currency::DKK, "2026-01-01", &[(plan, 1)]);
        assert_eq!(
            shelf.march(partner, Currency::DKK, plan),
            told(&[("2026-03-01", "2026-03-15", Some(14_900)), ("2026-03-16", "2026-03-31", Some(16_900))])
        );
        assert_eq!(
            shelf.march(partner, Currency::EUR, plan),
            told(&[("2026-03-01", "2026-03-31", Some(1_990))]),
            "a list in one currency does not cut the other"
        );
    }

    #[test]
    fn an_agreed_list_goes_plan_by_plan_and_day_by_day() {
        let (partner, plan, addon) = (PartnerId::new(), PlanId::new(), PlanId::new());
        let mut shelf = Shelf::default();
        shelf.publish(None, Currency::DKK, "2026-01-01", &[(plan, 14_900), (addon, 4_900)]);
        shelf.publish(Some(partner), Currency::DKK, "2026-03-10", &[(plan, 9_900)]);
        shelf.publish(Some(partner), Currency::DKK, "2026-03-20", &[(addon, 3_900)]);
        assert_eq!(
            shelf.march(partner, Currency::DKK, plan),
            told(&[
                ("2026-03-01", "2026-03-09", Some(14_900)),
                ("2026-03-10", "2026-03-19", Some(9_900)),
                ("2026-03-20", "2026-03-31", Some(14_900)),
            ]),
            "the second agreed version drops the plan"
        );
        assert_eq!(
            shelf.march(partner, Currency::DKK, addon),
            told(&[("2026-03-01", "2026-03-19", Some(4_900)), ("2026-03-20", "2026-03-31", Some(3_900))]),
            "an agreed version without the plan does not cut it"
        );
    }

    #[test]
    fn days_without_a_price_say_so() {
        let (partner, plan, other) = (PartnerId::new(), PlanId::new(), PlanId::new());
        let mut shelf = Shelf::default();
        assert_eq!(shelf.march(partner, Currency::DKK, plan), told(&[("2026-03-01", "2026-03-31", None)]));
        shelf.publish(None, Currency::DKK, "2026-02-01", &[(other, 1)]);
        shelf.publish(None, Currency::DKK, "2026-03-31", &[(plan, 0)]);
        shelf.publish(None, Currency::DKK, "2026-04-01", &[(plan, 5)]);
        assert_eq!(
            shelf.march(partner, Currency::DKK, plan),
            told(&[("2026-03-01", "2026-03-30", None), ("2026-03-31", "2026-03-31", Some(0))]),
            "a price of zero is a price"
        );
    }

    #[test]
    fn two_versions_with_one_price_stay_two() {
        let (partner, plan) = (PartnerId::new(), PlanId::new());
        let mut shelf = Shelf::default();
        shelf.publish(None, Currency::DKK, "2026-01-01", &[(plan, 100)]);
        shelf.publish(None, Currency::DKK, "2026-03-02", &[(plan, 100)]);
        let book = PriceBook::new(&shelf.lists, &shelf.versions, &shelf.prices);
        let segments = book.segments(partner, Currency::DKK, plan, day("2026-03-01"), day("2026-03-31"));
        let versions: Vec<_> = segments.iter().filter_map(|s| s.priced.map(|p| p.version)).collect();
        assert_eq!(versions, [shelf.versions[0].id, shelf.versions[1].id]);
        assert!(book.segments(partner, Currency::DKK, plan, day("2026-03-02"), day("2026-03-01")).is_empty());
    }

    #[test]
    fn a_version_is_complete_and_plain() {
        let mut plans = [PlanId::new(), PlanId::new()];
        plans.sort_unstable();
        assert_eq!(complete(&[(plans[1], 1), (plans[0], 0)]).unwrap(), [(plans[0], 0), (plans[1], 1)]);
        for wrong in [vec![], vec![(plans[0], -1)], vec![(plans[0], 1), (plans[1], 1), (plans[0], 1)]] {
            assert_eq!(complete(&wrong).unwrap_err().field(), Some("prices"), "{wrong:?}");
        }
    }

    #[test]
    fn what_differs_from_the_record_is_named() {
        let plan = PlanId::new();
        let input = PublishPrices {
            price_list: "STANDARD".into(),
            currency: Currency::DKK,
            partner: None,
            effective_on: day("2026-01-01"),
            prices: vec![(plan, 100)],
        };
        let list = price_list(OrganizationId::new(), PriceListId::new(), &input, now()).unwrap();
        let field = |told: Result<(), Refusal>| match told {
            Err(Refusal::DiffersFromRecorded { field, .. }) => Some(field),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(field(same_list(&list, &input)), None);
        assert_eq!(
            field(same_list(&list, &PublishPrices { currency: Currency::EUR, ..input.clone() })),
            Some("currency")
        );
        let other = PublishPrices { partner: Some(PartnerId::new()), ..input.clone() };
        assert_eq!(field(same_list(&list, &other)), Some("partner"));
        let version = PriceListVersion {
            organization_id: list.organization_id,
            id: PriceListVersionId::new(),
            price_list_id: list.id,
            effective_on: input.effective_on,
            created_at: now(),
        };
        let stored = rows(&version, list.currency, &input.prices);
        assert_eq!(field(same_prices(&list, &stored, &[(plan, 100)])), None);
        for wanted in [vec![(plan, 101)], vec![], vec![(plan, 100), (PlanId::new(), 1)]] {
            assert_eq!(field(same_prices(&list, &stored, &wanted)), Some("prices"), "{wanted:?}");
        }
    }

    #[test]
    fn plans_count_users_per_seat() {
        let input =
            |pricing, counts_users| NewPlan { external_id: "PRO".into(), name: "Pro".into(), pricing, counts_users };
        for (pricing, given, counts) in [
            (Pricing::PerSeat, None, Some(true)),
            (Pricing::PerSeat, Some(false), Some(false)),
            (Pricing::Flat, None, Some(false)),
            (Pricing::Flat, Some(false), Some(false)),
            (Pricing::Flat, Some(true), None),
        ] {
            let made = plan(OrganizationId::new(), PlanId::new(), &input(pricing, given), now());
            assert_eq!(made.as_ref().ok().map(|plan| plan.counts_users), counts, "{pricing} {given:?}");
        }
        let known = plan(OrganizationId::new(), PlanId::new(), &input(Pricing::PerSeat, None), now()).unwrap();
        assert_eq!(same_plan(&known, &input(Pricing::PerSeat, Some(true))), Ok(()));
        assert!(same_plan(&known, &input(Pricing::PerSeat, Some(false))).is_err());
        assert!(same_plan(&known, &input(Pricing::Flat, None)).is_err());
    }
}
