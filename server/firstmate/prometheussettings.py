"""`[clusters.NAME.prometheus]`: where a cluster's metrics are, and how to get in.

Part of the settings; `clusters.py` hands it to the source of the cluster. Must never hold a secret.
"""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from firstmate_tools.prometheus.place import PrometheusPlace


class PrometheusSettings(BaseModel):
    """The Prometheus of a cluster. Secrets are named by file or variable, never written here.

    Attributes:
        url: where its API begins, without `/api/v1`.
        token_file, token_env: a file, or an environment variable, with a bearer token.
        username: for basic authentication, with `password_file` or `password_env`.
        ca_file: certificates to trust in place of the system's.
        tenant: sent as X-Scope-OrgID.
        labels: what the series of this cluster bear, where one Prometheus holds several.
        timeout_s: seconds for one question.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token_file: str = ""
    token_env: str = ""
    username: str = ""
    password_file: str = ""
    password_env: str = ""
    ca_file: str = ""
    tenant: str = Field(default="", pattern=r"^[!-~]{0,150}$")
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    timeout_s: float = 10.0

    @model_validator(mode="after")
    def _usable(self) -> "PrometheusSettings":
        if fault := self.place().fault():
            raise ValueError(fault)
        return self

    def place(self) -> PrometheusPlace:
        """The same, as the tools take it."""
        return PrometheusPlace(**self.model_dump())
