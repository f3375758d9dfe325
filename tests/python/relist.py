"""A watch that falls behind what the server remembers starts over: KUBECONFIG names a cluster."""

from kubernetes import client, config, dynamic
from kubernetes.client.rest import ApiException

# Together more than the server keeps of the past for a kind.
LARGE, TIMES = "x" * 900_000, 6


def main():
    config.load_kube_config()
    api = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    metadata = {"name": "large", "labels": {"of": "relist"}}
    api.create(namespace="default", body={"metadata": metadata, "data": {"round": "0"}})
    old = api.get(namespace="default", label_selector="of=relist").metadata.resourceVersion
    for count in range(1, TIMES + 1):
        body = {"metadata": metadata, "data": {"round": str(count), "large": LARGE}}
        api.replace(namespace="default", body=body)

    try:
        for event in api.watch(namespace="default", label_selector="of=relist", resource_version=old, timeout=10):
            raise AssertionError(f"an event after {old}: {event['type']}")
        raise AssertionError("the watch ended without a word")
    except ApiException as expired:
        assert expired.status == 410 and "Expired" in expired.reason, expired
        assert f"too old resource version: {old} (" in expired.reason, expired

    # The list says where to go on from, and nothing after it is missed.
    listed = api.get(namespace="default", label_selector="of=relist")
    assert [item.data.round for item in listed.items] == [str(TIMES)]
    api.patch(
        namespace="default", name="large", body={"data": {"round": "after"}}, content_type="application/merge-patch+json"
    )
    api.delete(namespace="default", name="large")
    seen = []
    for event in api.watch(
        namespace="default", label_selector="of=relist", resource_version=listed.metadata.resourceVersion, timeout=10
    ):
        seen.append((event["type"], event["object"].data.round))
        if event["type"] == "DELETED":
            break
    assert seen == [("MODIFIED", "after"), ("DELETED", "after")], seen
    print("started over")


main()
