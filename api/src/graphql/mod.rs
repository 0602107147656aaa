//! The GraphQL schema: the product's API, and the one place where a caller's rights are looked at.
//!
//! One file per noun: its object, its queries and its mutations. What all of them rest on: [`scope`] (who asks),
//! [`guard`] (limits before, codes behind), [`connection`] (pages), [`loaders`] (batches), [`errors`] (codes).

pub mod connection;
pub mod errors;
pub mod guard;
pub mod http;
pub mod loaders;
pub mod measure;
mod negotiation;
mod node;
mod organization;
mod partners;
pub mod run;
pub mod scalars;
pub mod scope;

use std::sync::Arc;

use async_graphql::{EmptySubscription, MergedObject, SDLExportOptions, SchemaBuilder};
use billing::Billing;

use self::guard::Guard;
use self::measure::Shape;
use self::run::Engine;

/// Where every reading operation begins.
#[derive(MergedObject, Default)]
pub struct Query(node::NodeQuery, organization::OrganizationQuery, partners::PartnerQuery);

/// Where every writing operation begins. Each mutation takes one input and answers with its object, or with the
/// reasons why nothing was changed in `userErrors`.
#[derive(MergedObject, Default)]
pub struct Mutation(partners::PartnerMutation);

pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// Sets inside sets and fragments that the library follows; the guard's own limits are narrower for fields.
const RECURSION: usize = 64;

fn builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription).limit_recursive_depth(RECURSION)
}

/// The schema in its printed form.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().use_space_ident().prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}

impl Engine {
    /// The schema with its guard, over the product.
    ///
    /// # Errors
    /// The schema cannot be read back from its printed form: a mistake in the code.
    pub fn new(billing: Billing) -> Result<Engine, async_graphql::parser::Error> {
        let shape = Arc::new(Shape::of(&sdl())?);
        let schema = builder().extension(Guard(shape.clone())).finish();
        Ok(Engine { billing, schema, shape })
    }
}
