//! The difference of two texts in unified form, as upstream adds it to refused updates: three lines around each
//! change, no file names.

use std::collections::{BTreeMap, BTreeSet};

const AROUND: usize = 3;
/// From so many lines on, lines that are there often don't start a run.
const LONG: usize = 200;
/// Pairs of lines that are compared at most; beyond, equal ends are cut off first, and what is left is taken as
/// one change.
const CELLS_MAX: usize = 4_000_000;

/// Lines that differ, with headers (`@@ -1,2 +1,3 @@`); ends with an empty line.
pub fn lines(old: &str, new: &str) -> String {
    let a: Vec<&str> = old.split('\n').collect();
    let b: Vec<&str> = new.split('\n').collect();
    let mut out = String::new();
    for hunk in hunks(&a, &b) {
        let (first, last) = (&hunk[0], &hunk[hunk.len() - 1]);
        out.push_str(&format!("@@ -{} +{} @@\n", range(first.a.0, last.a.1), range(first.b.0, last.b.1)));
        for block in &hunk {
            let mut put = |mark: char, lines: &[&str]| {
                for line in lines {
                    out.push(mark);
                    out.push_str(line);
                    out.push('\n');
                }
            };
            if block.same {
                put(' ', &a[block.a.0..block.a.1]);
            } else {
                put('-', &a[block.a.0..block.a.1]);
                put('+', &b[block.b.0..block.b.1]);
            }
        }
    }
    out
}

fn range(start: usize, end: usize) -> String {
    match end - start {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    }
}

#[derive(Clone, Copy)]
struct Block {
    same: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// Blocks that are the same and blocks that differ, in turns; then cut into hunks.
fn hunks(a: &[&str], b: &[&str]) -> Vec<Vec<Block>> {
    let mut found = Vec::new();
    let equal = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let (mut start, mut end) = (0, 0);
    if a.len().saturating_mul(b.len()) > CELLS_MAX {
        start = a.iter().zip(b).take_while(equal).count();
        end = a[start..].iter().rev().zip(b[start..].iter().rev()).take_while(equal).count();
        found.push((0, 0, start));
    }
    let (end_a, end_b) = (a.len() - end, b.len() - end);
    if (end_a - start).saturating_mul(end_b - start) <= CELLS_MAX {
        let search = Search { a, b, popular: popular(b) };
        search.matching((start, end_a), (start, end_b), &mut found);
    }
    found.push((end_a, end_b, end));
    found.push((a.len(), b.len(), 0));
    let mut blocks: Vec<Block> = Vec::new();
    let (mut at_a, mut at_b) = (0, 0);
    for (in_a, in_b, length) in found {
        if at_a < in_a || at_b < in_b {
            blocks.push(Block { same: false, a: (at_a, in_a), b: (at_b, in_b) });
        }
        if length > 0 {
            match blocks.last_mut() {
                Some(last) if last.same => {
                    last.a.1 = in_a + length;
                    last.b.1 = in_b + length;
                }
                _ => blocks.push(Block { same: true, a: (in_a, in_a + length), b: (in_b, in_b + length) }),
            }
        }
        (at_a, at_b) = (in_a + length, in_b + length);
    }
    group(blocks)
}

fn group(mut blocks: Vec<Block>) -> Vec<Vec<Block>> {
    if let Some(first) = blocks.first_mut().filter(|block| block.same) {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(AROUND));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(AROUND));
    }
    if let Some(last) = blocks.last_mut().filter(|block| block.same) {
        last.a.1 = last.a.1.min(last.a.0 + AROUND);
        last.b.1 = last.b.1.min(last.b.0 + AROUND);
    }
    let mut hunks = Vec::new();
    let mut current: Vec<Block> = Vec::new();
    for mut block in blocks {
        if block.same && block.a.1 - block.a.0 > 2 * AROUND {
            let mut end = block;
            end.a.1 = end.a.0 + AROUND;
            end.b.1 = end.b.0 + AROUND;
            current.push(end);
            hunks.push(std::mem::take(&mut current));
            block.a.0 = block.a.1 - AROUND;
            block.b.0 = block.b.1 - AROUND;
        }
        current.push(block);
    }
    if current.iter().any(|block| !block.same) {
        hunks.push(current);
    }
    hunks
}

/// Lines of a long text that are there so often that a run of equal lines doesn't start with them.
fn popular<'a>(b: &[&'a str]) -> BTreeSet<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    if b.len() >= LONG {
        for line in b {
            *counts.entry(line).or_default() += 1;
        }
    }
    let often = b.len() / 100 + 1;
    counts.into_iter().filter(|(_, count)| *count > often).map(|(line, _)| line).collect()
}

struct Search<'a> {
    a: &'a [&'a str],
    b: &'a [&'a str],
    popular: BTreeSet<&'a str>,
}

impl Search<'_> {
    /// The longest run of equal lines, then the same before and behind it.
    fn matching(&self, in_a: (usize, usize), in_b: (usize, usize), found: &mut Vec<(usize, usize, usize)>) {
        let (at_a, at_b, length) = self.longest(in_a, in_b);
        if length == 0 {
            return;
        }
        self.matching((in_a.0, at_a), (in_b.0, at_b), found);
        found.push((at_a, at_b, length));
        self.matching((at_a + length, in_a.1), (at_b + length, in_b.1), found);
    }

    fn longest(&self, in_a: (usize, usize), in_b: (usize, usize)) -> (usize, usize, usize) {
        let (a, b) = (self.a, self.b);
        let (mut at_a, mut at_b, mut length) = (in_a.0, in_b.0, 0);
        let width = in_b.1 - in_b.0;
        let mut above = vec![0_usize; width + 1];
        for row in in_a.0..in_a.1 {
            let mut here = vec![0_usize; width + 1];
            if !self.popular.contains(a[row]) {
                for (column, line) in b[in_b.0..in_b.1].iter().enumerate() {
                    if a[row] == *line {
                        let run = above[column] + 1;
                        here[column + 1] = run;
                        if run > length {
                            (at_a, at_b, length) = (row + 1 - run, in_b.0 + column + 1 - run, run);
                        }
                    }
                }
            }
            above = here;
        }
        while at_a > in_a.0 && at_b > in_b.0 && a[at_a - 1] == b[at_b - 1] {
            (at_a, at_b, length) = (at_a - 1, at_b - 1, length + 1);
        }
        while at_a + length < in_a.1 && at_b + length < in_b.1 && a[at_a + length] == b[at_b + length] {
            length += 1;
        }
        (at_a, at_b, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_stands_among_three_lines() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni";
        let new = "a\nb\nc\nd\nX\nf\ng\nh\ni";
        assert_eq!(lines(old, new), "@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+X\n f\n g\n h\n");
        assert_eq!(lines("a\nb", "a\nb\nc"), "@@ -1,2 +1,3 @@\n a\n b\n+c\n");
        assert_eq!(lines("a", "a"), "");
    }

    #[test]
    fn changes_far_apart_are_two_hunks() {
        let old: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut new = old.clone();
        new[2] = "x".into();
        new[17] = "y".into();
        let diff = lines(&old.join("\n"), &new.join("\n"));
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
    }
}
