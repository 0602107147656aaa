//! What facts lead to beside themselves: customers become known, convert, or were brought by somebody; and which
//! commissions have to be derived again.

use std::collections::BTreeSet;

use billing_db::Conn;
use billing_primitives::{CustomerId, Timestamp};

use super::StripeEvent;
use super::store;
use crate::Caller;
use crate::commissions::conversions::{self, ConversionSource, NewConversion};
use crate::error::Error;
use crate::stripe::{Fact, SubscriptionFact};

/// In the metadata of Stripe's customers, subscriptions and checkouts: our external id of the customer.
const METADATA: &str = "avance_customer";

/// What facts touch.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub invoices: Vec<String>,
    /// Something new about an invoice itself.
    pub news: bool,
    /// Everything of these customers is to be derived.
    pub customers: Vec<CustomerId>,
    pub converted: Vec<CustomerId>,
    /// They are about a Stripe customer that nobody knows.
    pub unknown_customer: bool,
}

/// # Errors
/// Faults of the database.
pub(super) async fn of_facts(
    conn: &mut Conn,
    caller: &Caller,
    event: &StripeEvent,
    facts: &[Fact],
    now: Timestamp,
) -> Result<Touched, Error> {
    let organization = caller.organization;
    let mut touched = Touched {
        invoices: invoices(conn, caller, facts).await?,
        news: facts.iter().any(|fact| matches!(fact, Fact::Invoice(_))),
        ..Touched::default()
    };
    let says = facts.iter().filter_map(identification).collect::<Vec<_>>();
    let mapped = store::map_customers(conn, organization, &says).await?;
    touched.customers.extend(&mapped);

    let about: BTreeSet<String> = facts.iter().filter_map(|fact| fact.keys().customer).collect();
    let about: Vec<String> = about.into_iter().collect();
    let known = store::customers(conn, organization, &about).await?;
    touched.unknown_customer = !about.is_empty() && known.is_empty();
    let of = |stripe: &Option<String>| stripe.as_ref().and_then(|stripe| known.get(stripe)).copied();

    let subscriptions = facts.iter().filter_map(|fact| match fact {
        Fact::Subscription(subscription) => Some((subscription, of(&subscription.customer)?)),
        _ => None,
    });
    for (subscription, customer) in subscriptions {
        // Its end may be a cancellation, and while it runs the end of another one is none.
        touched.customers.push(customer);
        if subscription.status.as_deref() == Some("active") {
            let conversion = conversion(conn, caller, event, subscription, customer).await?;
            conversions::convert(conn, caller, &conversion, now).await?;
            touched.converted.push(customer);
        }
    }
    touched.customers.sort_unstable();
    touched.customers.dedup();
    Ok(touched)
}

/// Which invoices the facts concern, as far as their payments are known.
async fn invoices(conn: &mut Conn, caller: &Caller, facts: &[Fact]) -> Result<Vec<String>, Error> {
    let (mut invoices, mut intents, mut charges) = (BTreeSet::new(), Vec::new(), Vec::new());
    for fact in facts {
        let keys = fact.keys();
        match fact {
            Fact::Invoice(_) | Fact::CreditNote(_) => invoices.extend(keys.invoice),
            Fact::PaymentLink(_) | Fact::Refund(_) | Fact::Dispute(_) => {
                invoices.extend(keys.invoice);
                intents.extend(keys.payment_intent);
                charges.extend(keys.charge);
            }
            Fact::Subscription(_) | Fact::Customer(_) | Fact::Checkout(_) => {}
        }
    }
    if !intents.is_empty() || !charges.is_empty() {
        invoices.extend(store::invoices_paid_by(conn, caller.organization, &intents, &charges).await?);
    }
    Ok(invoices.into_iter().collect())
}

/// Which customer of ours a customer of Stripe's is, as the seller said when it made it: `(Stripe's id, external id)`.
fn identification(fact: &Fact) -> Option<(String, String)> {
    match fact {
        Fact::Customer(customer) => Some((customer.id.clone(), customer.metadata.get(METADATA)?.clone())),
        Fact::Subscription(subscription) => {
            Some((subscription.customer.clone()?, subscription.metadata.get(METADATA)?.clone()))
        }
        Fact::Checkout(checkout) => {
            let named = checkout.metadata.get(METADATA).or(checkout.client_reference_id.as_ref())?;
            Some((checkout.customer.clone()?, named.clone()))
        }
        _ => None,
    }
}

async fn conversion<'a>(
    conn: &mut Conn,
    caller: &Caller,
    event: &'a StripeEvent,
    subscription: &'a SubscriptionFact,
    customer: CustomerId,
) -> Result<NewConversion<'a>, Error> {
    let item = subscription.items.first();
    let ids = item.map(|item| [item.price.clone(), item.product.clone()]);
    let ids: Vec<String> = ids.into_iter().flatten().flatten().collect();
    let plans = crate::commissions::store::facts::plan_refs(conn, caller.organization, &ids).await?;
    let plan = ids.iter().find_map(|id| plans.iter().find(|row| row.stripe_id == *id)).map(|row| row.plan_id);
    Ok(NewConversion {
        customer,
        converted_at: event.occurred_at,
        subscription: Some(&subscription.id),
        plan,
        seats: item.and_then(|item| item.quantity).unwrap_or(1).max(1),
        source: ConversionSource::Stripe,
        cause: &event.event_id,
    })
}
