//! Paths and operations of the kinds that are served.

use serde_json::{Map, Value, json};

use super::schemas::{Flavor, Schemas};
use crate::kind::{KindInfo, Scope, Subresource};
use crate::schema::{TypeId, type_named, type_of};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const MEDIA_TYPES_LIST: [&str; 5] = [
    "application/json",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/yaml",
];
const MEDIA_TYPES_PATCH: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// (name, type, what it does), in query strings.
type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "If 'true', the output is indented.");
const DRY_RUN: Parameter = ("dryRun", "string", "'All': go through all stages, but store nothing.");
const FIELD_MANAGER: Parameter =
    ("fieldManager", "string", "The name of who makes the change, up to 128 printable characters.");
const FIELD_VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What to do with unknown or repeated fields: 'Ignore' drops them, 'Warn' drops them with a warning, 'Strict' \
     refuses the request.",
);
const FORCE: Parameter =
    ("force", "boolean", "Take over fields that other managers own. Only for apply patches.");
const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const DELETE: &[Parameter] = &[
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds until the object is deleted; zero: at once."),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Delete an object that can't be read."),
    ("orphanDependents", "boolean", "Use propagationPolicy instead."),
    ("propagationPolicy", "string", "What becomes of dependents: 'Orphan', 'Background' or 'Foreground'."),
];
const LIST: &[Parameter] = &[
    ("allowWatchBookmarks", "boolean", "Ask for events of type BOOKMARK."),
    ("continue", "string", "Where to go on, from the list before."),
    ("fieldSelector", "string", "Only objects whose fields match."),
    ("labelSelector", "string", "Only objects whose labels match."),
    ("limit", "integer", "How many objects at most."),
    ("resourceVersion", "string", "Which versions of the objects."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: 'Exact' or 'NotOlderThan'."),
    ("sendInitialEvents", "boolean", "Begin a watch with the objects that are there."),
    ("timeoutSeconds", "integer", "Seconds until the call ends."),
    ("watch", "boolean", "Send changes as they happen."),
];

/// Collects the paths of a document.
pub struct Paths<'a, 'b> {
    flavor: Flavor,
    schemas: &'b mut Schemas<'a>,
    out: Map<String, Value>,
}

/// A schema of the document.
#[derive(Clone)]
enum Named {
    /// Of a type of the table.
    Type(TypeId),
    /// Of a custom resource, by its name in the document.
    Custom(String),
}

impl Named {
    fn of(of: TypeId) -> Named {
        Named::Type(of)
    }
}

/// What a kind of a definition and its lists are called in a document.
pub struct CustomNames {
    /// `com.example.v1.Widget`
    pub own: String,
    /// `com.example.v1.WidgetList`
    pub list: String,
}

/// What an operation is about.
struct Operation<'k> {
    /// As in OpenAPI.
    method: &'static str,
    /// `x-kubernetes-action`.
    action: &'static str,
    /// The first word of the operation's id.
    word: &'static str,
    /// The rest of the id after group and version.
    suffix: String,
    group_version: (&'k str, &'k str),
    /// Group, version, kind.
    gvk: (&'k str, &'k str, &'k str),
    parameters: &'static [Parameter],
    /// The type of the body; whether one must be there.
    body: Option<(Named, bool)>,
    /// The type of the answer; text where there is none.
    answer: Option<Named>,
    media_types: &'static [&'static str],
    /// Whether something may be made or accepted, besides `200`.
    codes: &'static [&'static str],
}

impl<'a, 'b> Paths<'a, 'b> {
    /// Starts with none; types go to `schemas`.
    pub fn new(flavor: Flavor, schemas: &'b mut Schemas<'a>) -> Paths<'a, 'b> {
        Paths { flavor, schemas, out: Map::new() }
    }

    /// The paths.
    pub fn finish(self) -> Value {
        Value::Object(self.out)
    }

    /// Adds the paths of a kind.
    pub fn add(&mut self, info: &'static KindInfo, custom: Option<&CustomNames>) {
        let root = root(info.group, info.version);
        let namespaced = info.scope == Scope::Namespaced;
        let collection = if namespaced {
            format!("{root}/namespaces/{{namespace}}/{}", info.plural)
        } else {
            format!("{root}/{}", info.plural)
        };
        let item = format!("{collection}/{{name}}");
        for verb in info.verbs {
            let Some(operation) = of_kind(info, verb, custom) else { continue };
            let path =
                if matches!(*verb, "list" | "create" | "deletecollection") { &collection } else { &item };
            self.put(path, &operation);
            if *verb == "list" && namespaced {
                let suffix = format!("{}ForAllNamespaces", info.kind);
                self.put(&format!("{root}/{}", info.plural), &Operation { suffix, ..operation });
            }
        }
        for sub in info.subresources {
            let path = format!("{item}/{}", sub.name);
            for verb in sub.verbs {
                if let Some(operation) = of_subresource(info, sub, verb, custom) {
                    self.put(&path, &operation);
                }
            }
        }
    }

