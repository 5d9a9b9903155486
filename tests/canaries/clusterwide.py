"""Objects of no namespace that carry canaries. Pure, as `objects.py`, which has the others."""

from typing import Any

from canaries.objects import Object, encoded, made


def cluster_wide(text: dict[str, str], csr: str) -> list[Object]:
    """What belongs to no namespace. The webhook's rules and the APIService's group touch nothing that there is."""
    hook = {
        "name": "canary.example.com",
        "clientConfig": {"url": text["webhook-url"]},
        "rules": [{"apiGroups": ["none.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["x"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    csi = {
        "driver": "csi.example",
        "volumeHandle": "v1",
        "volumeAttributes": {"server": "nfs", "secretKey": text["volume-attribute"]},
    }
    volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": csi, "storageClassName": "leaky"}
    request = {
        "request": encoded(csr),
        "signerName": "example.com/none",
        "usages": ["client auth"],
    }

    def wide(kind: str, name: str, api: str, **more: Any) -> Object:
        return made(kind, name, api, place=False, **more)

    return [
        wide("ValidatingWebhookConfiguration", "canary", "admissionregistration.k8s.io/v1", webhooks=[hook]),
        wide(
            "StorageClass",
            "leaky",
            "storage.k8s.io/v1",
            provisioner="csi.example",
            parameters={"password": text["storage-class-parameter"]},
        ),
        wide("PersistentVolume", "leaky", "v1", spec=volume),
        wide(
            "CertificateSigningRequest",
            "canary",
            "certificates.k8s.io/v1",
            metadata={"annotations": {"example.com/bootstrap": text["csr-bootstrap-token"]}},
            spec=request,
        ),
        wide(
            "APIService",
            "v1.canary.example",
            "apiregistration.k8s.io/v1",
            metadata={"annotations": {"example.com/setup": text["apiservice-annotation"]}},
            spec={
                "group": "canary.example",
                "version": "v1",
                "groupPriorityMinimum": 1000,
                "versionPriority": 100,
            },
        ),
    ]
