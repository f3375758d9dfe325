"""The whole path with the Python client: KUBECONFIG names the cluster."""

import sys
import time

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream


def until(what, seconds, holds):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def main():
    config.load_kube_config()
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    labels = {"app": "py"}

    core.create_namespaced_config_map("default", client.V1ConfigMap(metadata={"name": "py"}, data={"a": "1"}))
    container = client.V1Container(
        name="c",
        image="busybox:1",
        command=["sh", "-c", "trap 'exit 0' TERM; echo started with $A; sleep 1000 & wait"],
        env=[client.V1EnvVar(name="A", value_from={"configMapKeyRef": {"name": "py", "key": "a"}})],
    )
    template = client.V1PodTemplateSpec(
        metadata={"labels": labels},
        spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=2),
    )
    apps.create_namespaced_deployment(
        "default",
        client.V1Deployment(
            metadata={"name": "py"},
            spec={"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        ),
    )
    core.create_namespaced_service(
        "default",
        client.V1Service(metadata={"name": "py"}, spec={"selector": labels, "ports": [{"port": 80}]}),
    )

    # A watch sees the pods come up.
    ready = set()
    for event in watch.Watch().stream(
        core.list_namespaced_pod, "default", label_selector="app=py", timeout_seconds=60
    ):
        pod = event["object"]
        conditions = {c.type: c.status for c in pod.status.conditions or []}
        if conditions.get("Ready") == "True":
            ready.add(pod.metadata.name)
        if len(ready) == 2:
            break
    assert len(ready) == 2, ready
    name = sorted(ready)[0]

    assert core.read_namespaced_pod_log(name, "default") == "started with 1\n"
    out = stream(
        core.connect_get_namespaced_pod_exec,
        name,
        "default",
        command=["sh", "-c", "echo out; echo err >&2; exit 3"],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    out.run_forever(timeout=30)
    assert (out.read_stdout(), out.read_stderr(), out.returncode) == ("out\n", "err\n", 3)

    # Every sort of patch, and the scale subresource.
    apps.patch_namespaced_deployment_scale("py", "default", {"spec": {"replicas": 3}})
    until("three replicas", 60, lambda: apps.read_namespaced_deployment_status("py", "default").status.ready_replicas == 3)
    found = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    for content_type, body in [
        ("application/json-patch+json", [{"op": "add", "path": "/data/json", "value": "x"}]),
        ("application/merge-patch+json", {"data": {"merge": "x"}}),
        ("application/strategic-merge-patch+json", {"data": {"strategic": "x"}}),
    ]:
        found.patch(name="py", namespace="default", body=body, content_type=content_type)
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "py"}, "data": {"apply": "x"}}
    found.server_side_apply(name="py", namespace="default", body=applied, field_manager="py")
    keys = sorted(found.get(name="py", namespace="default").data.to_dict())
    assert keys == ["a", "apply", "json", "merge", "strategic"], keys

    # What is wrong is refused in the form that the client knows.
    try:
        core.create_namespaced_pod("default", {"metadata": {"name": "Bad"}, "spec": {"containers": []}})
        sys.exit("a pod without containers was taken")
    except ApiException as refused:
        assert refused.status == 422 and "spec.containers: Required value" in refused.body, refused.body

    until("the endpoints", 30, lambda: endpoints() == 3)
    apps.delete_namespaced_deployment("py", "default", propagation_policy="Foreground")
    until("the pods are gone", 60, lambda: not core.list_namespaced_pod("default", label_selector="app=py").items)
    core.delete_namespaced_service("py", "default")
    core.delete_namespaced_config_map("py", "default")
    print("the whole path")


def endpoints():
    slices = client.DiscoveryV1Api().list_namespaced_endpoint_slice(
        "default", label_selector="kubernetes.io/service-name=py"
    )
    return sum(1 for part in slices.items for end in part.endpoints or [] if end.conditions.ready)


main()
