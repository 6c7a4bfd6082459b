"""The command line against a real console."""

import json
from pathlib import Path

import yaml

from isthmus.cli.error import Exit
from isthmus.demo.deployment import wait_until
from isthmus.demo.shop import HOST, Shop

from .conftest import Isthmus, report

NEW = """
apiVersion: isthmus/v1
kind: Route
metadata: {namespace: shop, name: hello}
spec: {match: [{path: {exact: /hello}}], directResponse: {status: 200, body: hello}}
"""


async def test_diff_apply_get_delete(isthmus: Isthmus) -> None:
    differs = await isthmus("diff", "-f", "-", stdin=NEW)
    assert differs.code == Exit.NEGATIVE, differs.err
    assert "+kind: Route" in differs.out
    dry = await isthmus("apply", "-f", "-", "--dry-run", stdin=NEW)
    assert (dry.code, dry.out.splitlines()) == (Exit.OK, ["Route shop/hello created", "dry run, nothing is stored"])
    applied = await isthmus("apply", "-f", "-", stdin=NEW)
    assert applied.code == Exit.OK
    assert applied.out.startswith("Route shop/hello created\nrevision ")
    again = await isthmus("apply", "-f", "-", stdin=NEW)
    assert again.out.startswith("1 object unchanged\n")
    same = await isthmus("diff", "-f", "-", stdin=NEW)
    assert (same.code, same.out) == (Exit.OK, "")
    got = await isthmus("get", "route", "hello", "-n", "shop", "-o", "yaml")
    document = yaml.safe_load(got.out)
    assert document["spec"]["directResponse"] == {"status": 200, "body": "hello"}
    assert (await isthmus("apply", "-f", "-", stdin=got.out)).out.startswith("1 object unchanged")
    listed = await isthmus("get", "routes", "-A")
    assert "hello" in listed.out
    assert listed.out.splitlines()[0].split()[:3] == ["NAMESPACE", "NAME", "REVISION"]
    items = json.loads((await isthmus("get", "routes", "-n", "shop", "-o", "json")).out)["items"]
    assert {item["metadata"]["name"] for item in items} == {"search", "moved", "pages", "hello"}
    deleted = await isthmus("delete", "route", "hello", "-n", "shop")
    assert (deleted.code, deleted.out.splitlines()[0]) == (Exit.OK, "Route shop/hello deleted")
    gone = await isthmus("get", "route", "hello", "-n", "shop")
    assert gone.code == Exit.NEGATIVE
    assert gone.err.startswith("isthmus: ")


async def test_all_diagnostics_at_once(isthmus: Isthmus) -> None:
    bad = (
        "apiVersion: isthmus/v1\nkind: Route\nmetadata: {namespace: shop, name: a}\n"
        "spec: {forward: {clusters: [{cluster: {name: none}}]}}\n---\n"
        "apiVersion: isthmus/v1\nkind: Cluster\nmetadata: {namespace: shop, name: b}\n"
        "spec: {endpoints: [{name: none}]}\n"
    )
    outcome = await isthmus("apply", "-f", "-", stdin=bad)
    assert (outcome.code, outcome.out) == (Exit.NEGATIVE, "")
    assert "Route shop/a: spec.forward.clusters[0].cluster: Cluster shop/none does not exist" in outcome.err
    assert "Cluster shop/b: spec.endpoints[0]: Endpoint shop/none does not exist" in outcome.err
    assert (await isthmus("get", "cluster", "b", "-n", "shop")).code == Exit.NEGATIVE


async def test_delete_of_what_others_refer_to(isthmus: Isthmus) -> None:
    outcome = await isthmus("delete", "cluster", "web", "-n", "shop")
    assert outcome.code in (Exit.CONFLICT, Exit.NEGATIVE)
    assert "Route shop/pages" in outcome.err
    assert (await isthmus("get", "cluster", "web", "-n", "shop")).code == Exit.OK


