//! What an expression may refer to.

use std::collections::BTreeMap;

use crate::types::Type;

/// The variables of an expression, with their types.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    variables: BTreeMap<String, Type>,
    patches: bool,
    binds: bool,
}

impl Declarations {
    /// Nothing but functions.
    #[must_use]
    pub fn new() -> Declarations {
        Declarations::default()
    }

    /// And a variable. A name may have dots, as `authorizer.requestResource` has.
    #[must_use]
    pub fn variable(mut self, name: &str, of: Type) -> Declarations {
        self.variables.insert(name.to_owned(), of);
        self
    }

    /// And the types of patches, `JSONPatch{}` and `Object{}` with all that is below it.
    /// Source: <https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/>
    #[must_use]
    pub fn patches(mut self) -> Declarations {
        self.patches = true;
        self
    }

    /// And `cel.bind(name, value, expression)`, which selectors of devices have.
    /// Source: <https://pkg.go.dev/github.com/google/cel-go/ext#Bindings>
    #[must_use]
    pub fn binds(mut self) -> Declarations {
        self.binds = true;
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Type> {
        self.variables.get(name)
    }

    /// Whether names can be bound.
    pub(crate) fn has_binds(&self) -> bool {
        self.binds
    }

    /// Whether the types of patches can be made.
    pub(crate) fn has_patches(&self) -> bool {
        self.patches
    }
}
