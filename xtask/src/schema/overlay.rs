//! Applies the overlay: facts that the packages don't have.

use anyhow::{Context, bail, ensure};

use super::model::{Field, Omit, Shape, Table};

/// Applies every line. A line that changes nothing that exists is an error.
pub fn apply(table: &mut Table, text: &str) -> anyhow::Result<()> {
    let mut current: Option<(String, bool)> = None;
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["type", name, facts @ ..] if !line.starts_with(' ') => open(table, name, facts).map(|new| {
                current = Some(((*name).to_owned(), new));
            }),
            [name, facts @ ..] => match &current {
                Some((ty, new)) => field(table, ty, *new, name, facts),
                None => bail!("overlay line {}: no type is open", index + 1),
            },
        };
        done.with_context(|| format!("overlay line {}: {line}", index + 1))?;
    }
    Ok(())
}

fn open(table: &mut Table, name: &str, facts: &[&str]) -> anyhow::Result<bool> {
    let new = facts.contains(&"new");
    ensure!(new != table.contains_key(name), "`new` is for types that no package has");
    let ty = table.entry(name.to_owned()).or_default();
    for fact in facts {
        if let Some(gvk) = fact.strip_prefix("gvk=") {
            let parts: Vec<&str> = gvk.split('/').collect();
            let [group, version, kind] = parts.as_slice() else { bail!("group/version/kind") };
            ty.gvk = Some(((*group).into(), (*version).into(), (*kind).into()));
        } else {
            ensure!(*fact == "new", "unknown fact {fact}");
        }
    }
    Ok(new)
}

fn field(table: &mut Table, ty: &str, new: bool, name: &str, facts: &[&str]) -> anyhow::Result<()> {
    let fields = &mut table.get_mut(ty).context("the type is there")?.fields;
    if let Some(shape) = facts.iter().find_map(|fact| fact.strip_prefix("shape=")) {
        let known = fields
            .insert(name.to_owned(), Field::new(name, Shape::parse(shape)?, facts.contains(&"required")));
        ensure!(known.is_none(), "the field is there already");
    } else {
        ensure!(!new, "a new field needs a shape");
    }
    let field = fields.get_mut(name).context("no such field")?;
    for fact in facts {
        match *fact {
            "pointer" => field.pointer = true,
            "value" => field.pointer = false,
            "never" => field.omit = Omit::Never,
            "empty" => field.omit = Omit::Empty,
            "zero" => field.omit = Omit::Zero,
            "required" => field.required = true,
            fact => match fact.split_once('=').context("unknown fact")? {
                // A blank in a type's name stands as `_`.
                ("go", go) => field.go = go.replace('_', " "),
                ("default", json) => field.default = Some(json.to_owned()),
                ("tag", path) => {
                    field.tags = path.split('.').map(str::parse).collect::<Result<_, _>>()?;
                }
                ("shape", _) => {}
                _ => bail!("unknown fact {fact}"),
            },
        }
    }
    Ok(())
}
