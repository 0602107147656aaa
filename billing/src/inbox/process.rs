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
use crate::stripe::{Envelope, Fact, Lookup, News, ParseError, StripeClient, StripeError, replaces};
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
    let db = billing.db.brisk();
    let mut answers: Option<Vec<Fact>> = None;
    loop {
        let work = async |conn: &mut Conn| attempt(conn, billing, organization, event_id, answers.as_deref()).await;
        let ending = match db.scoped(organization, work).await {
            Ok(None) => return Ok(Processed::Done),
            // Stripe is asked between two transactions: nobody waits for it with a lock in hand.
            Ok(Some(questions)) => match ask(billing, &questions).await {
                Ok(told) => {
                    answers = Some(told);
                    continue;
                }
                Err(StripeError::Passing(detail)) if questions.attempts + 1 < ATTEMPTS => {
                    let note = async |conn: &mut Conn| {
                        Ok::<_, Error>(store::attempted(conn, organization, event_id, &detail).await?)
                    };
                    db.scoped(organization, note).await?;
                    return Ok(Processed::Later(detail));
                }
                Err(StripeError::Passing(detail) | StripeError::Refused(detail)) => {
                    Ending::parked(EventReason::LookupFailed, detail)
                }
            },
            Err(Error::Db(error)) if error.is_passing() => return Err(error.into()),
            Err(error) => {
                tracing::error!(event = event_id, %error, "the event is parked");
                Ending::parked(EventReason::Failed, error.to_string())
            }
        };
        let park = async |conn: &mut Conn| {
            let now = billing.clock.now(conn).await?;
            write_ending(conn, organization, event_id, &ending, None, now).await
        };
        db.scoped(organization, park).await?;
        return Ok(Processed::Done);
    }
}

/// What Stripe has to be asked about an event.
struct Questions {
    api_key: String,
    lookups: Vec<Lookup>,
    /// Times that the event was tried before.
    attempts: i32,
}

/// Processes the event unless it is done, or says what has to be asked first.
async fn attempt(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    event_id: &str,
    answers: Option<&[Fact]>,
) -> Result<Option<Questions>, Error> {
    let Some(event) = store::lock_open_event(conn, organization, event_id).await? else { return Ok(None) };
    let seller = organizations::current(conn, organization).await?;
    let now = billing.clock.now(conn).await?;
    let news = match read(&event, &seller) {
        Ok(news) => news,
        Err(ending) => {
            write_ending(conn, organization, event_id, &ending, None, now).await?;
            return Ok(None);
        }
    };
    let mut unanswered = false;
    if answers.is_none() && !news.lookups.is_empty() {
        match store::account(conn, organization).await? {
            Some(api_key) => {
                let lookups = needed(conn, organization, &news).await?;
                if !lookups.is_empty() {
                    return Ok(Some(Questions { api_key, lookups, attempts: event.attempts }));
                }
            }
            None => unanswered = news.lookups.iter().any(|lookup| !may_be_told(lookup)),
        }
    }
    let facts = newest(news.facts, answers.unwrap_or_default(), event.occurred_at);
    apply(conn, &seller, &event, &facts, unanswered, now).await?;
    Ok(None)
}

/// What the event tells, or how it ends because it tells nothing.
fn read(event: &StripeEvent, seller: &Organization) -> Result<News, Ending> {
    if event.livemode != (seller.mode == Mode::Live) {
        return Err(Ending::parked(EventReason::LivemodeMismatch, ""));
    }
    let unreadable = |error: ParseError| Ending::parked(EventReason::Unreadable, error.to_string());
    let envelope = Envelope::parse(event.body.as_bytes()).map_err(unreadable)?;
    if let Some(account) = &envelope.account {
        // What is paid to the accounts connected to a platform is no revenue of its own.
        let detail = Some(format!("of the connected account {account}"));
        return Err(Ending { detail, ..Ending::processed(Some(EventReason::NotOurs)) });
    }
    envelope.news().map_err(unreadable)
}

async fn write_ending(
    conn: &mut Conn,
    organization: OrganizationId,
    event_id: &str,
    ending: &Ending,
    customer: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    let Ending { status, reason, detail } = ending;
    let ending = store::EndOfEvent { status: *status, reason: *reason, detail: detail.as_deref(), customer, at: now };
    Ok(store::end_event(conn, organization, event_id, &ending).await?)
}

/// What the event does not say, and nothing stored does.
async fn needed(conn: &mut Conn, organization: OrganizationId, news: &News) -> Result<Vec<Lookup>, Error> {
    let intents: Vec<String> = news.lookups.iter().filter_map(intent).collect();
    let linked =
        if intents.is_empty() { BTreeSet::new() } else { store::linked_intents(conn, organization, &intents).await? };
    let open = |lookup: &&Lookup| intent(lookup).is_none_or(|intent| !linked.contains(&intent));
    Ok(news.lookups.iter().filter(open).cloned().collect())
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

/// Asks Stripe.
async fn ask(billing: &Billing, questions: &Questions) -> Result<Vec<Fact>, StripeError> {
    let client = StripeClient::new(&questions.api_key, billing.stripe_base.as_deref())?;
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
fn newest(told: Vec<Fact>, looked_up: &[Fact], as_of: Timestamp) -> Vec<Fact> {
    let mut facts: BTreeMap<(crate::stripe::FactKind, String), Fact> = BTreeMap::new();
    for fact in told.into_iter().chain(looked_up.iter().cloned()) {
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
    seller: &Organization,
    event: &StripeEvent,
    facts: &[Fact],
    unanswered: bool,
    now: Timestamp,
) -> Result<(), Error> {
    let organization = seller.id;
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
    write_ending(conn, organization, &event.event_id, &ending, customer.as_deref(), now).await
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
        Skipped::TotalsDiffer => EventReason::TotalsDiffer,
        Skipped::NoRevenue => EventReason::NoRevenue,
        Skipped::NotEarned | Skipped::OtherTrigger => return None,
    })
}
