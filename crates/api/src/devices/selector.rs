//! Expressions in CEL that choose devices by what their drivers publish.
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-claim-v1/#CELDeviceSelector>

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cox_cel::{
    Bindings, Budget, CALL_LIMIT, Declarations, EvalError, Host, Key, Program, Type, Value, library,
};

/// The one variable.
const DEVICE: &str = "device";

static DECLARED: LazyLock<Declarations> = LazyLock::new(|| {
    let by_domain = |of: Type| Type::map(Type::String, Type::map(Type::String, of));
    let device = Type::object(
        "kubernetes.DRADevice",
        [
            ("driver", Type::String),
            ("attributes", by_domain(Type::Dyn)),
            ("capacity", by_domain(Type::opaque("kubernetes.Quantity"))),
            ("allowMultipleAllocations", Type::Bool),
        ],
    );
    Declarations::new().variable(DEVICE, device).binds()
});

/// A fact that a driver publishes of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Any text.
    Text(String),
    /// A version of <https://semver.org/spec/v2.0.0.html>.
    Version(String),
}

/// What selectors see of a device, made once for all of them.
#[derive(Clone, Debug)]
pub struct Facts(Bindings);

impl Facts {
    /// Of a device of a driver. Names without a domain are of the driver's; capacities are quantities as texts;
    /// `shared` is whether the device may be given to several claims.
    ///
    /// # Errors
    /// Where a version or a quantity is none, which validation rules out.
    pub fn new<'a>(
        driver: &str,
        attributes: impl IntoIterator<Item = (&'a str, &'a Attribute)>,
        capacity: impl IntoIterator<Item = (&'a str, &'a str)>,
        shared: bool,
    ) -> Result<Facts, String> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |error: EvalError| format!("{name}: {error}")
        };
        let mut known = Domains::default();
        for (name, attribute) in attributes {
            let value = match attribute {
                Attribute::Bool(value) => Value::Bool(*value),
                Attribute::Int(value) => Value::Int(*value),
                Attribute::Text(text) => text.as_str().into(),
                Attribute::Version(text) => {
                    library("semver", &[text.as_str().into()]).map_err(failed(name))?
                }
            };
            known.add(driver, name, value);
        }
        let mut amounts = Domains::default();
        for (name, amount) in capacity {
            let value = library("quantity", &[amount.into()]).map_err(failed(name))?;
            amounts.add(driver, name, value);
        }
        let device = Value::map([
            ("driver", driver.into()),
            ("attributes", known.into()),
            ("capacity", amounts.into()),
            ("allowMultipleAllocations", Value::Bool(shared)),
        ]);
        Ok(Facts(Bindings::new().with(DEVICE, device)))
    }
}

/// What is published by domain. A domain of which nothing is published is empty, and no error.
#[derive(Debug, Default)]
struct Domains(BTreeMap<Key, Value>);

impl Domains {
    fn add(&mut self, driver: &str, name: &str, value: Value) {
        let (domain, name) = name.split_once('/').unwrap_or((driver, name));
        let of = self.0.entry(Key::String(domain.into())).or_insert_with(|| Value::map([]));
        if let Value::Map(of) = of {
            Arc::make_mut(of).insert(Key::String(name.into()), value);
        }
    }
}

impl From<Domains> for Value {
    fn from(domains: Domains) -> Value {
        Value::Host(Arc::new(domains))
    }
}

impl Host for Domains {
    fn type_name(&self) -> &'static str {
        "map"
    }

    fn field(&self, name: &str) -> Option<Result<Value, EvalError>> {
        let found = self.0.get(&Key::String(name.into())).cloned();
        Some(Ok(found.unwrap_or_else(|| Value::map([]))))
    }

    fn entries(&self) -> Option<&BTreeMap<Key, Value>> {
        Some(&self.0)
    }
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Selector(Program);

impl Selector {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Why it is none, in upstream's words.
    pub fn compile(expression: &str) -> Result<Selector, String> {
        let program = Program::compile(expression, &DECLARED)
            .map_err(|error| format!("compilation failed: {error}"))?;
        match program.result() {
            Type::Bool | Type::Dyn => Ok(Selector(program)),
            other => Err(format!("must evaluate to bool or the unknown type, not {other}")),
        }
    }

    /// Whether a device is chosen.
    ///
    /// # Errors
    /// Where the expression can't be evaluated for this device, or costs too much.
    pub fn matches(&self, facts: &Facts) -> Result<bool, String> {
        let value =
            self.0.evaluate(&facts.0, &mut Budget::new(CALL_LIMIT)).map_err(|error| error.to_string())?;
        value.as_bool().ok_or_else(|| {
            format!(
                "CEL result of type {} could not be converted to bool: type conversion error",
                value.type_name()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let attributes = [
            ("model", Attribute::Text("a100".into())),
            ("index", Attribute::Int(3)),
            ("other.example.com/healthy", Attribute::Bool(true)),
            ("version", Attribute::Version("1.10.0".into())),
        ];
        let attributes = attributes.iter().map(|(name, value)| (*name, value));
        Facts::new("gpu.example.com", attributes, [("memory", "40Gi")], true).unwrap()
    }

    #[test]
    fn expressions_choose_by_facts() {
        for (expression, expected) in [
            ("device.driver == 'gpu.example.com'", true),
            ("device.attributes['gpu.example.com'].model == 'a100'", true),
            ("device.attributes['gpu.example.com'].index > 3", false),
            ("device.attributes['other.example.com'].healthy", true),
            ("device.attributes['gpu.example.com'].version.isGreaterThan(semver('1.9.0'))", true),
            ("device.capacity['gpu.example.com'].memory.compareTo(quantity('32Gi')) > 0", true),
            ("'model' in device.attributes['gpu.example.com']", true),
            ("'model' in device.attributes['nowhere.example.com']", false),
            ("'nowhere.example.com' in device.attributes", false),
            ("device.attributes.exists(domain, domain == 'other.example.com')", true),
            ("size(device.attributes) == 2", true),
            ("has(device.attributes['gpu.example.com'].missing)", false),
            ("device.allowMultipleAllocations", true),
            (
                "cel.bind(gpu, device.attributes['gpu.example.com'], gpu.model == 'a100' && gpu.index == 3)",
                true,
            ),
        ] {
            let found = Selector::compile(expression).and_then(|selector| selector.matches(&facts()));
            assert_eq!(found, Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        for (expression, expected) in [
            ("device.attributes['gpu.example.com'].missing == 1", "no such key: missing"),
            ("device.attributes['gpu.example.com'].model", "CEL result of type string"),
        ] {
            let error = Selector::compile(expression).unwrap().matches(&facts()).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn expressions_are_checked_when_they_are_written() {
        for (expression, expected) in [
            (
                "device.",
                "compilation failed: ERROR: <input>:1:8: Syntax error: no viable alternative at input '.'\n | device.\n | .......^",
            ),
            (
                "device.vendor == 'x'",
                "compilation failed: ERROR: <input>:1:7: undefined field 'vendor'\n | device.vendor == 'x'\n | ......^",
            ),
            ("device.driver", "must evaluate to bool or the unknown type, not string"),
            (
                "node.name == 'x'",
                "compilation failed: ERROR: <input>:1:1: undeclared reference to 'node' (in container '')\n | node.name == 'x'\n | ^",
            ),
        ] {
            assert_eq!(Selector::compile(expression).unwrap_err(), expected, "{expression}");
        }
    }
}
