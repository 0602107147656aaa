//! Every recorded scenario in every API version comes to the expected base, in any order, with duplicates, and with
//! two endpoints of different versions that receive the same events.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::*;

const VERSIONS: [&str; 3] = ["2024-06-20", "2025-10-29.clover", "2026-09-30.endive"];

/// Interim bases that cannot be had: the recorded answers of the API are those after the last event, so a question asked
/// earlier already tells of what comes later.
const AHEAD_OF_TIME: [(&str, &str); 3] = [
    ("13-two-partial-refunds", "the first answer names both refunds"),
    ("14-refund-failed", "the first answer has the refund as failed"),
    ("32-oneoff-credited-then-rest-refunded", "the first answer names both refunds"),
];

/// One scenario, from one endpoint or merged from several.
struct Scenario {
    name: String,
    deliveries: Vec<Delivery>,
    currency: String,
    customer: String,
    expected: Value,
}

/// What a delivery comes to once Stripe has been asked what it does not tell.
#[derive(Clone)]
struct Delivery {
    created: Timestamp,
    facts: Vec<Fact>,
}

impl Delivery {
    fn read(event: &Value, answers: &Value, livemode: bool) -> Delivery {
        let Event { livemode: live, created, mut facts, lookups, .. } =
            Event::parse(&serde_json::to_vec(event).unwrap()).unwrap();
        if live != livemode {
            return Delivery { created, facts: Vec::new() };
        }
        for lookup in lookups {
            let Question { path, parameters } = lookup.list();
            let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let key = format!("GET /v1{path}?{}", query.join("&"));
            let pages: Vec<Value> = answers.get(&key).cloned().into_iter().collect();
            facts.extend(lookup.facts(None, &pages).unwrap());
        }
        // Facts are stored as JSON.
        let facts = serde_json::from_value(serde_json::to_value(facts).unwrap()).unwrap();
        Delivery { created, facts }
    }
}

impl Known {
    fn deliver(&mut self, delivery: &Delivery) {
        delivery.facts.iter().for_each(|fact| self.learn(fact.clone(), delivery.created));
    }
}

impl Scenario {
    fn read(version: &str, name: &str) -> Scenario {
        let file = fixture_json(&format!("{version}/{name}.json"));
        let livemode = file["program"]["livemode"].as_bool().unwrap();
        let deliveries = file["deliveries"].as_array().unwrap().iter();
        let deliveries = deliveries.map(|sent| Delivery::read(&sent["event"], &file["api_lookups"], livemode));
        Scenario {
            name: name.to_owned(),
            deliveries: deliveries.collect(),
            currency: file["program"]["currency"].as_str().unwrap().to_uppercase(),
            customer: file["referred_customer"].as_str().unwrap().to_owned(),
            expected: file["expected"].clone(),
        }
    }

    fn all(version: &str) -> Vec<Scenario> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/stripe").join(version);
        let mut names: Vec<String> = std::fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.iter().map(|name| Scenario::read(version, name)).collect()
    }

    fn merged(mut self, other: Scenario) -> Scenario {
        self.deliveries.extend(other.deliveries);
        self
    }

    /// The sum over the referred customer's invoices, and whether one of them is on hold.
    fn base(&self, known: &Known) -> (i64, bool) {
        let invoices = known.invoices().filter(|invoice| self.counts(invoice));
        invoices.map(|invoice| known.assess(invoice)).fold((0, false), |(sum, hold), assessed| {
            (sum + assessed.base_minor - assessed.reversed_minor, hold || assessed.hold)
        })
    }

    fn counts(&self, invoice: &InvoiceFact) -> bool {
        invoice.customer.as_ref() == Some(&self.customer) && invoice.currency == self.currency
    }

    fn check(&self, known: &Known, how: &str) {
        let name = &self.name;
        let final_base = self.expected["final_net_minor"].as_i64().unwrap();
        assert_eq!(self.base(known).0, final_base, "{name} {how}");
        let expected = self.expected["by_invoice"].as_object().unwrap();
        let counted = known.invoices().filter(|invoice| self.counts(invoice)).count();
        assert_eq!(counted, expected.len(), "{name} {how}");
        for (id, figures) in expected {
            let invoice = known.invoices().find(|invoice| invoice.id == *id).unwrap();
            let assessed = known.assess(invoice);
            assert_eq!(assessed.base_minor, figures["accrued_minor"], "{name} {how}");
            assert_eq!(assessed.reversed_minor, figures["reversed_minor"], "{name} {how}");
            assert_eq!(assessed.hold, figures["hold"], "{name} {how}");
            assert_eq!(serde_json::to_value(&assessed.flags).unwrap(), figures["flags"], "{name} {how}");
        }
    }
}

