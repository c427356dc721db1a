"""The people of a run: they deploy, deploy again before the last one is done, and cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from galaxy.domain.errors import GalaxyError, IllegalTransition, StoreError
from galaxy.domain.models import VersionRef
from galaxy.domain.reasons import cancelled_by
from galaxy.domain.states import UNFINISHED
from tests.chaos.facts import Deployed
from tests.chaos.plans import choose

if TYPE_CHECKING:
    from random import Random

    from galaxy.bootstrap import Pipeline
    from tests.chaos.runs import BundleServer


@dataclass
class _Wish:
    """A deploy that somebody wants, with a key that makes it safe to ask again."""

    app: str
    bundle: int
    key: str
    version: int | None = None
    cancelled: bool = False


class Traffic:
    """Deploys and cancels as a backend does: what gets no answer is asked again."""

    def __init__(self, pipeline: Pipeline, bundles: BundleServer, rng: Random, apps: int) -> None:
        self._pipeline = pipeline
        self._bundles = bundles
        self._rng = rng
        self._apps = [f"app-{number}.example.com" for number in range(1, apps + 1)]
        self._wishes: list[_Wish] = []

    @property
    def deploys(self) -> int:
        """How many were asked for."""
        return len(self._wishes)

    def unfinished(self) -> list[VersionRef]:
        """Versions that are not final yet. Raises `StoreError`."""
        refs = [VersionRef(wish.app, wish.version) for wish in self._wishes if wish.version]
        return [ref for ref in refs if self._pipeline.store.version(ref).state in UNFINISHED]

    def deploy(self, app: str | None = None) -> None:
        """Deploys to this app, or to one that nobody deploys at the moment. Raises `StoreError`."""
        if app is None:
            busy = {ref.app for ref in self.unfinished()}
            app = self._rng.choice([app for app in self._apps if app not in busy])
        self._wishes.append(_Wish(app, self._bundles.add(choose(self._rng)), uuid4().hex))
        self.insist()

    def insist(self) -> bool:
        """Asks again for what got no answer. Whether everything has one now."""
        return all(wish.version or self._ask(wish) for wish in self._wishes)

    def cancel(self, ref: VersionRef) -> bool:
        """Cancels; False if it was final already."""
        wish = next(wish for wish in self._wishes if (wish.app, wish.version) == ref)
        try:
            self._pipeline.store.cancel(ref, cancelled_by("chaos"))
        except IllegalTransition:
            return False
        except StoreError:
            pass  # it may have been done
        wish.cancelled = True
        return True

    def deployed(self) -> tuple[Deployed, ...]:
        return tuple(
            Deployed(
                VersionRef(wish.app, wish.version), self._bundles.bundle(wish.bundle).plan, wish.cancelled
            )
            for wish in self._wishes
            if wish.version
        )

    def refs(self) -> dict[int, VersionRef]:
        """The version that was made from each bundle."""
        return {wish.bundle: VersionRef(wish.app, wish.version) for wish in self._wishes if wish.version}

    def _ask(self, wish: _Wish) -> bool:
        bundle = self._bundles.bundle(wish.bundle)
        ours = {"env": {"MONGO_URL": bundle.secrets[1]}}
        try:
            deployed = self._pipeline.releases.deploy(
                app=wish.app,
                settings={"galaxy.meteor.com": ours},
                bundle_url=bundle.url,
                deployed_by="chaos",
                idempotency_key=wish.key,
            )
        except GalaxyError:
            return False
        wish.version = deployed.version
        return True