    fn reference(&mut self, of: &Named) -> Value {
        match of {
            Named::Type(of) => self.schemas.reference(*of),
            Named::Custom(name) => self.flavor.reference(name),
        }
    }

    fn put(&mut self, path: &str, operation: &Operation<'_>) {
        let value = self.operation(operation);
        let flavor = self.flavor;
        let item = self.out.entry(path).or_insert_with(|| {
            let mut parameters = Vec::new();
            for (name, what) in [("name", "name of the object"), ("namespace", "namespace of the object")] {
                if path.contains(&format!("{{{name}}}")) {
                    parameters.push(parameter(flavor, "path", (name, "string", what)));
                }
            }
            parameters.push(parameter(flavor, "query", PRETTY));
            json!({"parameters": parameters})
        });
        item[operation.method] = value;
    }

    fn operation(&mut self, operation: &Operation<'_>) -> Value {
        let (group, version) = operation.group_version;
        let title = title(group);
        let (gvk_group, gvk_version, gvk_kind) = operation.gvk;
        let id = format!("{}{title}{}{}", operation.word, capital(version), operation.suffix);
        let mut parameters: Vec<Value> =
            operation.parameters.iter().map(|entry| parameter(self.flavor, "query", *entry)).collect();
        let mut out = Map::from_iter([
            ("description".to_owned(), json!(format!("{} {gvk_kind}", operation.action))),
            ("operationId".to_owned(), json!(id)),
            ("tags".to_owned(), json!([format!("{}_{version}", lower(&title))])),
            ("x-kubernetes-action".to_owned(), json!(operation.action)),
            (
                "x-kubernetes-group-version-kind".to_owned(),
                json!({"group": gvk_group, "version": gvk_version, "kind": gvk_kind}),
            ),
        ]);
        let content = |schema: Value, media_types: &[&str]| {
            let content: Map<String, Value> = media_types
                .iter()
                .map(|media_type| ((*media_type).to_owned(), json!({"schema": schema.clone()})))
                .collect();
            json!(content)
        };
        let patches = operation.method == "patch";
        // Custom resources know no strategic merge.
        let custom_body = matches!(operation.answer, Some(Named::Custom(_)));
        if let Some((of, required)) = &operation.body {
            let (schema, required) = (self.reference(of), *required);
            match self.flavor {
                Flavor::V2 => {
                    parameters
                        .push(json!({"in": "body", "name": "body", "required": required, "schema": schema}));
                }
                Flavor::V3 => {
                    let media_types: &[&str] = match (patches, custom_body) {
                        (true, true) => &MEDIA_TYPES_PATCH[..3],
                        (true, false) => &MEDIA_TYPES_PATCH,
                        _ => &["*/*"],
                    };
                    let mut body = json!({"content": content(schema, media_types)});
                    if required {
                        body["required"] = true.into();
                    }
                    out.insert("requestBody".into(), body);
                }
            }
        }
        let schema = match &operation.answer {
            Some(of) => self.reference(of),
            None => json!({"type": "string"}),
        };
        let mut responses = json!({"401": {"description": "Unauthorized"}});
        for code in operation.codes {
            let description = match *code {
                "201" => "Created",
                "202" => "Accepted",
                _ => "OK",
            };
            responses[*code] = match self.flavor {
                Flavor::V2 => json!({"description": description, "schema": schema.clone()}),
                Flavor::V3 => json!({
                    "description": description,
                    "content": content(schema.clone(), operation.media_types),
                }),
            };
        }
        if self.flavor == Flavor::V2 {
            let consumed: &[&str] = if patches { &MEDIA_TYPES_PATCH } else { &["*/*"] };
            out.insert("consumes".into(), json!(consumed));
            out.insert("produces".into(), json!(operation.media_types));
            out.insert("schemes".into(), json!(["https"]));
        }
        if !parameters.is_empty() {
            out.insert("parameters".into(), parameters.into());
        }
        out.insert("responses".into(), responses);
        Value::Object(out)
    }
}

/// `/api/v1` or `/apis/apps/v1`.
pub fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