#[test]
fn in_order_every_interim_base_is_reached() {
    let mut scenarios = 0;
    for version in VERSIONS {
        for scenario in Scenario::all(version) {
            scenarios += 1;
            let mut known = Known::default();
            let interim = scenario.expected["after_each_delivery"].as_array().unwrap();
            assert_eq!(interim.len(), scenario.deliveries.len());
            for (delivery, figures) in scenario.deliveries.iter().zip(interim) {
                known.deliver(delivery);
                if AHEAD_OF_TIME.iter().any(|(name, _)| *name == scenario.name) {
                    continue;
                }
                let (net, hold) = (figures["net_minor"].as_i64().unwrap(), figures["hold"].as_bool().unwrap());
                assert_eq!(scenario.base(&known), (net, hold), "{version} {} {}", scenario.name, figures["seq"]);
            }
            scenario.check(&known, version);
        }
    }
    assert_eq!(scenarios, 31 + 32 + 32);
}

/// Delivers everything once, twice or three times, in 100 orders.
fn shuffled(scenario: &Scenario, how: &str) {
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let sent = &scenario.deliveries;
        let mut sent: Vec<&Delivery> = sent.iter().chain(sent.iter().skip(1)).chain(sent.iter().skip(2)).collect();
        sent.shuffle(&mut random);
        let mut known = Known::default();
        sent.into_iter().for_each(|delivery| known.deliver(delivery));
        scenario.check(&known, &format!("{how} seed {seed}"));
    }
}

#[test]
fn in_any_order_the_base_is_the_same() {
    for version in VERSIONS {
        for scenario in Scenario::all(version) {
            shuffled(&scenario, version);
        }
    }
}

#[test]
fn two_endpoints_of_different_versions_are_as_one() {
    for (older, newer) in [(0, 1), (0, 2), (1, 2)] {
        for scenario in Scenario::all(VERSIONS[older]) {
            let name = scenario.name.clone();
            let merged = scenario.merged(Scenario::read(VERSIONS[newer], &name));
            shuffled(&merged, &format!("{} with {}", VERSIONS[older], VERSIONS[newer]));
        }
    }
}

#[test]
fn a_delivery_again_changes_no_fact() {
    for scenario in Scenario::all(VERSIONS[2]) {
        let mut known = Known::default();
        scenario.deliveries.iter().for_each(|delivery| known.deliver(delivery));
        let before = known.clone();
        scenario.deliveries.iter().for_each(|delivery| known.deliver(delivery));
        assert_eq!(known, before, "{}", scenario.name);
    }
}

#[test]
fn payloads_of_a_test_double_are_read() {
    let invoice = Event::parse(&fixture("_localstripe-1.15.10/08-invoice.payment_succeeded.json")).unwrap();
    let mut known = Known::default();
    for fact in invoice.facts {
        known.learn(fact, invoice.created);
    }
    let paid = known.invoices().next().unwrap();
    assert_eq!(paid.subscription.as_deref(), Some("sub_uWBSUQ4R3z3hGW"));
    assert_eq!((known.assess(paid).base_minor, known.assess(paid).hold), (4900, false));
    let link = known.facts().find(|fact| fact.kind() == FactKind::PaymentLink).unwrap();
    assert_eq!(link.keys().charge.as_deref(), Some("ch_TzxK04tBgGHXi5"));

    let subscription = Event::parse(&fixture("_localstripe-1.15.10/09-customer.subscription.created.json")).unwrap();
    let [Fact::Subscription(fact)] = subscription.facts.as_slice() else { panic!("{:?}", subscription.facts) };
    assert_eq!(fact.status.as_deref(), Some("active"));
    assert_eq!(fact.items[0].price.as_deref(), Some("pro"));
}

#[test]
fn who_came_from_where_is_read() {
    for version in VERSIONS {
        let scenario = Scenario::read(version, "01-first-invoice-monthly");
        let mut known = Known::default();
        scenario.deliveries.iter().for_each(|delivery| known.deliver(delivery));
        for fact in known.facts() {
            match fact {
                Fact::Customer(customer) => {
                    assert_eq!(customer.metadata["florentin_partner_code"], "ANNA10");
                    assert_eq!(customer.email.as_deref(), Some("billing@acme.example"));
                }
                Fact::Checkout(checkout) => {
                    assert_eq!(checkout.client_reference_id.as_deref(), Some("ref_ANNA10"));
                    assert_eq!(checkout.customer, Some(scenario.customer.clone()));
                }
                Fact::Subscription(subscription) => assert!(subscription.items[0].product.is_some()),
                Fact::Invoice(invoice) => {
                    assert!(invoice.subscription.is_some() && invoice.paid_at.is_some());
                    let line = &known.assess(invoice).eligible[0];
                    assert!(line.price.is_some() && line.product.is_some(), "{version} {line:?}");
                }
                _ => (),
            }
        }
    }
}
