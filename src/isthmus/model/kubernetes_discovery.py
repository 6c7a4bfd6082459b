"""Kubernetes as a service registry: how a cluster is reached, and what is looked up and published in it."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.label import Expression
from isthmus.model.object import Frozen, Name, Reference, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Port

PortName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class KubernetesPublish(Frozen):
    """Virtual hosts become headless Services, so that the cluster's DNS knows them."""

    namespace: Name = Field(description="The Kubernetes namespace in which Services are made.")
    network: Name | None = Field(
        None, description="Only addresses on this network of the site are published; all when left out."
    )


class KubernetesMethod(Frozen):
    """A Kubernetes cluster whose Services are discovered."""

    kubeconfig: Reference = Field(description="Secret that holds a kubeconfig with its certificates and keys inside.")
    context: str = Field("", max_length=253, description="Context of the kubeconfig; its current one when empty.")
    pod_labels: bool = Field(
        False,
        description="Add the labels of pods to those of their Services. The site then watches pods, too; large "
        "namespaces have many.",
    )
    publish: KubernetesPublish | None = Field(
        None, description="Publish virtual hosts in the cluster; nothing is published when left out."
    )

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """The secret with the kubeconfig."""
        yield Use(f"{field}.kubeconfig", resolve(self.kubeconfig, "Secret", tenant, namespace))


class KubernetesLookup(Frozen):
    """Endpoints behind Kubernetes Services: one by name, or all that a label selector selects."""

    namespace: Name = Field("default", description="The Kubernetes namespace of the Services.")
    service: Name | None = Field(None, description="Name of a Service.")
    selector: Expression | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="Kubernetes label selector of Services, for example `app=shop`.",
    )
    port: Port | PortName | None = Field(
        None, description="Name or number of the Service's port; may be left out when it has only one."
    )
    addresses: Literal["pods", "node-ports"] = Field(
        "pods",
        description="`pods`: the site reaches pod addresses itself. `node-ports`: it is outside of the cluster and "
        "goes through the nodes' ports of a NodePort Service.",
    )

    @check_whole
    def _one(self) -> Self:
        if (self.service is None) == (self.selector is None):
            raise ValueError("set exactly one of service and selector")
        return self
