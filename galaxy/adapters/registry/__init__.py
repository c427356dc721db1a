"""Reading manifests from registries: `RegistryClient` is the client, the other modules are one concern of it each."""

from galaxy.adapters.registry.client import RegistryClient
from galaxy.adapters.registry.limits import RateLimit
from galaxy.adapters.registry.manifest import Manifest

__all__ = ["Manifest", "RateLimit", "RegistryClient"]
