//! Lists in strategic merge patches.

use std::collections::{HashMap, HashSet};

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
            let gone: HashSet<String> = change.iter().map(Value::to_string).collect();
            return Ok(known.into_iter().filter(|each| !gone.contains(&each.to_string())).collect());
        }
        let mut seen = HashSet::new();
        let all = known.iter().chain(&change);
        let merged = all.filter(|each| seen.insert(each.to_string())).cloned().collect();
        return in_order(merged, &change, &known, "");
    }
    let key = strategy.key;
    if key.is_empty() {
        return Err(failed("cannot merge lists without merge key".into()));
    }
    let (known, change) = obey_elements(known, change, key)?;
    let mut merged = known.clone();
    let mut places = Places::of(&merged, key);
    for element in &change {
        let element = map_of(element)?;
        let value = key_of(element, key)?;
        match places.find_key(value).map(|at| &mut merged[at]) {
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
                if let Some(element) = without_directives(element) {
                    places.insert(&element, merged.len());
                    merged.push(element);
                }
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
    let mut gone = HashSet::new();
    let mut replace = false;
    for element in change {
        let map = map_of(&element)?;
        let Some(directive) = map.get(PATCH) else {
            plain.push(element);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                gone.insert(key_of(map, key)?.to_string());
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(failed("merging lists cannot yet be specified in the patch".into())),
            _ => return Err(bad_patch_type(directive, map)),
        }
    }
    if !gone.is_empty() {
        known.retain(|each| each.get(key).is_none_or(|value| !gone.contains(&value.to_string())));
    }
    Ok(if replace { (plain, Vec::new()) } else { (known, plain) })
}

/// Whether two elements are the same by their key (or as they are, without one).
fn same(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() { a == b } else { a.get(key) == b.get(key) }
}

/// Where elements stand in a list, by their key (or as they are, without one). Of several of one key the first
/// counts.
struct Places<'a> {
    key: &'a str,
    by_key: HashMap<String, usize>,
}

impl<'a> Places<'a> {
    fn of(list: &[Value], key: &'a str) -> Places<'a> {
        let mut places = Places { key, by_key: HashMap::with_capacity(list.len()) };
        for (at, element) in list.iter().enumerate() {
            places.insert(element, at);
        }
        places
    }

    fn insert(&mut self, element: &Value, at: usize) {
        if let Some(key) = self.key_of(element) {
            self.by_key.entry(key.to_string()).or_insert(at);
        }
    }

    fn key_of<'v>(&self, element: &'v Value) -> Option<&'v Value> {
        if self.key.is_empty() { Some(element) } else { element.get(self.key) }
    }

    fn find_key(&self, key: &Value) -> Option<usize> {
        self.by_key.get(&key.to_string()).copied()
    }

    fn find(&self, element: &Value) -> Option<usize> {
        self.find_key(self.key_of(element)?)
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
    let (order, before) = (Places::of(order, key), Places::of(before, key));
    let (mut ordered, mut rest) = (Vec::new(), Vec::new());
    for element in elements {
        match order.find(&element) {
            Some(at) => ordered.push((at, element)),
            None => rest.push((before.find(&element), element)),
        }
    }
    ordered.sort_by_key(|(at, _)| *at);
    rest.sort_by_key(|(at, _)| *at);
    let mut all = Vec::with_capacity(ordered.len() + rest.len());
    let mut ordered = ordered.into_iter().map(|(_, element)| element).peekable();
    for (at, element) in rest {
        while let Some(next) = ordered.peek() {
            if at.zip(before.find(next)).is_some_and(|(at, next)| at < next) {
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
