"""Every Redis key of the project, spelled once."""

from __future__ import annotations

from hashlib import sha256


class Keys:
    """Names of keys below one prefix. Lifetimes not mentioned: for ever.

    With an empty last argument a method returns the prefix of all its keys, for scripts that make keys of it.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def apps(self) -> str:
        """Sorted set, all scores 0: the names of all apps, read in alphabetical pages."""
        return f"{self._prefix}:apps"

    def app(self, app: str) -> str:
        """Hash. `last`: highest version number; `active`: number of the active version.

        `base_images`: canonical references that the newest and the active version are built on, separated by spaces.
        `updates`: see `Updates`; `pinned_image` and `pinned_digest`: what the app is pinned to.
        """
        return f"{self._prefix}:app:{app}"

    def all_versions(self) -> str:
        """Prefix of all version keys; `APP:NUMBER` makes it a key."""
        return f"{self._prefix}:version:"

    def versions(self, app: str) -> str:
        """Prefix of the app's version keys; a number makes it a key."""
        return f"{self.all_versions()}{app}:"

    def version(self, app: str, number: int) -> str:
        """Hash. A version: what was recorded for it, its state, its lease. Holds secrets.

        `failure`: a `Reason` in JSON, or a sentence of an earlier release. `lease_until`, `token` and `claim` are the
        lease of the work that the state stands for; `claim` is the id of the request that took it.
        """
        return f"{self.versions(app)}{number}"

    def unfinished(self, app: str) -> str:
        """Sorted set, scored by number: the app's versions that are neither active nor final."""
        return f"{self._prefix}:unfinished:{app}"

    def due(self) -> str:
        """Sorted set of `APP NUMBER`, scored by the time (ms) at which the reconciler has to look at it."""
        return f"{self._prefix}:due"

    def ended(self) -> str:
        """List of `APP NUMBER TO FROM`: ends of builds and of versions that `settle_ends.lua` has not settled yet."""
        return f"{self._prefix}:ended"

    def of_app(self, app: str) -> dict[str, str]:
        """By name, the keys that scripts about an app's versions have in common."""
        return {
            "app": self.app(app),
            "unfinished": self.unfinished(app),
            "due": self.due(),
            "activity": self.activity(app),
            "ended": self.ended(),
            "outbox": self.outbox(app),
            "outbox_apps": self.outbox_apps(),
        }

    def of_version(self, app: str, number: int) -> dict[str, str]:
        """By name, the keys that scripts about one version have in common."""
        return {"version": self.version(app, number), **self.of_app(app)}

    def heartbeats(self) -> str:
        """Hash. When (ms) each periodic piece of work was last done, by its name in `galaxy/domain/heartbeats.py`."""
        return f"{self._prefix}:ticks"

    def leader(self) -> str:
        """String. Which beat leads. Lives for `beat_lock_s` after its last sign of life."""
        return f"{self._prefix}:leader"

    def activity(self, app: str) -> str:
        """Stream: what happened to the app; the newest thousand entries or so. `reason`: a `Reason` in JSON."""
        return f"{self._prefix}:activity:{app}"

    def outbox(self, app: str) -> str:
        """Stream: what happened to the app's versions and is not in its log yet. Stays, empty."""
        return f"{self._prefix}:untold:{app}"

    def outbox_apps(self) -> str:
        """Set: the apps whose log lacks something."""
        return f"{self._prefix}:untold-apps"

    def idempotency(self, app: str, key: str) -> str:
        """String `NUMBER FINGERPRINT`. Lives for `idempotency_retention_s`."""
        return f"{self._prefix}:idempotency:{app}:{sha256(key.encode()).hexdigest()}"

    def log(self, app: str) -> str:
        """Stream. One entry holds several lines; the entry id is the cursor. See `log_retention_s`."""
        return f"{self._prefix}:log:{app}"

    def log_size(self, app: str) -> str:
        """Bookkeeping of the log's size in bytes. Lives as long as the log."""
        return f"{self._prefix}:log-size:{app}"

    def log_writer(self, app: str, writer: str) -> str:
        """String. Number of the writer's last batch that is in the log. Lives for `Batch.remembered_s` after it."""
        return f"{self._prefix}:log-writer:{app}:{writer}"

    # -- base images; an image is a canonical reference

    def base_images(self) -> str:
        """Sorted set of the base images that apps depend on, scored by the time (ms) of the next check."""
        return f"{self._prefix}:base-images"

    def polling(self) -> str:
        """String. Who polls base images now. Lives for some seconds after its last sign of life."""
        return f"{self._prefix}:polling"

    def base_image(self, image: str) -> str:
        """Hash. What the registry said about a base image, and when. Lives as long as an app depends on it."""
        return f"{self._prefix}:base-image:{image}"

    def dependents(self, image: str) -> str:
        """Sorted set, all scores 0: the apps whose newest or active version is built on the base image."""
        return f"{self._prefix}:dependents:{image}"

    def indexed(self) -> str:
        """String. The last app whose dependence on base images was recorded after the fact, or `*`: all were."""
        return f"{self._prefix}:dependents-indexed"

    def platforms(self) -> str:
        """Hash. Digest that a tag pointed to: digest of the manifest in it for the platform that is built on."""
        return f"{self._prefix}:platform-digests"

    def budget(self, host: str) -> str:
        """Hash. How many requests a registry may get: `tokens` at the time `at`, none before `paused_until`."""
        return f"{self._prefix}:registry-budget:{host}"

    def update(self, image: str) -> str:
        """Hash. The newest update of a base image. Lives as long as an app depends on it."""
        return f"{self._prefix}:update:{image}"

    def updates(self) -> str:
        """Sorted set of base images whose update has work left, scored by the time (ms) of the next look."""
        return f"{self._prefix}:updates"

    def handed_out(self, image: str) -> str:
        """Sorted set of apps whose new version was asked for and not made yet, scored by when (ms) it was."""
        return f"{self._prefix}:handed-out:{image}"

    def late(self, image: str) -> str:
        """Sorted set of apps to decide about again, scored by how often something happened to them."""
        return f"{self._prefix}:late:{image}"

    def ahead(self, image: str) -> str:
        """Sorted set of apps to decide about again after the next check: they have seen a newer tag than the last."""
        return f"{self._prefix}:ahead:{image}"

    def made(self, app: str) -> str:
        """Hash. `CONTENT NUMBER`, a base image's content and the version with the code: the automatic version."""
        return f"{self._prefix}:made:{app}"

    def waiting(self) -> str:
        """Sorted set of `APP NUMBER`: automatic versions that are not admitted to the queue yet, in their order."""
        return f"{self._prefix}:waiting"

    def admitted(self) -> str:
        """Sorted set of `APP NUMBER`, scored by when (ms): admitted automatic versions that are not built yet."""
        return f"{self._prefix}:admitted"
