"""Who may become a site: the bearer of a token, once, in time."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.demo.shop import Shop
from isthmus.identity import CertificateRefused, JoinRefused, JoinToken, join, parse_token

LAB = {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "lab"}}


async def token_for(shop: Shop, ttl: int = 600) -> JoinToken:
    """A token for a site that no process runs for."""
    await shop.deployment.apply([LAB])
    answer = await shop.deployment.ask("POST", "/tokens", {"role": "site", "name": "lab", "ttlSeconds": ttl})
    return parse_token(answer["token"])


async def forget(shop: Shop) -> None:
    await shop.deployment.ask("POST", "/apply", {"documents": [], "delete": ["default/Site//lab"], "dryRun": False})


async def refusal(token: JoinToken, directory: Path) -> JoinRefused:
    await asyncio.to_thread(directory.mkdir)
    with pytest.raises(JoinRefused) as caught:
        await join(token, directory)
    assert not (directory / "chain.pem").exists()
    return caught.value


async def test_token_works_once(shop: Shop, tmp_path: Path) -> None:
    token = await token_for(shop)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    membership = await join(token, first)
    assert membership.subject == "default/site/lab"
    assert {region.name for region in membership.regions} == set(shop.regions)
    error = await refusal(token, second)
    assert "used" in str(error)
    await forget(shop)


async def test_expired_token(shop: Shop, tmp_path: Path) -> None:
    token = await token_for(shop, ttl=1)
    await asyncio.sleep(1.5)
    error = await refusal(token, tmp_path / "late")
    assert "expired" in str(error)
    await forget(shop)


async def test_forged_tokens(shop: Shop, tmp_path: Path) -> None:
    token = await token_for(shop)
    assert await refusal(replace(token, secret="x" * len(token.secret)), tmp_path / "guess")
    assert await refusal(replace(token, name="fra"), tmp_path / "other-site")
    await forget(shop)


async def test_console_of_another_deployment(shop: Shop, tmp_path: Path) -> None:
    """A token pins the authority: the secret is not even sent to a server that does not show it."""
    token = replace(await token_for(shop), ca_sha256="0" * 64)
    with pytest.raises(CertificateRefused, match="not of the deployment"):
        await join(token, tmp_path)
    await forget(shop)


async def test_token_is_only_for_what_exists(shop: Shop) -> None:
    from isthmus.client import ConsoleError

    with pytest.raises(ConsoleError):
        await shop.deployment.ask("POST", "/tokens", {"role": "site", "name": "nowhere", "ttlSeconds": 60})
