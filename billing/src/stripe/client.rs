//! The way to Stripe's API: asks a [`Lookup`], follows its pages, and tries again what may pass.
//!
//! It only reads. Answers are read leniently by our own structures, since one missing field of the library's typed
//! ones would fail a whole lookup. Each request is sent once by the library; trying again is up to this file alone.

use std::time::Duration;

use miniserde::json;
use serde_json::Value;
use stripe::{Client, ClientBuilder, RequestStrategy};
use stripe_client_core::{RequestBuilder, StripeMethod};
use thiserror::Error;

use super::facts::Fact;
use super::lookup::{Lookup, Question, next_page};

const ATTEMPTS: u32 = 3;
/// The first pause; each one after it is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// When Stripe says that there were too many requests. The library does not show its `Retry-After`.
const LONG_PAUSE: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Stripe's largest.
const PAGE_SIZE: u32 = 100;
/// More than any invoice has lines; a list that never ends must not keep us.
const MAX_PAGES: usize = 200;

/// Why Stripe gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StripeError {
    /// May be gone later: no connection, no time, too many requests, a fault on Stripe's side.
    #[error("Stripe does not answer for now: {0}")]
    Passing(String),
    /// Will be so again: a wrong key, an unknown id, an answer that cannot be read.
    #[error("Stripe refused: {0}")]
    Refused(String),
}

/// Stripe's API, as one account's key sees it.
#[derive(Clone)]
pub struct StripeClient {
    client: Client,
    pause: Duration,
    long_pause: Duration,
}

impl std::fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeClient").finish_non_exhaustive()
    }
}

impl StripeClient {
    /// `base` is Stripe itself unless given, such as `http://127.0.0.1:12111`.
    ///
    /// # Errors
    /// [`StripeError::Refused`] when the key or the base cannot be used.
    pub fn new(api_key: &str, base: Option<&str>) -> Result<StripeClient, StripeError> {
        let mut builder = ClientBuilder::new(api_key).timeout(TIMEOUT).request_strategy(RequestStrategy::Once);
        if let Some(base) = base {
            // The library puts `v1` right behind it.
            builder = builder.url(format!("{}/", base.trim_end_matches('/')));
        }
        let client = builder.build().map_err(|error| StripeError::Refused(error.to_string()))?;
        Ok(StripeClient { client, pause: PAUSE, long_pause: LONG_PAUSE })
    }

    /// What Stripe knows now about what `lookup` asks for. Never a part of it.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn fetch(&self, lookup: &Lookup) -> Result<Vec<Fact>, StripeError> {
        let id = lookup.about();
        // The id becomes a part of a path. None of Stripe's has other characters.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(StripeError::Refused(format!("{id:?} is not an id of Stripe's")));
        }
        let head = match lookup.head() {
            Some(question) => Some(self.ask(&question).await?),
            None => None,
        };
        let pages = self.pages(lookup.list()).await?;
        lookup.facts(head.as_ref(), &pages).map_err(|error| StripeError::Refused(error.to_string()))
    }

    async fn pages(&self, mut question: Question) -> Result<Vec<Value>, StripeError> {
        question.parameters.push(("limit", PAGE_SIZE.to_string()));
        let plain = question.parameters.len();
        let mut pages = Vec::new();
        while pages.len() < MAX_PAGES {
            let page = self.ask(&question).await?;
            let next = next_page(&page).map_err(|error| StripeError::Refused(error.to_string()))?;
            pages.push(page);
            let Some(after) = next else { return Ok(pages) };
            question.parameters.truncate(plain);
            question.parameters.push(("starting_after", after));
        }
        Err(StripeError::Refused(format!("the list {} does not end", question.path)))
    }

    /// Asks until there is an answer, up to [`ATTEMPTS`] times.
    async fn ask(&self, question: &Question) -> Result<Value, StripeError> {
        let mut attempt = 1;
        loop {
            let (failure, pause) = match self.ask_once(question).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if attempt >= ATTEMPTS || matches!(failure, StripeError::Refused(_)) {
                return Err(failure);
            }
            let pause = pause.saturating_mul(1 << (attempt - 1));
            tracing::debug!(path = question.path, attempt, %failure, "asking Stripe again");
            tokio::time::sleep(jittered(pause)).await;
            attempt += 1;
        }
    }

    /// The failure comes with the pause that it asks for.
    async fn ask_once(&self, question: &Question) -> Result<Value, (StripeError, Duration)> {
        let mut request = RequestBuilder::new(StripeMethod::Get, question.path.as_str());
        request.query = query(&question.parameters);
        let request = request.customize::<json::Value>().request_strategy(RequestStrategy::Once);
        let answer = request.send(&self.client).await.map_err(|error| self.failure(&error))?;
        let text = json::to_string(&answer);
        serde_json::from_str(&text).map_err(|error| (StripeError::Refused(error.to_string()), self.pause))
    }

    fn failure(&self, error: &stripe::StripeError) -> (StripeError, Duration) {
        use stripe::StripeError as Library;
        match error {
            Library::Stripe(answer, 429) => (StripeError::Passing(said(answer, 429)), self.long_pause),
            Library::Stripe(answer, status @ (409 | 424 | 500..)) => {
                (StripeError::Passing(said(answer, *status)), self.pause)
            }
            Library::Stripe(answer, status) => (StripeError::Refused(said(answer, *status)), self.pause),
            // An answer that is not JSON is a gateway's, not Stripe's.
            Library::JSONDeserialize(_) | Library::ClientError(_) | Library::Timeout => {
                (StripeError::Passing(error.to_string()), self.pause)
            }
            Library::ConfigError(_) => (StripeError::Refused(error.to_string()), self.pause),
        }
    }
}

fn said(answer: &stripe::ApiErrors, status: u16) -> String {
    let message = answer.message.as_deref().unwrap_or("no reason given");
    format!("{status}: {message}")
}

/// Between half of `pause` and all of it, so that many who wait do not come back together.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    half + Duration::from_millis(rand::random_range(0..=u64::try_from(half.as_millis()).unwrap_or(0)))
}

fn query(parameters: &[(&'static str, String)]) -> Option<String> {
    // Names and values have been checked to be free of anything that would need escaping, but for the brackets.
    let escaped = |name: &str| name.replace('[', "%5B").replace(']', "%5D");
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{}={value}", escaped(name))).collect();
    Some(pairs.join("&")).filter(|query| !query.is_empty())
}

#[cfg(test)]
impl StripeClient {
    /// The same with other pauses between attempts.
    pub fn with_pause(self, pause: Duration) -> StripeClient {
        StripeClient { pause, long_pause: pause, ..self }
    }
}
