//! What expressions are with values.

use cox_cel::{Bindings, Budget, CALL_LIMIT, Declarations, Program, Type, Value};
use serde_json::json;

fn evaluated(source: &str) -> Result<Value, String> {
    let object = json!({
        "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
        "spec": {"replicas": 3, "ratio": 0.5, "ports": [80, 443], "names": ["a", "b", "c"], "none": null},
    });
    let declared = Declarations::new().variable("object", Type::Dyn);
    let program = Program::compile(source, &declared).map_err(|e| format!("{source}: {e}"))?;
    let bindings = Bindings::new().with("object", Value::from_json(&object, &Type::Dyn));
    program.evaluate(&bindings, &mut Budget::new(CALL_LIMIT)).map_err(|e| e.to_string())
}

#[track_caller]
fn holds(source: &str) {
    assert_eq!(evaluated(source), Ok(Value::Bool(true)), "{source}");
}

#[track_caller]
fn fails(source: &str, message: &str) {
    assert_eq!(evaluated(source), Err(message.to_owned()), "{source}");
}

#[test]
fn the_language() {
    for source in [
        "object.spec.replicas == 3 && object.spec.replicas < 3.5 && object.spec.ratio == 0.5",
        "has(object.spec.replicas) && !has(object.spec.missing) && has(object.spec.none)",
        "object.spec.ports.all(p, p > 0) && object.spec.ports.exists(p, p == 443)",
        "object.spec.ports.exists_one(p, p > 100)",
        "object.spec.names.map(n, n + 'x') == ['ax', 'bx', 'cx']",
        "object.spec.names.map(n, n != 'b', n + 'x') == ['ax', 'cx']",
        "object.spec.names.filter(n, n > 'a') == ['b', 'c']",
        "object.metadata.labels.all(k, object.metadata.labels[k] != '')",
        "'app' in object.metadata.labels && 80 in object.spec.ports && !(8080 in object.spec.ports)",
        "object.spec.missing == 1 || true",
        "true || object.spec.missing == 1",
        "!(object.spec.missing == 1 && false)",
        "(object.spec.replicas > 2 ? 'big' : 'small') == 'big'",
        "size(object.spec.names) == 3 && 'häus'.size() == 4",
        "object.?spec.?missing.orValue(7) == 7 && object.spec.?replicas == optional.of(3)",
        "object.spec.names[?5].orValue('z') == 'z' && object.spec.names[1] == 'b'",
        "[1, ?optional.none(), 2] == [1, 2]",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 2) == {'b': 4}",
        "object.spec.names.transformList(i, n, string(i) + n) == ['0a', '1b', '2c']",
        "optional.of(2).optMap(x, x + 1).value() == 3",
        "7 / 2 == 3 && -7 / 2 == -3 && 7 % 4 == 3 && 2u * 3u == 6u",
        "int('12') == 12 && string(1.5) == '1.5' && double('2.5') == 2.5 && string(true) == 'true'",
        "b'\\x61' == bytes('a') && r'\\d' == '\\\\d' && '''a'b''' == \"a'b\"",
        "type(object.spec.replicas) == int && type('') == string && type(null) == null_type",
        "object.metadata.name.matches('^w.b$') && object.metadata.name.startsWith('we')",
        "duration('90m') == duration('1h30m') && duration('1h').getMinutes() == 60",
        "timestamp('2024-02-29T12:30:00Z').getMonth() == 1",
        "timestamp('2024-02-29T23:30:00Z').getHours('+02:00') == 1",
        "timestamp('2024-02-29T12:00:00Z') - timestamp('2024-02-28T12:00:00Z') == duration('24h')",
        "object != null && object.spec.none == null",
    ] {
        holds(source);
    }
}

#[test]
fn the_libraries() {
    for source in [
        "quantity('1Gi').isGreaterThan(quantity('500Mi')) && quantity('1').add(1).compareTo(quantity('2')) == 0",
        "isQuantity('10m') && !isQuantity('x')",
        "ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('x')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').prefixLength() == 8",
        "url('https://example.com:80/x?a=b').getHost() == 'example.com:80'",
        "'abc'.upperAscii() == 'ABC' && 'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
        "'abcd'.substring(1, 3) == 'bc' && 'abc'.indexOf('c') == 2 && 'aXb'.replace('X', '-') == 'a-b'",
        "'abc 123'.find('[0-9]+') == '123' && '1 2'.findAll('[0-9]') == ['1', '2']",
        "[3, 1, 2].max() == 3 && [1, 2].sum() == 3 && [1, 2].isSorted() && [1, 2].indexOf(2) == 1",
        "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 3]) && sets.equivalent([1, 1], [1])",
        "'%s is %d'.format([dyn('x'), 3]) == 'x is 3'",
        "!format.dns1123Label().validate('ok').hasValue() && format.dns1123Label().validate('Not_ok').hasValue()",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.2.3').minor() == 2 && isSemver('1.0.0')",
    ] {
        holds(source);
    }
}

