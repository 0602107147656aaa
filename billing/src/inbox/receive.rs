//! Receiving: verify the signature over the raw bytes, store, acknowledge. Nothing is understood here.

use billing_db::{Conn, directory};
use billing_primitives::{OrganizationId, StripeEndpointId, Timestamp};
use sha2::{Digest, Sha256};

use super::store::{self, NewEvent};
use super::{EventReason, EventStatus, job};
use crate::Billing;
use crate::error::Error;
use crate::organizations::Mode;
use crate::stripe::{Envelope, SignatureError, verify};

/// How old, or how far ahead, a signature may be, in seconds.
const TOLERANCE: i64 = 300;

/// Of an event's id, in bytes; Stripe's have 28.
const LONGEST_ID: usize = 255;

/// What became of a request with a good signature: it is acknowledged either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    Now,
    /// The same event came before, at this endpoint or at another one.
    Before,
}

/// Why a request is turned away.
#[derive(Debug)]
pub enum Rejected {
    /// No such endpoint.
    Unknown,
    /// Forged, stale or malformed; counted, and nothing else kept.
    Signature(SignatureError),
    Fault(Error),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Rejected::Fault(error)
    }
}

/// Takes what Stripe posted to an endpoint. Stored and enqueued in one transaction: whoever gets an acknowledgement finds
/// the event in the database.
///
/// # Errors
/// [`Rejected`].
pub async fn receive(billing: &Billing, endpoint: &str, header: &str, body: &[u8]) -> Result<Received, Rejected> {
    let (organization, id) = find(billing, endpoint).await?;
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        let Some((secrets, mode)) = store::secrets(conn, organization, id).await? else { return Ok(None) };
        if let Err(error) = verify(header, body, &secrets, now.microseconds() / 1_000_000, TOLERANCE) {
            store::count_rejected(conn, organization, id).await?;
            return Ok(Some(Err(error)));
        }
        keep(conn, organization, &new_event(id, body, mode, now)).await.map(|stored| Some(Ok(stored)))
    };
    match billing.db.brisk().scoped(organization, work).await? {
        None => Err(Rejected::Unknown),
        Some(Err(error)) => Err(Rejected::Signature(error)),
        Some(Ok(true)) => Ok(Received::Now),
        Some(Ok(false)) => Ok(Received::Before),
    }
}

/// Counts a request that was turned away before its signature could be looked at, such as one that is too large.
///
/// # Errors
/// [`Rejected::Unknown`], [`Rejected::Fault`].
pub async fn reject(billing: &Billing, endpoint: &str) -> Result<(), Rejected> {
    let (organization, id) = find(billing, endpoint).await?;
    let work = async |conn: &mut Conn| Ok::<_, Error>(store::count_rejected(conn, organization, id).await?);
    Ok(billing.db.scoped(organization, work).await?)
}

async fn find(billing: &Billing, endpoint: &str) -> Result<(OrganizationId, StripeEndpointId), Rejected> {
    let id: StripeEndpointId = endpoint.parse().map_err(|_| Rejected::Unknown)?;
    let found = billing.db.find(directory::Kind::StripeEndpoint, &id.to_string()).await.map_err(Error::from)?;
    Ok((found.ok_or(Rejected::Unknown)?, id))
}

/// The event as it is stored: what cannot be read at all goes by the hash of its bytes.
fn new_event(endpoint: StripeEndpointId, body: &[u8], mode: Mode, now: Timestamp) -> NewEvent {
    let text = String::from_utf8_lossy(body).replace('\0', "\u{fffd}");
    let base = NewEvent {
        event_id: String::new(),
        endpoint_id: endpoint,
        kind: "unreadable".to_owned(),
        api_version: None,
        livemode: mode == Mode::Live,
        occurred_at: now,
        received_at: now,
        body: text,
        status: EventStatus::Parked,
        reason: Some(EventReason::Unreadable),
        detail: None,
    };
    let unreadable = |detail: String| NewEvent {
        event_id: format!("sha256:{}", hex::encode(Sha256::digest(body))),
        detail: Some(detail),
        ..base.clone()
    };
    match Envelope::parse(body) {
        Err(error) => unreadable(error.to_string()),
        Ok(envelope) if envelope.id.is_empty() || envelope.id.len() > LONGEST_ID => {
            unreadable("the event's id is empty or too long".to_owned())
        }
        Ok(envelope) => {
            let matches = envelope.livemode == (mode == Mode::Live);
            NewEvent {
                event_id: envelope.id,
                kind: envelope.kind,
                api_version: envelope.api_version,
                livemode: envelope.livemode,
                occurred_at: envelope.created,
                status: if matches { EventStatus::Received } else { EventStatus::Parked },
                reason: (!matches).then_some(EventReason::LivemodeMismatch),
                ..base.clone()
            }
        }
    }
}

/// False when the event is here already.
async fn keep(conn: &mut Conn, organization: OrganizationId, event: &NewEvent) -> Result<bool, Error> {
    if !store::insert_event(conn, organization, event).await? {
        return Ok(false);
    }
    if event.status == EventStatus::Received {
        job::enqueue(conn, organization, std::slice::from_ref(&event.event_id)).await?;
    }
    Ok(true)
}
