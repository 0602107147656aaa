//! How a command ends when it does not succeed.

use std::fmt;

use billing::database::StartError;
use jobs::WorkersError;
use serde_json::{Value, json};

use crate::config::ConfigError;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The business says no, or something differs; what the refusal is about was not changed.
    Refused { code: &'static str, message: String },
    /// Everything is said already: the report stands on stdout.
    Reported,
    /// The command line or the configuration is wrong.
    Usage(String),
    /// Something that should work does not.
    Fault(String),
    /// Somebody stopped the command.
    Interrupted,
}

impl Failure {
    pub fn fault(error: impl fmt::Display) -> Failure {
        Failure::Fault(error.to_string())
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    /// 1: refused, or differences were found. 2: wrong usage or configuration (as clap says it). 3: a fault. 130: as
    /// shells name a program that Ctrl-C ended.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Failure::Refused { .. } | Failure::Reported => 1,
            Failure::Usage(_) => 2,
            Failure::Fault(_) => 3,
            Failure::Interrupted => 130,
        }
    }

    /// The failure for programs; none when the report stands on stdout already.
    pub fn as_json(&self) -> Option<Value> {
        let code = match self {
            Failure::Refused { code, .. } => code,
            Failure::Reported => return None,
            Failure::Usage(_) => "USAGE",
            Failure::Fault(_) => "FAULT",
            Failure::Interrupted => "INTERRUPTED",
        };
        Some(json!({ "error": { "code": code, "message": self.to_string() } }))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { message, .. } | Failure::Usage(message) | Failure::Fault(message) => {
                f.write_str(message)
            }
            Failure::Reported => Ok(()),
            Failure::Interrupted => f.write_str("stopped; what was committed stays, and the same command goes on"),
        }
    }
}

impl From<billing::Error> for Failure {
    fn from(error: billing::Error) -> Self {
        match error {
            billing::Error::Refused(refusal) => refusal.into(),
            billing::Error::Key(error) => Failure::Refused { code: "IDEMPOTENCY_KEY", message: error.to_string() },
            fault => Failure::fault(fault),
        }
    }
}

impl From<billing::Refusal> for Failure {
    fn from(refusal: billing::Refusal) -> Self {
        Failure::Refused { code: refusal.code(), message: refusal.to_string() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        if error.is_wrong_url() { Failure::Usage(error.to_string()) } else { Failure::fault(error) }
    }
}

impl From<WorkersError> for Failure {
    fn from(error: WorkersError) -> Self {
        Failure::fault(error)
    }
}
