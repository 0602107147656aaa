//! The doors of Avance: HTTP and GraphQL.
//!
//! Nothing here knows SQL: a resolver reads its arguments, calls one service of `billing` and converts what it gets.

// The schema is merged of one object per noun, each inside the one before.
#![recursion_limit = "256"]

pub mod auth;
pub mod cli;
pub mod config;
pub mod graphql;
pub mod health;
pub mod process;
mod public;
pub mod server;
mod throttle;
pub mod webhooks;
