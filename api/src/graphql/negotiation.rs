//! Which media types a GraphQL request and its answer may have (GraphQL over HTTP).

use poem::http::{HeaderMap, StatusCode, header};

use super::run::Answer;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status tells what happened.
    GraphQl,
    /// `application/json`: 200 for everything that is a GraphQL answer, as older clients expect.
    Json,
}

impl Media {
    pub const fn content_type(self) -> &'static str {
        match self {
            Media::GraphQl => "application/graphql-response+json; charset=utf-8",
            Media::Json => "application/json; charset=utf-8",
        }
    }

    /// The status of an answer in this form.
    pub fn status(self, answer: &Answer) -> StatusCode {
        match self {
            Media::Json if answer.about_document => StatusCode::OK,
            _ => answer.status,
        }
    }

    /// What the caller likes best of the two; the first when it does not care. `None`: it wants neither.
    pub fn accepted(headers: &HeaderMap) -> Option<Media> {
        let mut ranges: Vec<(String, u16)> = Vec::new();
        for value in headers.get_all(header::ACCEPT) {
            ranges.extend(value.to_str().ok()?.split(',').filter_map(range));
        }
        if ranges.is_empty() {
            return Some(Media::GraphQl);
        }
        let graphql = weight(&ranges, "application/graphql-response+json");
        let json = weight(&ranges, "application/json");
        match (graphql, json) {
            (0, 0) => None,
            _ if json > graphql => Some(Media::Json),
            _ => Some(Media::GraphQl),
        }
    }
}

/// A media range with its weight in thousandths.
fn range(text: &str) -> Option<(String, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((name, weight.map_or(1000, thousandths)))
}

/// `0.5` is 500; what cannot be read counts as not wanted.
fn thousandths(text: &str) -> u16 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{rest:0<3}");
    match (whole, digits.get(..3).and_then(|digits| digits.parse::<u16>().ok())) {
        ("0" | "", Some(rest)) => rest,
        ("1", Some(_)) => 1000,
        _ => 0,
    }
}

/// The most specific range decides.
fn weight(ranges: &[(String, u16)], media: &str) -> u16 {
    let of = |name: &str| ranges.iter().filter(|(range, _)| range == name).map(|(_, weight)| *weight).max();
    of(media).or_else(|| of("application/*")).or_else(|| of("*/*")).unwrap_or(0)
}

/// Whether a body may be read as JSON: `application/json` in UTF-8, not compressed.
pub fn is_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let plain = text(header::CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    let Some(media) = text(header::CONTENT_TYPE) else { return false };
    let mut parts = media.split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    plain && json && utf8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn what_the_caller_accepts() {
        for (accept, media) in [
            ("application/graphql-response+json", Some(Media::GraphQl)),
            ("application/json", Some(Media::Json)),
            ("application/json, application/graphql-response+json", Some(Media::GraphQl)),
            ("application/graphql-response+json;q=0.5, application/json;q=0.9", Some(Media::Json)),
            ("application/json;q=0.9, */*;q=0.1", Some(Media::Json)),
            ("application/graphql-response+json; q=0, */*", Some(Media::Json)),
            ("*/*", Some(Media::GraphQl)),
            ("application/*", Some(Media::GraphQl)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json;q=x", None),
        ] {
            assert_eq!(Media::accepted(&headers(header::ACCEPT, accept)), media, "{accept}");
        }
        assert_eq!(Media::accepted(&HeaderMap::new()), Some(Media::GraphQl));
    }

    #[test]
    fn only_json_is_read() {
        for (content_type, read) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=x", false),
            ("application/graphql", false),
            ("application/jsonx", false),
        ] {
            assert_eq!(is_json(&headers(header::CONTENT_TYPE, content_type)), read, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
        let mut packed = headers(header::CONTENT_TYPE, "application/json");
        packed.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(!is_json(&packed));
    }
}