async def test_wrong_token_and_wrong_authority(isthmus: Isthmus, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("wrong")
    assert (await isthmus("get", "sites", ISTHMUS_TOKEN_FILE=str(tmp_path / "token"))).code == Exit.NOT_AUTHORISED
    system = await isthmus("get", "sites", ISTHMUS_CA="")
    assert system.code == Exit.UNREACHABLE
    assert "cannot be trusted" in system.err
    # A site's certificate is by the same authority; it is still not the console.
    address = shop.document("Region", "eu")["spec"]
    posing = await isthmus("get", "sites", ISTHMUS_URL=f"https://{address['address']}:{address['port']}")
    assert posing.code == Exit.UNREACHABLE


async def test_context_by_fingerprint(isthmus: Isthmus, shop: Shop) -> None:
    import hashlib
    import ssl

    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shop.deployment.ca_file.read_text())).hexdigest()
    token = shop.deployment.token_file.read_text()
    added = await isthmus("context", "add", "lab", "--url", shop.deployment.url, "--ca", f"sha256:{pin}", stdin=token)
    assert added.code == Exit.OK, added.err
    none = {"ISTHMUS_URL": "", "ISTHMUS_TOKEN_FILE": "", "ISTHMUS_CA": ""}
    assert (await isthmus("get", "sites", **none)).code == Exit.OK
    wrong = await isthmus(
        "context", "add", "x", "--url", shop.deployment.url, "--ca", f"sha256:{'0' * 64}", stdin=token
    )
    assert wrong.code == Exit.UNREACHABLE
    assert "does not show the pinned authority" in wrong.err


async def test_status(isthmus: Isthmus, shop: Shop) -> None:
    outcome = await isthmus("status")
    assert outcome.code == Exit.OK, outcome.err
    for name in (*shop.regions, *shop.sites):
        line = next(line for line in outcome.out.splitlines() if line.startswith(f"{name} "))
        assert "connected" in line
    document = json.loads((await isthmus("status", "-o", "json")).out)
    assert {site["name"] for site in document["sites"]} == set(shop.sites)
    live = await isthmus("status", "fra")
    assert live.code == Exit.OK, live.err
    assert "shop/fra-1" in live.out
    assert "healthy" in live.out
    local = await isthmus("status", "--local", str(shop.deployment.state("ams")), "-o", "json", ISTHMUS_URL="")
    assert json.loads(local.out)["site"] == "ams"


async def test_explain(isthmus: Isthmus, shop: Shop) -> None:
    outcome = await isthmus("explain", f"http://{HOST}/cart", "--from", "ams")
    assert outcome.code == Exit.OK, outcome.err
    for word in ("shop/shop", "shop/pages", "shop/web", "fra", "nyc"):
        assert word in outcome.out
    local = await isthmus(
        "explain", f"http://{HOST}/search", "--local", str(shop.deployment.state("ams")), ISTHMUS_URL=""
    )
    assert local.code == Exit.OK, local.err
    assert "shop/search" in local.out
    nobody = await isthmus("explain", "http://nobody.example/", "--from", "ams")
    assert nobody.code == Exit.NEGATIVE


async def test_drain_and_undrain(isthmus: Isthmus, shop: Shop) -> None:
    assert (await isthmus("site", "drain", "fra")).out == "Site fra drained\n"
    await shop.wait_for(lambda name: name == "nyc", 60, ("ams",))
    await wait_until(lambda: bool(report(shop, "fra")["drained"]), 60, "fra knows that it is drained", pause=0.2)
    assert (await isthmus("site", "undrain", "fra")).out == "Site fra undrained\n"
    await shop.wait_for(lambda name: name == "fra", 60, ("ams",))
    nobody = await isthmus("site", "drain", "nowhere")
    assert nobody.code == Exit.NEGATIVE


async def test_token(isthmus: Isthmus) -> None:
    outcome = await isthmus("token", "create", "--site", "ams", "--ttl", "5m")
    assert outcome.code == Exit.OK, outcome.err
    assert outcome.out.startswith("isthmus1.")
    assert "joins site ams once" in outcome.err
    assert (await isthmus("token", "create", "--site", "nowhere")).code == Exit.NEGATIVE
