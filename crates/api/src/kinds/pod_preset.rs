//! `PodPreset` of `settings.k8s.io/v1alpha1`: what is injected into new pods whose labels match. Upstream removed it
//! in 1.20; its rules are those of 1.19.

use serde_json::Value;

use super::common::label_selector;
use super::common::walk::{default, ensure, get, get_mut, keep, list, list_mut, set};
use super::pod::{env, mounts, spec, volume_defaults, volumes};
use crate::field::{FieldErrors, Path};
use crate::kind::{Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct PodPreset;

static INFO: KindInfo = KindInfo {
    group: "settings.k8s.io",
    version: "v1alpha1",
    kind: "PodPreset",
    plural: "podpresets",
    singular: "podpreset",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "podpresets",
};

impl Kind for PodPreset {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let Some(spec) = get_mut(object, "spec") else { return };
        for volume in list_mut(spec, "volumes") {
            volume_defaults::volume(volume);
        }
        for variable in list_mut(spec, "env") {
            if let Some(source) = get_mut(variable, "valueFrom")
                && let Some(field) = get_mut(source, "fieldRef")
            {
                default(field, "apiVersion", "v1");
            }
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(ensure(object, "metadata"), "generation", 1);
    }

    // A preset does not change: pods say which version of it they were made with.
    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part, _rules: &Rules<'_>) {
        keep(new, old, "spec");
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let preset = &object["spec"];
    let path = Path::new("spec");
    label_selector::validate(get(preset, "selector"), false, &path.child("selector"), errors);
    if ["volumes", "env", "envFrom", "volumeMounts"].iter().all(|key| list(preset, key).is_empty()) {
        errors.required(&path.child("volumes.env.envFrom.volumeMounts"), "must specify at least one");
    }
    let good = volumes::volumes(errors, &path.child("volumes"), preset, "", spec::Options { is_pod: false });
    env::variables(errors, &path.child("env"), preset);
    env::sources(errors, &path.child("envFrom"), preset);
    mounts::mounts(errors, &path.child("volumeMounts"), preset, &good);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(spec: Value) -> Vec<String> {
        let mut object = json!({"metadata": {"name": "p"}, "spec": spec});
        PodPreset.set_defaults(&mut object);
        let mut errors = FieldErrors::new();
        PodPreset.validate_create(&object, &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn something_must_be_injected() {
        assert_eq!(
            faults(json!({"selector": {}})),
            ["spec.volumes.env.envFrom.volumeMounts: Required value: must specify at least one"]
        );
        assert!(faults(json!({"env": [{"name": "A", "value": "1"}]})).is_empty());
        let mount = json!({"volumes": [{"name": "v"}], "volumeMounts": [{"name": "w", "mountPath": "/a"}]});
        assert_eq!(faults(mount), ["spec.volumeMounts[0].name: Not found: \"w\""]);
    }

    #[test]
    fn the_spec_stays() {
        let old = json!({"spec": {"env": [{"name": "A"}]}});
        let mut new = json!({"spec": {"env": [{"name": "B"}]}});
        let rules = Rules { now: "", user: "", groups: &[], uid: "", extra: None };
        PodPreset.prepare_update(&mut new, &old, Part::Main, &rules);
        assert_eq!(new, old);
    }
}
