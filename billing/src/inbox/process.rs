//! Processing: from a stored event to facts, and from facts to commissions, in one transaction behind the look-ups.

use std::collections::{BTreeMap, BTreeSet};

use billing_db::Conn;
use billing_primitives::{OrganizationId, Timestamp};

use super::{EventReason, EventStatus, StripeEvent, effects, job, store};
use crate::commissions::Skipped;
use crate::commissions::derive::{self, Cause, Derived};
use crate::commissions::situation::{Asked, SourceKey};
use crate::error::Error;
use crate::organizations::{Mode, Organization};
use crate::stripe::{Envelope, Fact, Lookup, News, StripeClient, StripeError, replaces};
use crate::{Actor, Billing, Caller, organizations};

/// Attempts at asking Stripe after which an event is parked.
const ATTEMPTS: i32 = 5;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// It stands in the event's row.
    Done,
    /// Stripe does not answer; try again later.
    Later(String),
}

/// How an event ends.
struct Ending {
    status: EventStatus,
    reason: Option<EventReason>,
    detail: Option<String>,
}

impl Ending {
    fn processed(reason: Option<EventReason>) -> Self {
        Ending { status: EventStatus::Processed, reason, detail: None }
    }

    fn parked(reason: EventReason, detail: impl Into<String>) -> Self {
        Ending { status: EventStatus::Parked, reason: Some(reason), detail: Some(detail.into()) }
    }
}

/// Processes an event that was received, or is to be processed again; one that is done stays as it is.
///
/// # Errors
/// Faults of the database that may pass; everything else parks the event.
pub async fn process(billing: &Billing, organization: OrganizationId, event_id: &str) -> Result<Processed, Error> {
    let read = async |conn: &mut Conn| prepare(conn, organization, event_id).await;
    let Some(Prepared { event, seller, read }) = billing.db.read(organization, read).await? else {
        return Ok(Processed::Done);
    };
    let (news, questions) = match read {
        Ok(read) => read,
        Err(ending) => return end(billing, &seller, &event, ending).await,
    };
    match ask(billing, &questions).await {
        Ok(answers) => {
            let facts = newest(news.facts, answers, event.occurred_at);
            let work =
                async |conn: &mut Conn| apply(conn, billing, &seller, &event, &facts, questions.unanswered).await;
            match billing.db.scoped(organization, work).await {
                Ok(()) => Ok(Processed::Done),
                Err(Error::Db(error)) if error.is_passing() => Err(error.into()),
                Err(error) => {
                    tracing::error!(event = event.event_id, %error, "the event is parked");
                    end(billing, &seller, &event, Ending::parked(EventReason::Failed, error.to_string())).await
                }
            }
        }
        Err(StripeError::Passing(detail)) if event.attempts + 1 < ATTEMPTS => {
            let note =
                async |conn: &mut Conn| Ok::<_, Error>(store::attempted(conn, organization, event_id, &detail).await?);
            billing.db.scoped(organization, note).await?;
            Ok(Processed::Later(detail))
        }
        Err(StripeError::Passing(detail) | StripeError::Refused(detail)) => {
            end(billing, &seller, &event, Ending::parked(EventReason::LookupFailed, detail)).await
        }
    }
}

/// An event that is to be processed, as far as it can be understood.
struct Prepared {
    event: StripeEvent,
    seller: Organization,
    read: Result<(News, Questions), Ending>,
}

/// What Stripe has to be asked.
struct Questions {
    api_key: Option<String>,
    lookups: Vec<Lookup>,
    /// No key is set, and something should have been asked.
    unanswered: bool,
}

/// None for an event that is done, or not there.
async fn prepare(conn: &mut Conn, organization: OrganizationId, event_id: &str) -> Result<Option<Prepared>, Error> {
    let found = store::events_by_ids(conn, organization, &[event_id.to_owned()]).await?.pop();
    let Some(event) = found.filter(|event| event.status != EventStatus::Processed) else { return Ok(None) };
    let seller = organizations::current(conn, organization).await?;
    let read = if event.livemode == (seller.mode == Mode::Live) {
        match Envelope::parse(event.body.as_bytes()).and_then(|envelope| envelope.news()) {
            Ok(news) => {
                let questions = questions(conn, organization, &news).await?;
                Ok((news, questions))
            }
            Err(error) => Err(Ending::parked(EventReason::Unreadable, error.to_string())),
        }
    } else {
        Err(Ending::parked(EventReason::LivemodeMismatch, ""))
    };
    Ok(Some(Prepared { event, seller, read }))
}

async fn end(
    billing: &Billing,
    seller: &Organization,
    event: &StripeEvent,
    ending: Ending,
) -> Result<Processed, Error> {
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        write_ending(conn, seller.id, event, &ending, None, now).await
    };
    billing.db.scoped(seller.id, work).await?;
    Ok(Processed::Done)
}

async fn write_ending(
    conn: &mut Conn,
    organization: OrganizationId,
    event: &StripeEvent,
    ending: &Ending,
    customer: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    let Ending { status, reason, detail } = ending;
    let customer = customer.or(event.customer.as_deref());
    let ending = store::EndOfEvent { status: *status, reason: *reason, detail: detail.as_deref(), customer, at: now };
    Ok(store::end_event(conn, organization, &event.event_id, &ending).await?)
}

