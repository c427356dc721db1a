"""What is read from a registry's challenge."""

from __future__ import annotations

import pytest

from galaxy.adapters.registry.tokens import Challenge, pull_scope

REPOSITORY = "meteor/galaxy-app"
BEARER = 'Bearer realm="https://auth.example.com/token",service="registry.example.com"'


def challenge(header: str) -> Challenge:
    found = Challenge.of_header(header, REPOSITORY)
    assert found
    return found


def test_the_scope_of_one_repository_is_not_kept_for_the_registrys_other_ones() -> None:
    assert challenge(f'{BEARER},scope="{pull_scope(REPOSITORY)}"').scope is None


@pytest.mark.parametrize("scope", ["aws", pull_scope("meteor/other"), f"{pull_scope(REPOSITORY)},push"])
def test_a_scope_of_the_registrys_own_is_kept(scope: str) -> None:
    assert challenge(f'{BEARER},scope="{scope}"').scope == scope


def test_without_a_scope_the_repositorys_own_is_meant() -> None:
    assert challenge(BEARER) == Challenge("https://auth.example.com/token", "registry.example.com", None)
