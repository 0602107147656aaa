//! Which touch brought a customer, and what a touch may say. Pure.
//!
//! Touches inside their windows compete at registration: first by the priority of their source, then the earliest
//! wins. Whoever refers itself is blocked or flagged, as the touch's programme says.

use std::fmt;

use billing_primitives::{Date, EnrollmentId, OrganizationId, Timestamp, TouchId};
use sha2::{Digest, Sha256};

use super::Attribution;
use crate::error::Refusal;
use crate::programs::terms::{AttributionTerms, SelfReferral, TouchSource};

const DAY_SECONDS: i64 = 86_400;

/// A touch with what decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Competitor<'a> {
    pub touch: TouchId,
    pub enrollment: EnrollmentId,
    pub source: TouchSource,
    pub occurred_at: Timestamp,
    /// Of the version in force of the touch's own programme.
    pub terms: &'a AttributionTerms,
    /// Whether the partner refers itself.
    pub own: bool,
}

/// How a competition ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub winner: Option<Winner>,
    /// Touches that did not compete because their partner refers itself.
    pub blocked: Vec<TouchId>,
}

/// The touch that a customer is credited by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Winner {
    pub touch: TouchId,
    pub enrollment: EnrollmentId,
    pub source: TouchSource,
    pub occurred_at: Timestamp,
    pub own: bool,
}

/// Lets touches compete at an instant. The order in which they are given does not matter.
pub fn compete(touches: &[Competitor<'_>], at: Timestamp) -> Outcome {
    let (blocked, free): (Vec<_>, Vec<_>) =
        touches.iter().partition(|touch| touch.own && touch.terms.self_referral == SelfReferral::Block);
    let ranked = free.into_iter().filter_map(|touch| Some((rank(touch, at)?, touch)));
    let first = ranked.min_by_key(|(rank, touch)| (*rank, touch.occurred_at, touch.touch));
    let winner = first.map(|(_, touch)| Winner {
        touch: touch.touch,
        enrollment: touch.enrollment,
        source: touch.source,
        occurred_at: touch.occurred_at,
        own: touch.own,
    });
    Outcome { winner, blocked: blocked.into_iter().map(|touch| touch.touch).collect() }
}

/// The place of its source; none outside of its window. A window of N days is open for N times 24 hours.
fn rank(touch: &Competitor<'_>, at: Timestamp) -> Option<usize> {
    let place = touch.terms.sources.iter().position(|window| window.source == touch.source)?;
    let days = i64::from(touch.terms.sources.get(place)?.days);
    let closes = touch.occurred_at.plus_seconds(days.saturating_mul(DAY_SECONDS));
    (touch.occurred_at <= at && at <= closes).then_some(place)
}

/// The attribution in force on `day`, of rows of one customer in any order; none before the first one.
pub fn on(rows: &[Attribution], day: Date) -> Option<&Attribution> {
    rows.iter().filter(|row| row.effective_from <= day).max_by_key(|row| (row.effective_from, row.sequence))
}

/// Domains at which anybody gets an address: sharing one says nothing.
const PUBLIC_DOMAINS: [&str; 40] = [
    "aol.com",
    "email.dk",
    "fastmail.com",
    "freenet.de",
    "get2net.dk",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.dk",
    "icloud.com",
    "jubii.dk",
    "live.com",
    "live.dk",
    "mac.com",
    "mail.com",
    "mail.dk",
    "mail.ru",
    "me.com",
    "msn.com",
    "outlook.com",
    "outlook.de",
    "outlook.dk",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "t-online.de",
    "web.de",
    "yahoo.com",
    "yahoo.de",
    "yahoo.dk",
    "zoho.com",
];

/// Whether two addresses are those of one house: the same, or at one domain that is not open to everybody. What stands
/// behind a plus sign and how the letters are written makes no difference.
pub fn same_house(one: &str, other: &str) -> bool {
    let (Some((name, domain)), Some((other_name, other_domain))) = (parts(one), parts(other)) else { return false };
    domain == other_domain && (name == other_name || !PUBLIC_DOMAINS.contains(&domain.as_str()))
}

/// Whether two addresses are the same one.
pub fn same_address(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn parts(email: &str) -> Option<(String, String)> {
    let email = email.trim().to_lowercase();
    let (name, domain) = email.rsplit_once('@')?;
    let name = name.split_once('+').map_or(name, |(name, _)| name);
    Some((name.to_owned(), domain.to_owned()))
}

/// Shortest and longest code.
const CODE: std::ops::RangeInclusive<usize> = 3..=40;
/// A derived code leaves room for what tells it from another partner's.
const DERIVED: usize = 32;

/// A code as its partner writes it: 3 to 40 letters, digits, `-` and `_`.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn code(given: &str) -> Result<String, Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if CODE.contains(&given.len()) && given.bytes().all(fits) {
        return Ok(given.to_owned());
    }
    Err(Refusal::invalid("code", "3 to 40 letters, digits, - and _"))
}