/// What the event does not say, and nothing stored does.
async fn questions(conn: &mut Conn, organization: OrganizationId, news: &News) -> Result<Questions, Error> {
    if news.lookups.is_empty() {
        return Ok(Questions { api_key: None, lookups: Vec::new(), unanswered: false });
    }
    let api_key = store::account(conn, organization).await?;
    if api_key.is_none() {
        let unanswered = news.lookups.iter().any(|lookup| !may_be_told(lookup));
        return Ok(Questions { api_key, lookups: Vec::new(), unanswered });
    }
    let intents: Vec<String> = news.lookups.iter().filter_map(intent).collect();
    let linked = store::linked_intents(conn, organization, &intents).await?;
    let needed = |lookup: &&Lookup| intent(lookup).is_none_or(|intent| !linked.contains(&intent));
    let lookups = news.lookups.iter().filter(needed).cloned().collect();
    Ok(Questions { api_key, lookups, unanswered: false })
}

fn intent(lookup: &Lookup) -> Option<String> {
    match lookup {
        Lookup::PaymentsOfIntent(intent) => Some(intent.clone()),
        _ => None,
    }
}

/// Which invoice a payment paid may still be told by an event of its own.
fn may_be_told(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::PaymentsOfIntent(_) | Lookup::PaymentsOfInvoice(_))
}

/// Asks Stripe, before any transaction begins.
async fn ask(billing: &Billing, questions: &Questions) -> Result<Vec<Fact>, StripeError> {
    let Some(api_key) = questions.api_key.as_ref().filter(|_| !questions.lookups.is_empty()) else {
        return Ok(Vec::new());
    };
    let client = StripeClient::new(api_key, billing.stripe_base.as_deref())?;
    let mut facts = Vec::new();
    for lookup in &questions.lookups {
        match client.fetch(lookup).await {
            Ok(found) => facts.extend(found),
            // Only a flag hangs on it: that the invoice was paid outside Stripe.
            Err(error) if matches!(lookup, Lookup::PaymentsOfInvoice(_)) => {
                tracing::warn!(%error, invoice = lookup.about(), "the payments of an invoice are not known");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(facts)
}

/// Each object's newest fact. What a look-up answered counts as of the event's time, too.
fn newest(told: Vec<Fact>, looked_up: Vec<Fact>, as_of: Timestamp) -> Vec<Fact> {
    let mut facts: BTreeMap<(crate::stripe::FactKind, String), Fact> = BTreeMap::new();
    for fact in told.into_iter().chain(looked_up) {
        let key = (fact.kind(), fact.id());
        let stands = facts.get(&key).is_some_and(|old| !replaces((&fact, as_of), (old, as_of)));
        if !stands {
            facts.insert(key, fact);
        }
    }
    facts.into_values().collect()
}

/// Writes the facts, and what follows from them.
async fn apply(
    conn: &mut Conn,
    billing: &Billing,
    seller: &Organization,
    event: &StripeEvent,
    facts: &[Fact],
    unanswered: bool,
) -> Result<(), Error> {
    let organization = seller.id;
    if !store::lock_event(conn, organization, &event.event_id).await? {
        return Ok(());
    }
    let now = billing.clock.now(conn).await?;
    store::write_facts(conn, organization, facts, event).await?;
    let caller = Caller { organization, actor: Actor::Stripe, key: None };
    let touched = effects::of_facts(conn, &caller, event, facts, now).await?;
    let asked = Asked {
        invoices: &touched.invoices,
        news: touched.news,
        customers: &touched.customers,
        converted: &touched.converted,
    };
    let cause = Cause { cause: &event.event_id, actor: &caller.actor.to_string() };
    let derived = derive::derive(conn, organization, &seller.time_zone, now, asked, cause).await?;
    let ending = ending(event, facts, &touched, &derived, unanswered, now);
    let customer = facts.iter().find_map(|fact| fact.keys().customer);
    write_ending(conn, organization, event, &ending, customer.as_deref(), now).await
}

fn ending(
    event: &StripeEvent,
    facts: &[Fact],
    touched: &effects::Touched,
    derived: &Derived,
    unanswered: bool,
    now: Timestamp,
) -> Ending {
    if unanswered {
        return Ending::parked(EventReason::LookupNeeded, "Stripe has to be asked, and no key of it is set");
    }
    if facts.is_empty() {
        return Ending::processed(Some(EventReason::UnusedType));
    }
    let returns = facts.iter().any(|fact| matches!(fact, Fact::Refund(_) | Fact::Dispute(_)));
    if returns && touched.invoices.is_empty() {
        return if now.microseconds() - event.received_at.microseconds() < job::WAITS * 1_000_000 {
            Ending::parked(EventReason::NoInvoice, "no invoice is known that this payment paid")
        } else {
            Ending::processed(Some(EventReason::NotOurs))
        };
    }
    let own: BTreeSet<SourceKey> = touched.invoices.iter().map(SourceKey::invoice).collect();
    let reasons = derived.skipped.iter().filter(|(key, _)| own.contains(*key)).filter_map(|(_, why)| reason(*why));
    let unknown = touched.unknown_customer.then_some(EventReason::UnknownCustomer);
    Ending::processed(reasons.min().or(unknown))
}

/// What a list of events says of it; nothing where nothing was to be earned yet.
fn reason(skipped: Skipped) -> Option<EventReason> {
    Some(match skipped {
        Skipped::UnknownCustomer => EventReason::UnknownCustomer,
        Skipped::CurrencyMismatch => EventReason::CurrencyMismatch,
        Skipped::NoProgram => EventReason::NoProgram,
        Skipped::NotEnrolled => EventReason::NotEnrolled,
        Skipped::Wholesale => EventReason::Wholesale,
        Skipped::PriceMissing => EventReason::PriceMissing,
        Skipped::NotEarned | Skipped::OtherTrigger => return None,
    })
}
