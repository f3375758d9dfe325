//! Sets of completion indexes, as `status.completedIndexes` writes them: `1,3-5,7`.

use std::collections::BTreeSet;

/// Completion indexes.
pub(super) type Indexes = BTreeSet<i32>;

/// Reads a set; parts that are no numbers, or not below `completions`, are left out.
pub(super) fn parse(text: &str, completions: i32) -> Indexes {
    let mut indexes = Indexes::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<i32>(), last.trim().parse::<i32>()) else {
            continue;
        };
        indexes.extend((first..=last.min(completions - 1)).filter(|index| *index >= 0));
    }
    indexes
}

/// Writes a set.
pub(super) fn text(indexes: &Indexes) -> String {
    let mut parts: Vec<(i32, i32)> = Vec::new();
    for index in indexes {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => parts.push((*index, *index)),
        }
    }
    let shown = parts.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for written in ["", "0", "0,1", "0-2", "1,3-5,7,8"] {
            assert_eq!(text(&parse(written, 100)), written);
        }
        assert_eq!(text(&parse("0-9,x,12", 5)), "0-4");
    }
}
