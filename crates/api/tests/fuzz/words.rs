//! Short texts: selectors, schedules, names, field sets, versions.

use std::collections::BTreeMap;
use std::time::Instant;

use cox_api::cron::Schedule;
use cox_api::meta::names;
use cox_api::selector::{FieldSelector, LabelSelector};
use proptest::prelude::*;

use crate::choices::cases;

/// Texts of a language's own pieces, so that the parser gets somewhere.
fn of_pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat()),
        1 => ".{0,24}",
    ]
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn label_selectors(text in of_pieces(&["a", "b/c", "in", "notin", " ", "(", ")", ",", "=", "==", "!=", "!", ">", "<", "1", "-2", "x.y/z", "é", "\t"])) {
        let Ok(selector) = text.parse::<LabelSelector>() else { return Ok(()) };
        let labels: BTreeMap<Box<str>, Box<str>> = BTreeMap::from([("a".into(), "1".into()), ("in".into(), "".into())]);
        let shown = selector.to_string();
        let again = shown.parse::<LabelSelector>();
        prop_assert!(again.is_ok(), "{:?} was shown as {:?}", text, shown);
        prop_assert_eq!(again.unwrap().matches(&labels), selector.matches(&labels), "{:?} {:?}", text, shown);
    }

    #[test]
    fn field_selectors(text in of_pieces(&["metadata.name", "a", "=", "==", "!=", ",", "\\", "\\,", "\\=", " ", "é", "x"])) {
        let Ok(selector) = text.parse::<FieldSelector>() else { return Ok(()) };
        // Terms are sorted as they are shown.
        let terms = |selector: &FieldSelector| {
            let mut terms: Vec<String> = selector.terms().iter().map(|term| format!("{term:?}")).collect();
            terms.sort();
            terms
        };
        let again = selector.to_string().parse::<FieldSelector>();
        prop_assert_eq!(again.as_ref().map(terms).ok(), Some(terms(&selector)), "{:?}", text);
    }

    #[test]
    fn schedules(text in of_pieces(&["*", "?", "/", "-", ",", " ", "0", "5", "59", "60", "99999999999", "mon", "JAN", "@every ", "1h", "-1s", ".", "1e9h", "TZ=UTC ", "@daily", "L", "+1"])) {
        if let Ok(Schedule::Every(seconds)) = Schedule::parse(&text) {
            prop_assert!(seconds >= 1, "{:?}", text);
        }
    }

    #[test]
    fn names_and_addresses(text in prop_oneof![of_pieces(&["a", "-", ".", "/", "A", "0", "255", ":", "::", "%", "fe80", "%41", "_", "é", "*", "127.0.0.1", "/33", "/8", "@"]), ".{0,300}"]) {
        for check in [
            names::dns1123_label, names::dns1123_subdomain, names::dns1035_label, names::qualified_name, names::label_value,
            names::path_segment, names::ip, names::cidr, names::port_name, names::config_key, names::env_name, names::percent,
            names::wildcard_dns1123_subdomain, names::fully_qualified_name, names::http_header_name, names::c_identifier,
        ] {
            let _ = check(&text);
        }
        let _ = (names::parse_ip(&text), names::parse_cidr(&text));
    }
}

/// Nothing takes more than a straight walk over the text.
#[test]
fn long_texts_take_no_time() {
    let started = Instant::now();
    let many = |piece: &str| piece.repeat(200_000 / piece.len());
    for text in [many("a"), many("a=b,"), many("!"), many("("), many("a in (b,"), many(","), many("é")] {
        let _ = text.parse::<LabelSelector>();
        let _ = text.parse::<FieldSelector>();
    }
    for text in [many("*/1,"), many("1-"), many(" "), format!("@every {}", many("1h")), many("*/")] {
        let _ = Schedule::parse(&text);
    }
    for text in [many("a."), many("1"), many(":"), many("-")] {
        let _ = (names::dns1123_subdomain(&text), names::qualified_name(&text), names::ip(&text));
        let _ = cox_api::quantity::canonical(&text);
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
