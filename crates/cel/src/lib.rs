//! CEL, the Common Expression Language, as Kubernetes uses it: policies, match conditions, rules of custom resources
//! and selectors of devices are written in it.
//!
//! A [`Program`] is compiled once: parsed, and checked against [`Declarations`], so that a name or a field that isn't
//! there is refused when it is written. It is evaluated with [`Bindings`] within a [`Budget`].
//!
//! ```
//! use cox_cel::{Bindings, Budget, Declarations, Program, Type, Value};
//!
//! let declared = Declarations::new().variable("object", Type::Dyn);
//! let program = Program::compile("object.spec.replicas <= 3", &declared).unwrap();
//! assert_eq!(*program.result(), Type::Bool);
//!
//! let object = serde_json::json!({"spec": {"replicas": 2}});
//! let bindings = Bindings::new().with("object", Value::from_json(&object, &Type::Dyn));
//! let mut budget = Budget::new(cox_cel::CALL_LIMIT);
//! assert_eq!(program.evaluate(&bindings, &mut budget), Ok(Value::Bool(true)));
//! ```
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/cel/>

mod check;
mod declarations;
mod error;
mod escape;
mod eval;
mod json;
mod parse;
mod program;
mod schema;
mod types;
mod value;

pub use declarations::Declarations;
pub use error::{CompileError, EvalError, Issue};
pub use escape::escape;
pub use eval::{Bindings, Budget, CALL_LIMIT, RULE_LIMIT};
pub use parse::{DEPTH_MAX, LENGTH_MAX, is_identifier};
pub use program::{Program, library};
pub use types::{Field, ObjectType, Type};
pub use value::{Host, Key, Library, Value};