fn of_kind<'k>(info: &'static KindInfo, verb: &str, custom: Option<&CustomNames>) -> Option<Operation<'k>> {
    let own = own(info, custom);
    let list = || match custom {
        Some(names) => Some(Named::Custom(names.list.clone())),
        None => type_of(info.group, info.version, &format!("{}List", info.kind)).map(Named::of),
    };
    let status = type_of("", "v1", "Status").map(Named::of);
    let (method, action, word) = words(verb)?;
    let namespaced = if info.scope == Scope::Namespaced { "Namespaced" } else { "" };
    let collection = if verb == "deletecollection" { "Collection" } else { "" };
    let (parameters, body, answer, codes): (&'static [Parameter], _, _, &'static [&'static str]) = match verb
    {
        "get" => (&[], None, own, &["200"]),
        "list" => (LIST, None, list(), &["200"]),
        "create" => (WRITE, own.clone().map(|of| (of, true)), own, &["200", "201", "202"]),
        "update" => (WRITE, own.clone().map(|of| (of, true)), own, &["200", "201"]),
        "patch" => (PATCH, patch().map(|of| (of, true)), own, &["200", "201"]),
        "delete" => (DELETE, delete_options().map(|of| (of, false)), status, &["200", "202"]),
        "deletecollection" => (LIST, delete_options().map(|of| (of, false)), status, &["200"]),
        _ => return None,
    };
    let gvk = (info.group, info.version, info.kind);
    Some(Operation {
        method,
        action,
        word,
        suffix: format!("{collection}{namespaced}{}", info.kind),
        group_version: (gvk.0, gvk.1),
        gvk,
        parameters,
        body,
        answer,
        media_types: if verb == "list" { &MEDIA_TYPES_LIST } else { &MEDIA_TYPES },
        codes,
    })
}

/// The type of a kind's objects.
fn own(info: &KindInfo, custom: Option<&CustomNames>) -> Option<Named> {
    match custom {
        Some(names) => Some(Named::Custom(names.own.clone())),
        None => type_of(info.group, info.version, info.kind).map(Named::of),
    }
}

fn of_subresource<'k>(
    info: &'static KindInfo,
    sub: &Subresource,
    verb: &str,
    custom: Option<&CustomNames>,
) -> Option<Operation<'k>> {
    let parent = (info.group, info.version, info.kind);
    let group = if sub.version.is_empty() { info.group } else { sub.group };
    let version = if sub.version.is_empty() { info.version } else { sub.version };
    let of_table = type_of(group, version, sub.kind);
    let gvk = of_table.and_then(TypeId::gvk).unwrap_or(parent);
    let own = if sub.kind == info.kind { own(info, custom) } else { of_table.map(Named::of) };
    let (method, action, word) = words(verb)?;
    let namespaced = if info.scope == Scope::Namespaced { "Namespaced" } else { "" };
    let mut operation = Operation {
        method,
        action,
        word,
        suffix: format!("{namespaced}{}{}", info.kind, capital(sub.name)),
        group_version: (parent.0, parent.1),
        gvk,
        parameters: &[],
        body: None,
        answer: own.clone(),
        media_types: &MEDIA_TYPES,
        codes: &["200"],
    };
    // Streams and proxies carry what isn't an object of the API.
    if sub.kind.ends_with("Options") || sub.name == "log" {
        operation.answer = None;
        operation.media_types = if sub.name == "log" { &["text/plain"] } else { &["*/*"] };
        if sub.name != "log" {
            (operation.action, operation.word) = ("connect", connect_word(verb)?);
        }
        return Some(operation);
    }
    type Parts = (&'static [Parameter], Option<(Named, bool)>, &'static [&'static str]);
    let parts: Parts = match verb {
        "get" => (&[], None, &["200"]),
        "create" => (WRITE, own.map(|of| (of, true)), &["200", "201", "202"]),
        "update" => (WRITE, own.map(|of| (of, true)), &["200", "201"]),
        "patch" => (PATCH, patch().map(|of| (of, true)), &["200", "201"]),
        _ => return None,
    };
    (operation.parameters, operation.body, operation.codes) = parts;
    Some(operation)
}

/// Method, action, and first word of the operation's id.
fn words(verb: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match verb {
        "get" => ("get", "get", "read"),
        "list" => ("get", "list", "list"),
        "create" => ("post", "post", "create"),
        "update" => ("put", "put", "replace"),
        "patch" => ("patch", "patch", "patch"),
        "delete" => ("delete", "delete", "delete"),
        "deletecollection" => ("delete", "deletecollection", "delete"),
        _ => return None,
    })
}

fn connect_word(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "get" => "connectGet",
        "create" => "connectPost",
        "update" => "connectPut",
        "patch" => "connectPatch",
        "delete" => "connectDelete",
        _ => return None,
    })
}

fn patch() -> Option<Named> {
    type_named(&format!("{META}.Patch")).map(Named::of)
}

fn delete_options() -> Option<Named> {
    type_named(&format!("{META}.DeleteOptions")).map(Named::of)
}

fn parameter(flavor: Flavor, place: &str, (name, ty, description): Parameter) -> Value {
    let mut out = json!({"in": place, "name": name, "description": description});
    let mut schema =
        Map::from_iter([("type".to_owned(), json!(ty)), ("uniqueItems".to_owned(), json!(true))]);
    if place == "path" {
        out["required"] = true.into();
    }
    match flavor {
        Flavor::V2 => {
            if let Value::Object(out) = &mut out {
                out.append(&mut schema);
            }
        }
        Flavor::V3 => out["schema"] = schema.into(),
    }
    out
}

/// `rbac.authorization.k8s.io` -> `RbacAuthorization`; the core group is `Core`.
fn title(group: &str) -> String {
    match group.trim_end_matches(".k8s.io") {
        "" => "Core".into(),
        parts => parts.split('.').map(capital).collect(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
