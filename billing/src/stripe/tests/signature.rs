//! Signatures that Stripe's own libraries accept and refuse.

use super::*;

#[test]
fn every_vector_is_decided_as_by_stripes_libraries() {
    let file = fixture_json("signature-vectors.json");
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 19);
    for vector in vectors {
        let text = |field: &str| vector[field].as_str().unwrap();
        let secrets: Vec<String> = serde_json::from_value(vector["secrets"].clone()).unwrap();
        let (now, tolerance) = (vector["now"].as_i64().unwrap(), vector["tolerance"].as_i64().unwrap());
        let verdict = verify(text("header"), text("payload").as_bytes(), &secrets, now, tolerance);
        assert_eq!(verdict.is_ok(), vector["valid"].as_bool().unwrap(), "{}: {verdict:?}", text("name"));
    }
}

#[test]
fn a_missing_secret_opens_nothing() {
    let header = "t=1,v1=00";
    assert_eq!(verify(header, b"{}", &[], 1, 300), Err(SignatureError::NoSecret));
    for empty in ["", "  "] {
        let secrets = ["whsec_real".to_owned(), empty.to_owned()];
        assert_eq!(verify(header, b"{}", &secrets, 1, 300), Err(SignatureError::NoSecret));
    }
}

#[test]
fn a_time_of_the_future_is_no_better_than_one_of_the_past() {
    let vector = &fixture_json("signature-vectors.json")["vectors"][0];
    let secrets: Vec<String> = serde_json::from_value(vector["secrets"].clone()).unwrap();
    let (header, body) = (vector["header"].as_str().unwrap(), vector["payload"].as_str().unwrap());
    let at = vector["now"].as_i64().unwrap();
    let verdict = |now: i64| verify(header, body.as_bytes(), &secrets, now, 300);
    assert_eq!(verdict(at - 300), Ok(()));
    for outside in [at - 301, at + 301, i64::MIN, i64::MAX] {
        assert_eq!(verdict(outside), Err(SignatureError::OutsideTolerance));
    }
}