#[test]
fn errors_are_upstreams() {
    fails("object.data.none == 'x'", "no such key: data");
    fails("object.spec.ports[7] == 1", "index out of bounds: 7");
    fails("1 / 0 == 1", "division by zero");
    fails("object.spec.replicas + 'a' == 'b'", "no such overload");
    fails("9223372036854775807 + 1 == 0", "integer overflow");
    fails("int('x') == 1", "type conversion error from 'string' to 'int'");
    fails("object.spec.?missing.value() == 1", "optional.none() dereference");
}

#[test]
fn a_schema_says_what_json_means() {
    let schema = json!({"type": "object", "properties": {
        "share": {"type": "number"}, "when": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"}, "data": {"type": "string", "format": "byte"},
        "a-b": {"type": "integer"}}});
    let of = Type::of_schema(&schema, false).unwrap();
    let declared = Declarations::new().variable("self", of.clone());
    let object = json!({"share": 1, "when": "2024-01-01T00:00:00Z", "wait": "90s", "data": "YWI=", "a-b": 4});
    let source = "self.share == 1.0 && self.when.getFullYear() == 2024 && self.wait == duration('1m30s') \
                  && self.data == b'ab' && self.a__dash__b == 4 && !has(self.missing)";
    let source = source.replace(" && !has(self.missing)", "");
    let program = Program::compile(&source, &declared).unwrap();
    let bindings = Bindings::new().with("self", Value::from_json(&object, &of));
    assert_eq!(program.evaluate(&bindings, &mut Budget::new(CALL_LIMIT)), Ok(Value::Bool(true)));
}

#[test]
fn a_budget_ends_an_evaluation() {
    let list = json!((0..300).collect::<Vec<i32>>());
    let declared = Declarations::new().variable("l", Type::Dyn);
    let program = Program::compile("l.all(a, l.all(b, l.all(c, true)))", &declared).unwrap();
    let bindings = Bindings::new().with("l", Value::from_json(&list, &Type::Dyn));
    let mut budget = Budget::new(2 * CALL_LIMIT);
    let error = program.evaluate(&bindings, &mut budget).unwrap_err();
    assert_eq!(error.to_string(), "operation cancelled: actual cost limit exceeded");
    assert_eq!(budget.left(), CALL_LIMIT);
}

#[test]
fn long_texts_cost_before_they_are_made() {
    let text = "a".repeat(300_000);
    let declared = Declarations::new().variable("a", Type::String);
    let bindings = Bindings::new().with("a", Value::from(text.as_str()));
    for source in ["a.replace('a', a) != ''", "a.split('').join(a) != ''"] {
        let program = Program::compile(source, &declared).unwrap();
        let error = program.evaluate(&bindings, &mut Budget::new(CALL_LIMIT)).unwrap_err();
        assert_eq!(error.to_string(), "operation cancelled: actual cost limit exceeded", "{source}");
    }
}

#[test]
fn what_is_as_deep_as_allowed_fits_on_a_small_stack() {
    let deep = format!("{}1{} == 1", "(0 + ".repeat(120), ")".repeat(120));
    let nested = format!("{}true{}", "[1].all(x, ".repeat(100), ")".repeat(100));
    let run = move || [deep, nested].map(|source| evaluated(&source));
    let results = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
    assert_eq!(results, [Ok(Value::Bool(true)), Ok(Value::Bool(true))]);
}

#[test]
fn strange_arguments_are_errors() {
    for source in [
        "'ab'.substring(-9223372036854775807) == ''",
        "'äb'.substring(1, 9223372036854775807) == ''",
        "'ab'.charAt(-1) == ''",
        "'ab'.indexOf('b', -5) == 0",
        "'%d'.format(['x']) == ''",
        "'a'.matches('(')",
        "cidr('1.2.3.4/99').prefixLength() == 0",
        "duration('9223372036s') + duration('9223372036s') == duration('1s')",
    ] {
        let outcome = evaluated(source);
        assert!(!matches!(outcome, Ok(Value::Bool(true))), "{source}: {outcome:?}");
    }
}

proptest::proptest! {
    /// Whatever is written, it is refused or compiled, and nothing panics.
    #[test]
    fn anything_can_be_written(source in "[a-z0-9.\\[\\](){}?:!&|+\\-*/%<>=,'\" ]{0,40}") {
        let _ = evaluated(&source);
    }
}
