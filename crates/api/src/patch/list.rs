//! Lists in strategic merge patches.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::directives::{PATCH, bad_patch_type, discard_nulls, without_directives};
use super::go;
use super::strategic::{At, failed, merge_map};
use crate::schema::MergeStrategy;
use crate::status::{Reason, Status};

/// Merges two lists, or takes the second one where lists of the field are replaced.
pub fn merge(
    known: Vec<Value>,
    change: Vec<Value>,
    at: At,
    strategy: MergeStrategy,
    deleting: bool,
) -> Result<Vec<Value>, Status> {
    if !strategy.merge && !deleting {
        return Ok(change.into_iter().filter_map(without_directives).collect());
    }
    let Some(first) = known.first().or(change.first()) else { return Ok(known) };
    check_kinds(&known, &change)?;
    if !first.is_object() {
        if deleting {
            return Ok(known.into_iter().filter(|each| !change.contains(each)).collect());
        }
        let mut merged: Vec<Value> = Vec::with_capacity(known.len() + change.len());
        for each in known.iter().chain(&change) {
            if !merged.contains(each) {
                merged.push(each.clone());
            }
        }
        return in_order(merged, &change, &known, "");
    }
    let key = strategy.key;
    if key.is_empty() {
        return Err(failed("cannot merge lists without merge key".into()));
    }
    let (known, change) = obey_elements(known, change, key)?;
    let mut merged = known.clone();
    for element in &change {
        let element = map_of(element)?;
        let value = key_of(element, key)?;
        match merged.iter_mut().find(|each| each.get(key) == Some(value)) {
            Some(Value::Object(found)) => {
                *found = merge_map(std::mem::take(found), element.clone(), at)?;
            }
            _ => {
                let mut element = Value::Object(element.clone());
                // The key itself stays though it be null, so that the element is found again below.
                let null_key = element[key].is_null();
                discard_nulls(&mut element);
                if null_key {
                    element[key] = Value::Null;
                }
                merged.extend(without_directives(element));
            }
        }
    }
    in_order(merged, &change, &known, key)
}

/// All elements must be of one kind, and none a list.
fn check_kinds(known: &[Value], change: &[Value]) -> Result<(), Status> {
    let mut elements = known.iter().chain(change);
    let Some(first) = elements.next() else { return Ok(()) };
    if first.is_array() {
        let message = "lists of lists are not supported";
        return Err(Status::new(422, Reason::Invalid, message));
    }
    if elements.any(|each| go::type_name(each) != go::type_name(first)) {
        let shown = format!("[{} {}]", go::show_list(known), go::show_list(change));
        return Err(failed(format!("list element types are not identical: {shown}")));
    }
    Ok(())
}

fn map_of(element: &Value) -> Result<&Map<String, Value>, Status> {
    element.as_object().ok_or_else(|| {
        let received = go::type_name(element);
        failed(format!("expected a map[string]interface {{}}, but received a {received}"))
    })
}

fn key_of<'a>(element: &'a Map<String, Value>, key: &str) -> Result<&'a Value, Status> {
    element.get(key).ok_or_else(|| {
        let shown = go::show(&Value::Object(element.clone()));
        failed(format!("map: {shown} does not contain declared merge key: {key}"))
    })
}

/// Obeys the directives among a patch's elements: what stays of the list, and of the patch.
fn obey_elements(
    mut known: Vec<Value>,
    change: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Status> {
    let mut plain = Vec::with_capacity(change.len());
    let mut replace = false;
    for element in change {
        let map = map_of(&element)?;
        let Some(directive) = map.get(PATCH) else {
            plain.push(element);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = key_of(map, key)?;
                known.retain(|each| each.get(key) != Some(value));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(failed("merging lists cannot yet be specified in the patch".into())),
            _ => return Err(bad_patch_type(directive, map)),
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (known, plain) })
}

/// Whether two elements are the same by their key (or as they are, without one).
fn same(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() { a == b } else { a.get(key) == b.get(key) }
}

fn place(list: &[Value], element: &Value, key: &str) -> Option<usize> {
    list.iter().position(|each| same(each, element, key))
}

fn by_place(list: &[Value], key: &str) -> impl Fn(&Value, &Value) -> Ordering {
    move |a, b| match (place(list, a, key), place(list, b, key)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    }
}

/// Puts elements in order: those of `order` as they stand there, the others as they stood `before`, the two
/// woven together as far as that goes.
pub fn in_order(
    elements: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key: &str,
) -> Result<Vec<Value>, Status> {
    if !key.is_empty() {
        for element in elements.iter().chain(order) {
            key_of(map_of(element)?, key)?;
        }
    }
    let (mut ordered, mut rest): (Vec<Value>, Vec<Value>) =
        elements.into_iter().partition(|element| place(order, element, key).is_some());
    ordered.sort_by(by_place(order, key));
    rest.sort_by(by_place(before, key));
    let mut all = Vec::with_capacity(ordered.len() + rest.len());
    let mut ordered = ordered.into_iter().peekable();
    for element in rest {
        let at = place(before, &element, key);
        while let Some(next) = ordered.peek() {
            if at.zip(place(before, next, key)).is_some_and(|(at, next)| at < next) {
                break;
            }
            all.extend(ordered.next());
        }
        all.push(element);
    }
    all.extend(ordered);
    Ok(all)
}

/// The elements of a patch must all stand in the order it gives, and in that order.
pub fn check_order(change: &[Value], order: &[Value], key: &str) -> Result<(), Status> {
    if change.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut places = order.iter();
    for element in change.iter().filter(|element| element.get(PATCH).is_none()) {
        if !key.is_empty() {
            key_of(map_of(element)?, key)?;
        }
        let mut found = false;
        for place in places.by_ref() {
            if !key.is_empty() {
                key_of(map_of(place)?, key)?;
            }
            if same(place, element, key) {
                found = true;
                break;
            }
        }
        if !found {
            return Err(failed(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go::show_list(change),
                go::show_list(order)
            )));
        }
    }
    Ok(())
}
