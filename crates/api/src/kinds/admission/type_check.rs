//! What is wrong with the expressions of a policy where its objects are of the types that its rules name. It changes
//! nothing about the policy: an object's fields are only known when it is there.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking>

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_cel::{Declarations, Field, ObjectType, Program, Type, escape};
use serde_json::Value;

use super::environment::Environment;
use crate::kinds;
use crate::kinds::common::walk::{get, list, text, texts};
use crate::schema::{Shape, TypeId};

/// More types than these aren't checked against.
const TYPES_MAX: usize = 10;
/// Types that contain themselves are followed no deeper.
const DEPTH_MAX: usize = 24;

/// A fault of an expression (`ExpressionWarning`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which expression, as in `spec.validations[0].expression`.
    pub field: String,
    /// What is wrong, for each type.
    pub text: String,
}

/// Checks the expressions of a ValidatingAdmissionPolicy and of its messages.
#[must_use]
pub fn check(policy: &Value) -> Vec<Warning> {
    let spec = &policy["spec"];
    let types = types_of(spec);
    let params =
        get(spec, "paramKind").and_then(|kind| type_of(text(kind, "apiVersion"), text(kind, "kind")));
    let declared: Vec<(String, Declarations)> =
        types.iter().map(|(name, of)| (name.clone(), declarations(spec, of, params.as_ref()))).collect();
    let mut warnings = Vec::new();
    for (at, validation) in list(spec, "validations").iter().enumerate() {
        for key in ["expression", "messageExpression"] {
            let source = text(validation, key);
            if source.is_empty() {
                continue;
            }
            let faults = declared.iter().filter_map(|(name, declared)| {
                let fault = Program::compile(source, declared).err()?;
                Some(format!("{name}: {fault}\n"))
            });
            let faults: Vec<String> = faults.collect();
            if !faults.is_empty() {
                warnings.push(Warning {
                    field: format!("spec.validations[{at}].{key}"),
                    text: faults.join("\n"),
                });
            }
        }
    }
    warnings
}

/// The types that rules name without wildcards, in order of group, version and kind.
fn types_of(spec: &Value) -> Vec<(String, Type)> {
    let mut found = BTreeMap::new();
    for rule in list(&spec["matchConstraints"], "resourceRules") {
        let wild = |key: &str| texts(rule, key).any(|word| word.contains('*'));
        if wild("apiGroups") || wild("apiVersions") {
            continue;
        }
        for group in texts(rule, "apiGroups") {
            for version in texts(rule, "apiVersions") {
                for resource in texts(rule, "resources").filter(|word| !word.contains(['*', '/'])) {
                    if let Some(kind) = kinds::by_resource(group, version, resource) {
                        let info = kind.info();
                        found.insert((info.group, info.version, info.kind), info.type_id());
                    }
                }
            }
        }
    }
    let named = found.into_iter().take(TYPES_MAX).map(|((group, version, kind), of)| {
        let slash = if group.is_empty() { "" } else { "/" };
        (format!("{group}{slash}{version}, Kind={kind}"), of_type(of, DEPTH_MAX))
    });
    named.collect()
}

fn type_of(api_version: &str, kind: &str) -> Option<Type> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    kinds::by_kind(group, version, kind).map(|kind| of_type(kind.info().type_id(), DEPTH_MAX))
}

fn declarations(spec: &Value, object: &Type, params: Option<&Type>) -> Declarations {
    let environment = Environment { params: false, authorizer: true, patches: false };
    let with_types = |variables: Option<&[(String, Type)]>| {
        let declared = environment
            .declarations(variables)
            .variable("object", object.clone())
            .variable("oldObject", object.clone());
        match params {
            Some(params) => declared.variable("params", params.clone()),
            None => declared,
        }
    };
    let variables = list(spec, "variables");
    if variables.is_empty() {
        return with_types(None);
    }
    let mut known = Vec::new();
    for variable in variables {
        let program = Program::compile(text(variable, "expression"), &with_types(Some(&known)));
        let of = program.map_or(Type::Dyn, |program| program.result().clone());
        known.push((text(variable, "name").to_owned(), of));
    }
    with_types(Some(&known))
}

/// The type of a type of the schema table.
fn of_type(id: TypeId, depth: usize) -> Type {
    if depth == 0 {
        return Type::Dyn;
    }
    let fields = id.fields().iter().filter_map(|field| {
        let of = Field { json: field.name.to_owned(), of: of_shape(&field.shape, depth - 1) };
        Some((escape(field.name)?, of))
    });
    Type::Object(Arc::new(ObjectType { name: id.short_name().to_owned(), fields: fields.collect() }))
}

fn of_shape(shape: &Shape, depth: usize) -> Type {
    match shape {
        Shape::String | Shape::Quantity => Type::String,
        Shape::Int32 | Shape::Int64 => Type::Int,
        Shape::Bool => Type::Bool,
        Shape::Float => Type::Double,
        Shape::Bytes => Type::Bytes,
        Shape::Time | Shape::MicroTime => Type::Timestamp,
        Shape::Object(id) => of_type(*id, depth),
        Shape::List(of) => Type::list(of_shape(of, depth)),
        Shape::Map(of) => Type::map(Type::String, of_shape(of, depth)),
        // What may be of several types is known when it is there.
        _ => Type::Dyn,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warnings(spec: Value) -> Vec<(String, String)> {
        let mut policy = json!({"spec": {"matchConstraints": {"resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments", "replicasets", "deployments/scale"]}]}}});
        for (key, value) in spec.as_object().unwrap() {
            policy["spec"][key] = value.clone();
        }
        check(&policy).into_iter().map(|warning| (warning.field, warning.text)).collect()
    }

    #[test]
    fn fields_that_types_do_not_have() {
        let found = warnings(json!({"validations": [
            {"expression": "object.spec.replicas > 1 && object.spec.template.spec.containers.all(c, c.image != '')"},
            {"expression": "object.replicas > 1", "messageExpression": "'x' + object.spec.replicas"},
            {"expression": "object.spec.paused"},
            {"expression": "object.metadata.creationTimestamp > timestamp('2024-01-01T00:00:00Z')"}]}));
        let fault = |kind: &str, text: &str| format!("apps/v1, Kind={kind}: {text}\n");
        let replicas = "ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^";
        let message = "ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'\n | 'x' + object.spec.replicas\n | ....^";
        let paused = "ERROR: <input>:1:12: undefined field 'paused'\n | object.spec.paused\n | ...........^";
        let both = |text: &str| format!("{}\n{}", fault("Deployment", text), fault("ReplicaSet", text));
        assert_eq!(
            found,
            [
                ("spec.validations[1].expression".to_owned(), both(replicas)),
                ("spec.validations[1].messageExpression".to_owned(), both(message)),
                ("spec.validations[2].expression".to_owned(), fault("ReplicaSet", paused)),
            ]
        );
    }

    #[test]
    fn variables_and_parameters_have_types() {
        let found = warnings(json!({
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "variables": [{"name": "n", "expression": "object.spec.replicas"}],
            "validations": [{"expression": "variables.n > 1 && params.data.max == ''"}, {"expression": "variables.n == '' || params.max == ''"}]}));
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("'_==_' applied to '(int, string)'"), "{found:?}");
        assert!(found[0].1.contains("undefined field 'max'"), "{found:?}");
    }
}
