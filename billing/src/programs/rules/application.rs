//! What an applicant may say.

use billing_primitives::{ApplicationId, OrganizationId, Timestamp};

use crate::error::Refusal;
use crate::organizations::rules::{email, text};
use crate::programs::applications::{Application, ApplicationStatus, NewApplication};
use crate::vat;

/// Characters of a message.
const MESSAGE: usize = 2_000;

/// A pending application.
///
/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn application(
    organization: OrganizationId,
    id: ApplicationId,
    input: &NewApplication,
    now: Timestamp,
) -> Result<Application, Refusal> {
    Ok(Application {
        organization_id: organization,
        id,
        program_id: input.program,
        legal_name: text("legalName", &input.legal_name)?,
        contact_name: text("contactName", &input.contact_name)?,
        email: email(&input.email)?,
        country: vat::country("country", &input.country)?,
        website: input.website.as_deref().map(website).transpose()?,
        message: message(&input.message)?,
        referred_by_partner_id: input.referred_by,
        status: ApplicationStatus::Pending,
        reason: None,
        decided_by: None,
        decided_at: None,
        partner_id: None,
        created_at: now,
    })
}

/// Somebody will click on it: nothing but a web address.
fn website(given: &str) -> Result<String, Refusal> {
    let given = text("website", given)?;
    let host = given.strip_prefix("https://").or_else(|| given.strip_prefix("http://"));
    match host {
        Some(host) if host.contains('.') && !given.chars().any(char::is_whitespace) => Ok(given),
        _ => Err(Refusal::invalid("website", "begins with https:// or http:// and a host")),
    }
}

fn message(given: &str) -> Result<String, Refusal> {
    let given = given.trim();
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if given.chars().count() > MESSAGE || given.chars().any(odd) {
        return Err(Refusal::invalid("message", format!("at most {MESSAGE} characters, no control characters")));
    }
    Ok(given.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_website_is_refused() {
        for wrong in
            ["", "partner.example", "javascript:alert(1)", "https://", "https://a b.example", "ftp://a.example"]
        {
            assert!(website(wrong).is_err(), "{wrong}");
        }
        assert!(website("https://partner.example/om").is_ok());
    }

    #[test]
    fn a_message_may_have_lines_and_ends_somewhere() {
        assert_eq!(message(" a\nb ").unwrap(), "a\nb");
        assert!(message("a\u{7}").is_err());
        assert!(message(&"å".repeat(MESSAGE)).is_ok());
        assert!(message(&"å".repeat(MESSAGE + 1)).is_err());
    }
}
