"""What works without a console: compile, and diff of two directories."""

import re
from pathlib import Path

import pytest
import yaml

from isthmus.cli.error import Exit

from .conftest import Run

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_compile_intent(isthmus: Run) -> None:
    outcome = isthmus("compile", "-f", str(EXAMPLES / "demo"), "--site", "ams", "-o", "intent")
    assert (outcome.code, outcome.err) == (Exit.OK, "")
    intent = yaml.safe_load(outcome.out)
    assert [cluster["key"] for cluster in intent["clusters"]] == [
        "default/Cluster/shop/search",
        "default/Cluster/shop/web",
    ]
    assert intent["listeners"][0]["socket"] == {"address": "192.0.2.10", "port": 80, "transport": "tcp"}
    assert "hosted" not in intent


def test_compile_envoy(isthmus: Run) -> None:
    outcome = isthmus("compile", "-f", str(EXAMPLES / "demo"), "--site", "ams")
    assert (outcome.code, outcome.err) == (Exit.OK, "")
    resources = yaml.safe_load(outcome.out)
    assert list(resources) == ["listeners", "routes", "clusters", "endpoints", "extensions"]
    web = next(each for each in resources["endpoints"] if each["cluster_name"] == "default/shop/web@fabric")
    sites = [
        (locality.get("priority", 0), host["endpoint"]["address"]["socket_address"]["address"])
        for locality in web["endpoints"]
        for host in locality["lb_endpoints"]
    ]
    assert sites == [(0, "192.0.2.20"), (1, "192.0.2.30")]


def test_compile_lets_callers_in(isthmus: Run) -> None:
    """Which sites may call is worked out from the other objects, as a console does."""
    text = isthmus("compile", "-f", str(EXAMPLES / "demo"), "--site", "fra").out
    access = next(each for each in yaml.safe_load(text)["extensions"] if each["name"] == "fabric-access")
    assert "spiffe://isthmus.local/tenant/default/site/ams/node/0" in str(access)


def test_compile_emits_what_is_valid(isthmus: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "apiVersion: isthmus/v1\nkind: Route\nmetadata: {namespace: shop, name: bad}\n"
        "spec: {forward: {clusters: [{cluster: {name: none}}]}}\n---\n"
        "apiVersion: isthmus/v1\nkind: Endpoint\nmetadata: {namespace: shop, name: worse}\nspec: {port: 70000}\n"
    )
    good = isthmus("compile", "-f", str(EXAMPLES / "demo"), "--site", "ams")
    outcome = isthmus("compile", "-f", str(EXAMPLES / "demo"), "-f", str(bad), "--site", "ams")
    assert outcome.code == Exit.NEGATIVE
    assert outcome.out == good.out
    lines = outcome.err.splitlines()
    assert "Endpoint shop/worse: spec.where: required field is missing; add it [missing-field]" in lines
    assert (
        "Route shop/bad: spec.forward.clusters[0].cluster: Cluster shop/none does not exist; create it, or correct "
        "the name [dangling-reference]"
    ) in lines


def test_compile_of_an_unknown_site(isthmus: Run) -> None:
    outcome = isthmus("compile", "-f", str(EXAMPLES / "quick.yaml"), "--site", "none")
    assert outcome.code == Exit.NEGATIVE
    assert "Site none does not exist" in outcome.err


def test_compile_reads_standard_input(isthmus: Run) -> None:
    text = (EXAMPLES / "quick.yaml").read_text()
    assert isthmus("compile", "-f", "-", "--site", "here", stdin=text).out == (
        isthmus("compile", "-f", str(EXAMPLES / "quick.yaml"), "--site", "here").out
    )


@pytest.mark.parametrize("text", ["a: [", "\ud800", "- 3"])
def test_compile_of_rubbish(isthmus: Run, text: str) -> None:
    outcome = isthmus("compile", "-f", "-", "--site", "here", stdin=text)
    assert outcome.code == Exit.NEGATIVE
    assert "Traceback" not in outcome.err


def test_diff_against_a_directory(isthmus: Run) -> None:
    demo, canary = str(EXAMPLES / "demo"), str(EXAMPLES / "canary")
    same = isthmus("diff", "-f", demo, "--against", demo)
    assert (same.code, same.out, same.err) == (Exit.OK, "", "")
    outcome = isthmus("diff", "-f", demo, "--against", canary)
    assert outcome.code == Exit.NEGATIVE
    assert "--- Route shop/pages\n+++ Route shop/pages\n" in outcome.out
    assert "-        name: web-next" in outcome.out
    assert "--- /dev/null\n+++ Site ams\n" in outcome.out


def test_written_defaults_are_no_difference(isthmus: Run, tmp_path: Path) -> None:
    head = "apiVersion: isthmus/v1\nkind: Site\nmetadata: {name: a}\n"
    (tmp_path / "a.yaml").write_text(head)
    (tmp_path / "b.yaml").write_text(head + "spec: {drained: false, fabric: {reachability: direct}}\n")
    outcome = isthmus("diff", "-f", str(tmp_path / "a.yaml"), "--against", str(tmp_path / "b.yaml"))
    assert (outcome.code, outcome.out) == (Exit.OK, "")


def test_diff_of_wrong_files(isthmus: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Pod\n")
    outcome = isthmus("diff", "-f", str(tmp_path), "--against", str(EXAMPLES / "quick.yaml"))
    assert outcome.code == Exit.NEGATIVE
    assert outcome.out == ""
    assert "'Pod' is not a kind" in outcome.err


def test_directories_are_read_recursively_in_order(isthmus: Run, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.yml").write_text("apiVersion: isthmus/v1\nkind: Site\nmetadata: {name: b}\n")
    (tmp_path / "a.json").write_text('{"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "a"}}')
    (tmp_path / "c.txt").write_text("not for us: [")
    assert isthmus("compile", "-f", str(tmp_path), "--site", "b").code == Exit.OK


def test_directory_without_documents(isthmus: Run, tmp_path: Path) -> None:
    outcome = isthmus("apply", "-f", str(tmp_path))
    assert outcome.code == Exit.USAGE
    assert "holds no *.yaml, *.yml or *.json file." in outcome.err


def test_commands_that_the_examples_name(isthmus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES.parent)
    commands = re.findall(r"`isthmus ((?:compile|diff) [^`]+)`", (EXAMPLES / "README.md").read_text())
    outcomes = [isthmus(*command.split()) for command in commands]
    assert [(each.code, each.err) for each in outcomes] == [(Exit.OK, ""), (Exit.NEGATIVE, "")]
    assert "+++ VirtualHost shop/secure" in outcomes[1].out


@pytest.mark.parametrize(
    ("folder", "site"),
    [
        ("quick.yaml", "here"),
        ("demo", "fra"),
        ("clusters", "ams"),
        ("routes", "ams"),
        ("proxy-types", "fra"),
        ("discovery", "ams"),
        ("health", "ams"),
        ("tls", "ams"),
        ("telemetry", "harbour"),
    ],
)
def test_examples_that_stand_alone_compile(isthmus: Run, folder: str, site: str) -> None:
    outcome = isthmus("compile", "-f", str(EXAMPLES / folder), "--site", site)
    assert (outcome.code, outcome.err) == (Exit.OK, "")
    assert yaml.safe_load(outcome.out)["listeners"]
