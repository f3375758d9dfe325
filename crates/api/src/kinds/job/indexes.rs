//! Sets of indexes as text: `0,2-4,7`.

use std::cmp::max;

/// How many indexes there are; all are below `completions`, and in order.
pub fn count(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut last, mut total) = (None, 0);
    for part in text.split(',') {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(not_increasing(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn not_increasing(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let mut parts = text.split('-');
    let (first, end) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        ));
    }
    let index = |text: &str| match text.parse::<i64>() {
        Ok(index) if index >= completions => Err(format!("too large index: {text:?}")),
        Ok(index) => Ok(index),
        Err(_) => Err(format!("cannot convert string to integer for index: {text:?}")),
    };
    let first = index(first)?;
    match end.map(index).transpose()? {
        Some(end) if first >= end => Err(not_increasing(first, end)),
        end => Ok((first, end.unwrap_or(first))),
    }
}

/// The first index found in both; parts that are none are passed over.
pub fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let intervals = |text: &str| -> Vec<(i64, i64)> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (intervals(completed), intervals(failed));
    let (mut a, mut b) = (completed.iter(), failed.iter());
    let (mut left, mut right) = (a.next(), b.next());
    while let (Some((left_first, left_last)), Some((right_first, right_last))) = (left, right) {
        if left_first <= right_last && right_first <= left_last {
            return Some(max(*left_first, *right_first));
        }
        if left_first <= right_first {
            left = a.next();
        } else {
            right = b.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_faults() {
        for (text, expected) in [
            ("", Ok(0)),
            ("1,3-5", Ok(4)),
            ("5-x", Err("cannot convert string to integer for index: \"x\"")),
            ("9-x", Err("too large index: \"9\"")),
            ("a", Err("cannot convert string to integer for index: \"a\"")),
            ("3-1", Err("non-increasing order, previous: 3, current: 1")),
            ("3,3", Err("non-increasing order, previous: 3, current: 3")),
        ] {
            assert_eq!(count(text, 7), expected.map_err(str::to_owned), "{text}");
        }
        assert!(count("1-2-3", 7).unwrap_err().starts_with("the fragment \"1-2-3\" violates"));
    }

    #[test]
    fn common_indexes() {
        assert_eq!(overlap("0-2,5", "1,4", 9), Some(1));
        assert_eq!(overlap("0-2,5-8", "3,7", 9), Some(7));
        assert_eq!(overlap("0-2", "3", 9), None);
        assert_eq!(overlap("", "3", 9), None);
    }
}