/// How codes are looked up.
pub fn code_key(code: &str) -> String {
    code.trim().to_ascii_uppercase()
}

/// A code made of a partner's names: of its external id, or of its legal name when too little of that is left.
pub fn derived_code(external_id: &str, legal_name: &str) -> String {
    let made = [external_id, legal_name].map(spelled);
    let fits = made.iter().find(|code| CODE.contains(&code.len()));
    fits.cloned().unwrap_or_else(|| "PARTNER".to_owned())
}

/// The code with something behind it that nobody else has.
pub fn told_apart(code: &str, bits: [u8; 3]) -> String {
    format!("{code}-{}", hex::encode_upper(bits))
}

/// Capital letters and digits, everything else as single dashes between them.
fn spelled(name: &str) -> String {
    let mut code = String::new();
    for letter in name.chars() {
        let written = match letter {
            'æ' | 'Æ' | 'ä' | 'Ä' => "AE",
            'ø' | 'Ø' | 'ö' | 'Ö' => "OE",
            'å' | 'Å' => "AA",
            'ü' | 'Ü' => "UE",
            'ß' => "SS",
            'é' | 'É' | 'è' | 'È' => "E",
            letter if letter.is_ascii_alphanumeric() => {
                code.push(letter.to_ascii_uppercase());
                continue;
            }
            _ if code.ends_with('-') => continue,
            _ => "-",
        };
        code.push_str(written);
    }
    // ASCII alone, so cutting by bytes cuts no character.
    code.truncate(DERIVED);
    code.trim_matches('-').to_owned()
}

/// A promotion code's id at Stripe.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn promotion_code(given: &str) -> Result<String, Refusal> {
    let fits = given.strip_prefix("promo_").is_some_and(|rest| {
        (1..=100).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if fits {
        Ok(given.to_owned())
    } else {
        Err(Refusal::invalid("stripePromotionCode", "an id that begins with promo_"))
    }
}

/// A page that a link may lead to, without a code of its own.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn destination(given: &str) -> Result<String, Refusal> {
    let wrong = |reason| Err(Refusal::invalid("destination", reason));
    let given = given.trim();
    let rest = given.strip_prefix("https://").or_else(|| given.strip_prefix("http://"));
    let Some(rest) = rest else { return wrong("an address that begins with https:// or http://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain =
        given.len() <= 2000 && given.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if host.is_empty() || host.starts_with([':', '.']) || host.contains('@') || !plain {
        return wrong("not an address of a page");
    }
    let query = given.split('#').next().and_then(|page| page.split_once('?')).map_or("", |(_, query)| query);
    if query.split('&').any(|pair| pair == "ref" || pair.starts_with("ref=")) {
        return wrong("the address has a ref of its own");
    }
    Ok(given.to_owned())
}

/// The destination with the code in it.
pub fn link(destination: &str, code: &str) -> String {
    let (page, fragment) = destination.split_once('#').map_or((destination, None), |(page, rest)| (page, Some(rest)));
    let joint = match page.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    let fragment = fragment.map(|rest| format!("#{rest}")).unwrap_or_default();
    format!("{page}{joint}ref={code}{fragment}")
}

/// An address of the network, kept so that equal ones can be told and no one can be read.
pub fn address_hash(organization: OrganizationId, address: &str) -> String {
    hex::encode(Sha256::digest(format!("{organization}/{address}")))
}

/// What a visitor or a claimant carries: 192 random bits. It prints as dots; only [`Token::reveal`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: TokenKind,
    text: String,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Visitor,
    Claim,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            TokenKind::Visitor => "avv_",
            TokenKind::Claim => "avc_",
        }
    }
}

impl Token {
    pub fn from_random(kind: TokenKind, bits: [u8; 24]) -> Token {
        Token { kind, text: format!("{}{}", kind.prefix(), hex::encode(bits)) }
    }

    /// None when it is no token of this kind.
    pub fn parse(kind: TokenKind, given: &str) -> Option<Token> {
        let digits = given.strip_prefix(kind.prefix())?;
        let fits = digits.len() == 48 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Token { kind, text: given.to_owned() })
    }

    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// SHA-256 in hex: what is stored. All bits are random, so it needs no salt and no stretching.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", self.kind.prefix())
    }
}

#[cfg(test)]
mod tests;
