//! Stripe's events, recorded in three API versions, and what they must come to.

mod assessing;
mod client;
mod scenarios;
mod signature;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use billing_primitives::Timestamp;

/// A file of the fixtures.
fn fixture(path: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/stripe");
    std::fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn fixture_json(path: &str) -> Value {
    serde_json::from_slice(&fixture(path)).unwrap()
}

/// What is known: of each object the fact that stands.
#[derive(Default, Clone, PartialEq, Debug)]
struct Known(BTreeMap<(FactKind, String), (Fact, Timestamp)>);

impl Known {
    fn learn(&mut self, fact: Fact, as_of: Timestamp) {
        let key = (fact.kind(), fact.id());
        if self.0.get(&key).is_none_or(|(old, since)| replaces((&fact, as_of), (old, *since))) {
            self.0.insert(key, (fact, as_of));
        }
    }

    fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.0.values().map(|(fact, _)| fact)
    }

    fn invoices(&self) -> impl Iterator<Item = &InvoiceFact> {
        self.facts().filter_map(|fact| if let Fact::Invoice(invoice) = fact { Some(invoice) } else { None })
    }

    /// By keys alone, as whoever stores facts finds them.
    fn related(&self, invoice: &InvoiceFact) -> Related {
        let of_invoice: Vec<FactKeys> =
            self.facts().map(Fact::keys).filter(|keys| keys.invoice.as_ref() == Some(&invoice.id)).collect();
        let paid_by = |keys: &FactKeys| {
            let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
            of_invoice.iter().any(|of| same(&of.payment_intent, &keys.payment_intent) || same(&of.charge, &keys.charge))
        };
        let mut related = Related::default();
        for fact in self.facts() {
            let keys = fact.keys();
            let near = keys.invoice.as_ref() == Some(&invoice.id) || paid_by(&keys);
            match fact.clone() {
                Fact::PaymentLink(link) if near => related.links.push(link),
                Fact::Refund(refund) if near => related.refunds.push(refund),
                Fact::Dispute(dispute) if near => related.disputes.push(dispute),
                Fact::CreditNote(note) if near => related.credit_notes.push(note),
                _ => (),
            }
        }
        related
    }

    fn assess(&self, invoice: &InvoiceFact) -> Assessment {
        assess(invoice, &self.related(invoice), DisputePolicy::ReverseAtOnce).unwrap()
    }
}
