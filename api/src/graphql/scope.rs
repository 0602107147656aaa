//! What a resolver works with: the product, who asks, and the request's loaders.
//!
//! A scope belongs to one request and one organization; nothing in it outlives the answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{Context, Error, ID};
use billing::{Applied, Billing, Caller, Refusal};
use billing_primitives::OrganizationId;
use uuid::Uuid;

use super::batch::Batches;
use super::errors::{Code, UserError};
use super::loaders::Rows;
use crate::auth::Session;

/// Names one request in answers and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub fn fresh() -> RequestId {
        RequestId(format!("req_{}", Uuid::now_v7().simple()).into())
    }

    /// The caller's own, if it is fit for a log line: 1 to 128 letters, digits and `-_.:`.
    pub fn given(text: &str) -> Option<RequestId> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        ((1..=128).contains(&text.len()) && text.bytes().all(fits)).then(|| RequestId(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request's commands leave to be said about its answer.
#[derive(Debug, Clone, Default)]
pub struct Aftermath(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    replayed: AtomicBool,
    secret: AtomicBool,
}

impl Aftermath {
    /// Whether a command had been carried out before, under the same idempotency key.
    pub fn is_replayed(&self) -> bool {
        self.0.replayed.load(Ordering::Relaxed)
    }

    /// Whether the answer shows a secret: it is not kept then, not even for a retry.
    pub fn is_secret(&self) -> bool {
        self.0.secret.load(Ordering::Relaxed)
    }
}

/// The surroundings of one operation.
pub struct Scope {
    pub billing: Billing,
    pub caller: Caller,
    loader: DataLoader<Rows>,
    aftermath: Aftermath,
}

impl Scope {
    /// `batches` has to be driven together with the operation.
    pub fn new(billing: Billing, session: &Session, aftermath: Aftermath, batches: Batches) -> Self {
        let rows = Rows { billing: billing.clone(), organization: session.caller.organization };
        let loader = DataLoader::new(rows, move |read| batches.add(read)).delay(Duration::ZERO);
        Scope { billing, caller: session.caller.clone(), loader, aftermath }
    }

    /// The scope of the operation that is being executed.
    ///
    /// # Errors
    /// A fault: the operation was started without one.
    pub fn of<'a>(ctx: &Context<'a>) -> Result<&'a Scope, Error> {
        ctx.data::<Scope>()
    }

    pub fn organization(&self) -> OrganizationId {
        self.caller.organization
    }

    /// Loads one row (or the rows of one parent) in the same statement as all its neighbours of the answer.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn load<K>(&self, key: K) -> Result<Option<<Rows as Loader<K>>::Value>, Error>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
        Rows: Loader<K, Error = Arc<billing::Error>>,
    {
        Ok(self.loader.load_one(key).await?)
    }

    /// Says that the answer will show a secret.
    pub fn shows_secret(&self) {
        self.aftermath.0.secret.store(true, Ordering::Relaxed);
    }

    /// As [`Scope::load`], for the rows of one parent.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn list<K, R>(&self, parent: K) -> Result<Vec<R>, Error>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
        R: Send + Sync + Clone + 'static,
        Rows: Loader<K, Value = Vec<R>, Error = Arc<billing::Error>>,
    {
        Ok(self.load(parent).await?.unwrap_or_default())
    }

    /// As [`Scope::load`], for a row that another one refers to.
    ///
    /// # Errors
    /// Faults, also when there is no such row: a reference never points nowhere.
    pub async fn need<K>(&self, key: K) -> Result<<Rows as Loader<K>>::Value, Error>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + std::fmt::Display + 'static,
        Rows: Loader<K, Error = Arc<billing::Error>>,
    {
        let missing = || billing::Error::Corrupt(format!("{key} is referred to and does not exist"));
        self.load(key.clone()).await?.ok_or_else(|| missing().into())
    }

    /// The row of an id as it was sent; a text that is no such id names nothing.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn find<K>(&self, id: &ID) -> Result<Option<<Rows as Loader<K>>::Value>, Error>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + std::str::FromStr + 'static,
        Rows: Loader<K, Error = Arc<billing::Error>>,
    {
        match id.parse() {
            Ok(id) => self.load::<K>(id).await,
            Err(_) => Ok(None),
        }
    }

    /// Carries out one command: its outcome and its refusals both go into the payload; faults are errors.
    ///
    /// # Errors
    /// Faults, and an idempotency key that was used for something else.
    pub async fn command<R, P>(
        &self,
        work: impl Future<Output = Result<Applied<R>, billing::Error>>,
    ) -> Result<P, Error>
    where
        P: Payload<R>,
    {
        match work.await {
            Ok(Applied::Now(outcome)) => Ok(P::done(outcome)),
            Ok(Applied::Before(outcome)) => {
                self.aftermath.0.replayed.store(true, Ordering::Relaxed);
                Ok(P::done(outcome))
            }
            Err(billing::Error::Refused(refusal)) => Ok(P::refused(UserError::from(&refusal))),
            Err(fault) => Err(fault.into()),
        }
    }
}

/// What a mutation answers: its object, or why there is none.
pub trait Payload<R> {
    fn done(outcome: R) -> Self;
    fn refused(error: UserError) -> Self;
}

/// Writes payload types: one nullable object each, made from the command's outcome, and `userErrors`.
#[macro_export]
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident: $object:ty as $outcome:ty })*) => {$(
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $(#[$field_doc])*
            pub $field: Option<$object>,
            /// Why nothing was done; empty when it was.
            pub user_errors: Vec<$crate::graphql::errors::UserError>,
        }

        impl $crate::graphql::scope::Payload<$outcome> for $name {
            fn done(outcome: $outcome) -> Self {
                $name { $field: Some(outcome.into()), user_errors: Vec::new() }
            }

            fn refused(error: $crate::graphql::errors::UserError) -> Self {
                $name { $field: None, user_errors: vec![error] }
            }
        }
    )*};
}

/// Reads the id of a noun from an input; a text that is no such id is an object that does not exist.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn id<T: std::str::FromStr>(field: &'static str, what: &'static str, given: &ID) -> Result<T, Refusal> {
    given.parse().map_err(|_| Refusal::not_found(field, what, given.as_str()))
}

/// The two names an object has.
pub enum Name {
    Id(ID),
    External(String),
}

/// Reads the arguments of a query for one object.
///
/// # Errors
/// `BAD_USER_INPUT` unless exactly one of the two is given.
pub fn one_of(id: Option<ID>, external_id: Option<String>) -> Result<Name, Error> {
    match (id, external_id) {
        (Some(id), None) => Ok(Name::Id(id)),
        (None, Some(name)) => Ok(Name::External(name)),
        _ => Err(Code::BadUserInput.error("give id or externalId, one of the two")),
    }
}
