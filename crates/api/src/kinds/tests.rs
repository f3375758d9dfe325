//! What every kind keeps to.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ALL;
use crate::kind::Part;
use crate::schema;

fn named(kind: &dyn crate::kind::Kind) -> String {
    format!("{} {}", kind.info().api_version(), kind.info().kind)
}

#[test]
fn rows_fit_columns() {
    for kind in ALL {
        for object in [Value::Null, json!({}), json!({"metadata": {"name": "x"}, "spec": {}, "status": {}})] {
            let row = kind.row(&object, Timestamp::UNIX_EPOCH);
            // Upstream's rows of addresses have an age that no column stands for.
            let unnamed = usize::from(kind.info().kind == "IPAddress");
            assert_eq!(row.len(), kind.columns().len() + unnamed, "{}", named(*kind));
        }
    }
}

#[test]
fn defaults_are_idempotent() {
    for kind in ALL {
        let mut once = json!({"metadata": {"name": "x"}, "spec": {}});
        kind.set_defaults(&mut once);
        schema::normalize(kind.info().type_id(), &mut once);
        let mut twice = once.clone();
        kind.set_defaults(&mut twice);
        schema::normalize(kind.info().type_id(), &mut twice);
        assert_eq!(twice, once, "{}", named(*kind));
    }
}

#[test]
fn selectable_fields_are_the_same_for_every_object() {
    for kind in ALL {
        let names = |object: &Value| -> Vec<&str> {
            kind.selectable(object).into_iter().map(|(name, _)| name).collect()
        };
        let object = json!({"metadata": {"name": "x"}, "spec": {}, "status": {}});
        assert_eq!(names(&Value::Null), names(&object), "{}", named(*kind));
    }
}

#[test]
fn nothing_is_checked_without_panicking() {
    for kind in ALL {
        let mut errors = crate::field::FieldErrors::new();
        for object in [json!({}), json!({"metadata": {}, "spec": {}, "status": {}})] {
            kind.validate_create(&object, &mut errors);
            for part in [Part::Main, Part::Status] {
                kind.validate_update(&object, &object, part, &mut errors);
            }
            kind.warnings(&object, None);
        }
    }
}
