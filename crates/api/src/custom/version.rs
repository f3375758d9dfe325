//! One version of a definition, ready for use.

use std::sync::Arc;

use serde_json::Value;

use super::columns::Cell;
use super::intern::{self, Full};
use super::path::{JsonPath, SimplePath};
use crate::field::{FieldError, FieldErrorKind, FieldErrors};
use crate::kind::{Column, KindInfo, Scope};
use crate::structural::Structural;

/// Verbs in upstream's order for custom resources.
const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// One version of a definition.
pub struct Version {
    /// The fixed facts.
    pub info: &'static KindInfo,
    /// What objects look like.
    pub schema: Arc<Structural>,
    /// The kind of lists.
    pub list_kind: String,
    /// Whether the definition is being deleted.
    pub terminating: bool,
    /// A warning for every request.
    pub deprecation: Option<&'static str>,
    /// Where replicas stand.
    pub scale: Option<ScaleFields>,
    pub(super) columns: &'static [Column],
    pub(super) cells: Vec<Cell>,
    pub(super) selectable: Vec<(&'static str, SimplePath)>,
}

/// Where the fields of a Scale stand in an object.
#[derive(Clone, Debug)]
pub struct ScaleFields {
    /// `specReplicasPath`.
    pub spec: SimplePath,
    /// `statusReplicasPath`.
    pub status: SimplePath,
    /// `labelSelectorPath`: a selector as text.
    pub selector: Option<SimplePath>,
}

impl ScaleFields {
    fn of(scale: &Value) -> Option<ScaleFields> {
        let path = |key: &str| SimplePath::parse(scale[key].as_str().unwrap_or_default());
        Some(ScaleFields {
            spec: path("specReplicasPath")?,
            status: path("statusReplicasPath")?,
            selector: path("labelSelectorPath"),
        })
    }

    /// Replicas are counts.
    pub(super) fn check(&self, object: &Value, errors: &mut FieldErrors) {
        for path in [&self.spec, &self.status] {
            let field = format!(".{}", path.steps().join("."));
            let Some(value) = path.get(object) else { continue };
            let detail = match value.as_i64() {
                Some(number) if number < 0 => "should be a non-negative integer",
                Some(number) if number > i64::from(i32::MAX) => "should be less than or equal to 2147483647",
                Some(_) => continue,
                None => "should be an integer",
            };
            let shown = Some(crate::field::show(value));
            errors.0.push(FieldError { kind: FieldErrorKind::Invalid, field, shown, detail: detail.into() });
        }
    }
}

impl Version {
    /// Reads a version of an accepted definition; none where the definition has no such version.
    ///
    /// # Errors
    /// [`Full`].
    pub fn of(definition: &Value, name: &str) -> Result<Option<Version>, Full> {
        let spec = &definition["spec"];
        let versions = spec["versions"].as_array().into_iter().flatten();
        let Some(version) = versions.into_iter().find(|version| version["name"] == name) else {
            return Ok(None);
        };
        let names = &definition["status"]["acceptedNames"];
        let text = |key: &str| intern::text(names[key].as_str().unwrap_or_default());
        let texts = |key: &str| -> Vec<String> {
            let list = names[key].as_array().into_iter().flatten();
            list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let group = spec["group"].as_str().unwrap_or_default();
        let plural = text("plural")?;
        let kind = text("kind")?;
        let subresources = &version["subresources"];
        let info = intern::info(KindInfo {
            group: intern::text(group)?,
            version: intern::text(name)?,
            kind,
            plural,
            singular: text("singular")?,
            short_names: intern::texts(&texts("shortNames"))?,
            categories: intern::texts(&texts("categories"))?,
            scope: if spec["scope"] == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
            verbs: VERBS,
            subresources: intern::subresources(
                kind,
                subresources["status"].is_object(),
                subresources["scale"].is_object(),
            )?,
            store_prefix: intern::text(&format!("{group}/{plural}"))?,
        })?;
        let (columns, cells) = columns(version)?;
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        let selectable = selectable
            .filter_map(|field| {
                let path = field["jsonPath"].as_str()?;
                Some((path.strip_prefix('.')?, SimplePath::parse(path)?))
            })
            .map(|(name, path)| Ok((intern::text(name)?, path)))
            .collect::<Result<Vec<_>, Full>>()?;
        let deprecation = match (version["deprecated"] == true, version["deprecationWarning"].as_str()) {
            (false, _) => None,
            (true, Some(warning)) => Some(intern::text(warning)?),
            (true, None) => Some(intern::text(&format!("{group}/{name} {kind} is deprecated"))?),
        };
        Ok(Some(Version {
            info,
            schema: Arc::new(Structural::of(&version["schema"]["openAPIV3Schema"])),
            list_kind: names["listKind"].as_str().unwrap_or_default().to_owned(),
            terminating: !definition["metadata"]["deletionTimestamp"].is_null(),
            deprecation,
            scale: ScaleFields::of(&subresources["scale"]),
            columns,
            cells,
            selectable,
        }))
    }
}

/// The columns of a version; its age where it names none.
fn columns(version: &Value) -> Result<(&'static [Column], Vec<Cell>), Full> {
    let mut columns = vec![Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: "Name of the object.",
        priority: 0,
    }];
    let mut cells = Vec::new();
    let named: &[Value] = version["additionalPrinterColumns"].as_array().map_or(&[], Vec::as_slice);
    let age = serde_json::json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": "How old the object is."});
    let named = if named.is_empty() { std::slice::from_ref(&age) } else { named };
    for column in named {
        let text = |key: &str| column[key].as_str().unwrap_or_default();
        let path = text("jsonPath");
        let Ok(parsed) = JsonPath::parse(path) else { continue };
        let described = match text("description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            words => words.to_owned(),
        };
        let kind = intern::text(text("type"))?;
        columns.push(Column {
            name: intern::text(text("name"))?,
            kind,
            format: intern::text(text("format"))?,
            description: intern::text(&described)?,
            priority: column["priority"].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0),
        });
        cells.push(Cell { path: parsed, kind });
    }
    Ok((intern::columns(columns)?, cells))
}
