//! What is refused before anything is evaluated, and in which words.

use cox_cel::{Declarations, Program, Type};
use serde_json::json;

fn declared() -> Declarations {
    let schema = json!({"type": "object", "properties": {
        "min": {"type": "integer"}, "name": {"type": "string"},
        "names": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "port": {"x-kubernetes-int-or-string": true},
        "namespace": {"type": "string"},
        "when": {"type": "string", "format": "date-time"}}});
    Declarations::new()
        .variable("object", Type::Dyn)
        .variable("self", Type::of_schema(&schema, true).expect("a type"))
        .variable("authorizer", Type::opaque("kubernetes.authorization.Authorizer"))
        .variable("authorizer.requestResource", Type::opaque("kubernetes.authorization.ResourceCheck"))
}

#[track_caller]
fn refused(source: &str, text: &str) {
    let error = Program::compile(source, &declared()).expect_err(source).to_string();
    assert_eq!(error, text);
}

#[track_caller]
fn of(source: &str, of: &str) {
    match Program::compile(source, &declared()) {
        Ok(program) => assert_eq!(program.result().to_string(), of, "{source}"),
        Err(error) => panic!("{source}: {error}"),
    }
}

#[test]
fn syntax_errors_are_worded_as_the_grammar_words_them() {
    refused(
        "object.",
        "ERROR: <input>:1:8: Syntax error: no viable alternative at input '.'\n | object.\n | .......^",
    );
    refused(
        "zzz +",
        "ERROR: <input>:1:6: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | zzz +\n | .....^",
    );
}

#[test]
fn names_and_fields_are_known() {
    refused("self.zzz > 1", "ERROR: <input>:1:5: undefined field 'zzz'\n | self.zzz > 1\n | ....^");
    refused("foo", "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^");
    refused(
        "true ||\n  foo(1)",
        "ERROR: <input>:2:6: undeclared reference to 'foo' (in container '')\n |   foo(1)\n | .....^",
    );
    refused(
        "self.min.x == 1",
        "ERROR: <input>:1:9: type 'int' does not support field selection\n | self.min.x == 1\n | ........^",
    );
}

#[test]
fn overloads_must_match() {
    refused(
        "self.min + 'a'",
        "ERROR: <input>:1:10: found no matching overload for '_+_' applied to '(int, string)'\n | self.min + 'a'\n | .........^",
    );
    refused(
        "self.min.startsWith('a')",
        "ERROR: <input>:1:20: found no matching overload for 'startsWith' applied to 'int.(string)'\n | self.min.startsWith('a')\n | ...................^",
    );
    refused("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^");
    refused(
        "self.min.all(x, true)",
        "ERROR: <input>:1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | self.min.all(x, true)\n | ....^",
    );
}

#[test]
fn results_have_types() {
    of("5", "int");
    of("object.spec.x > 1", "bool");
    of("object.spec.x", "dyn");
    of("self.names.filter(n, n != 'a')", "list(string)");
    of("self.names.map(n, size(n))", "list(int)");
    of("self.labels.exists(k, k == 'a')", "bool");
    of("self.?name.orValue('x')", "string");
    of("self.labels[?'a'].hasValue()", "bool");
    of("self.__namespace__", "string");
    of("self.metadata.name", "string");
    of("self.port", "dyn");
    of("self.when + duration('1h')", "google.protobuf.Timestamp");
    of("true ? 1 : 2", "int");
    of("type(1) == int", "bool");
    of("quantity('1Gi').add(quantity('1'))", "kubernetes.Quantity");
    of("sets.contains([1], [1])", "bool");
    of("authorizer.group('').resource('pods').namespace('x').check('get').allowed()", "bool");
    of("authorizer.requestResource.check('get').allowed()", "bool");
    of("{'a': 1}", "map(string, int)");
    of("self.labels.transformMap(k, v, v + k)", "map(string, string)");
    of("self.names.all(i, n, i < 3 && n != '')", "bool");
}

#[test]
fn nothing_is_too_long_or_too_deep_to_be_refused() {
    let deep = format!("{}1{}", "(".repeat(400), ")".repeat(400));
    assert!(Program::compile(&deep, &declared()).is_err());
    let chain = vec!["1"; 400].join(" + ");
    assert!(Program::compile(&chain, &declared()).is_err());
    let wide = vec!["true"; 2000].join(" && ");
    assert!(Program::compile(&wide, &declared()).is_ok());
    assert!(Program::compile(&"a".repeat(100_001), &declared()).is_err());
}

#[test]
fn names_are_bound_where_that_is_declared() {
    refused(
        "cel.bind(x, 1, x == 1)",
        "ERROR: <input>:1:9: undeclared reference to 'cel' (in container '')\n | cel.bind(x, 1, x == 1)\n | ........^",
    );
    let declared = Declarations::new().binds();
    let program = Program::compile("cel.bind(x, 1, x == 1)", &declared).unwrap();
    assert_eq!(*program.result(), Type::Bool);
    assert!(Program::compile("cel.bind(x, 'a', x == 1)", &declared).is_err());
}

#[test]
fn what_is_empty_fits_everywhere() {
    of("true ? [1] : []", "list(int)");
    of("true ? {} : {'a': 1}", "map(string, int)");
    of("true ? optional.none() : optional.of('x')", "optional_type(string)");
    of("[]", "list(dyn)");
    of("[].all(x, x.y > 1)", "bool");
    let declared = Declarations::new().patches();
    let program =
        Program::compile("true ? [JSONPatch{op: 'add', path: '/a', value: 1}] : []", &declared).unwrap();
    assert_eq!(program.result().to_string(), "list(JSONPatch)");
    let program = Program::compile("Object{spec: Object.spec{replicas: 1}}", &declared).unwrap();
    assert_eq!(program.result().to_string(), "Object");
    assert!(Program::compile("[JSONPatch{op: 1}]", &declared).is_err());
}
