"""Writes docs/api.md from the CustomResourceDefinition, and the parts of docs/metrics.md that are made from data.

With ``--check`` it writes nothing and fails where a page is stale.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from recmodel.api.crd import crd
from recmodel.controller.metrics import Metrics
from recmodel.prometheus.profile import PROFILE_NAMES, load_profile

# What is below these stands elsewhere on the page already.
SHOWN_ONCE = {"optimisation.template": "pools[].template", "pools[].template.spec.initContainers": "containers"}
DOCS = Path(__file__).resolve().parents[1] / "docs"
Schema = dict[str, Any]
UNBROKEN = "\x00"  # a space within code, while lines are broken


def main(arguments: list[str]) -> int:
    """Writes the pages, or compares them."""
    metrics = DOCS / "metrics.md"
    text = metrics.read_text(encoding="utf-8")
    text = replaced(text, "profiles", "\n".join(profile_lines()))
    text = replaced(text, "operator", "\n".join(metric_lines()))
    pages = {DOCS / "api.md": "\n".join(api_lines()) + "\n", metrics: text}
    stale = [path for path, new in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != new]
    if "--check" in arguments:
        for path in stale:
            print(f"docs/{path.name} is stale: run hack/api-docs.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
    return 0


def replaced(text: str, name: str, table: str) -> str:
    """``text`` with ``table`` between the marks of that name; ``ValueError`` where there are no marks."""
    pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)"
    result, count = re.subn(pattern, lambda match: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"docs/metrics.md has {count} places marked {name}, not 1")
    return result


# --- the API ---


def api_lines() -> Iterator[str]:
    """The page about the API."""
    version = crd()["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    yield "# API"
    yield ""
    yield "<!-- Made by hack/api-docs.py from the CustomResourceDefinition. Do not edit. -->"
    yield ""
    yield f"`recmodel.dev/{version['name']}`, kind `RecModel`, short name `rmo`, namespaced."
    yield ""
    yield root["description"]
    yield ""
    yield "A field that is not listed here is refused by name. `kubectl explain recmodel.spec` shows the same."
    yield ""
    yield "## Rules across fields"
    yield ""
    yield from (item(rule["message"]) for rule in rules(root))
    yield ""
    for part in ("spec", "status"):
        yield f"## {part}"
        yield ""
        yield from fields(root["properties"][part], "", part == "spec")
        yield ""
    yield "## Columns of `kubectl get recmodels`"
    yield ""
    yield "| Column | From |"
    yield "|---|---|"
    for column in version["additionalPrinterColumns"]:
        wide = " (with `-o wide`)" if column["priority"] else ""
        yield f"| {column['name']}{wide} | `{escaped(column['jsonPath'])}` |"


def rules(node: Schema) -> Iterator[Schema]:
    """Every CEL rule of a schema, once each."""
    seen: set[str] = set()
    stack = [node]
    while stack:
        here = stack.pop(0)
        for rule in here.get("x-kubernetes-validations", []):
            if rule["message"] not in seen and not is_scalar(here):
                seen.add(rule["message"])
                yield rule
        stack += list(here.get("properties", {}).values())
        stack += [here[key] for key in ("items", "additionalProperties") if isinstance(here.get(key), dict)]


def is_scalar(node: Schema) -> bool:
    """Whether the rules of a schema are said in its own item."""
    return node.get("type") in ("string", "boolean", "integer")


def fields(node: Schema, path: str, written: bool) -> Iterator[str]:
    """An item for each field below ``node``; ``written``: whether users write it, so that required ones are marked."""
    required = set(node.get("required", []))
    for name, child in node.get("properties", {}).items():
        inner = child.get("items", child) if child.get("type") == "array" else child
        where = f"{path}.{name}" if path else name
        default = (
            f", default `{plain(child['default'])}`"
            if "default" in child
            else (", **required**" if written and name in required else "")
        )
        what = " ".join(
            filter(
                None,
                [
                    child.get("description") or inner.get("description", ""),
                    bounds(child),
                    bounds(inner) if inner is not child else "",
                    sentences(child) if is_scalar(child) else "",
                    f"Fields as of `{SHOWN_ONCE[where]}`." if where in SHOWN_ONCE else "",
                ],
            )
        )
        yield item(f"`{where}` ({kind(child)}{default}): {what}" if what else f"`{where}` ({kind(child)}{default})")
        deeper = inner.get("additionalProperties") if isinstance(inner.get("additionalProperties"), dict) else inner
        if "properties" in (deeper or {}) and where not in SHOWN_ONCE:
            yield from fields(deeper, where + ("[]" if child.get("type") == "array" else ""), written)


def sentences(node: Schema) -> str:
    """The rules of a field."""
    return " ".join(f"{r['message'][0].upper()}{r['message'][1:]}." for r in node.get("x-kubernetes-validations", []))


def kind(node: Schema) -> str:
    """The type in a word."""
    if node.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return "number or string"
    if node.get("type") == "array":
        return f"list of {kind(node['items'])}s"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map of {kind(node['additionalProperties'])}s"
    return str(node.get("type", "object"))


def bounds(node: Schema) -> str:
    """The limits of a field in words."""
    parts = []
    if "enum" in node:
        parts.append("One of " + ", ".join(f"`{value}`" for value in node["enum"]) + ".")
    if "minimum" in node or "maximum" in node:
        low, high = node.get("minimum"), node.get("maximum")
        parts.append(
            f"{low} to {high}."
            if low is not None and high is not None
            else f"At least {low}."
            if high is None
            else f"At most {high}."
        )
    if "maxItems" in node and node.get("type") == "array":
        least = node.get("minItems", 0)
        parts.append(f"{least} to {node['maxItems']} entries." if least else f"At most {node['maxItems']} entries.")
    if "pattern" in node:
        parts.append(f"Must match `{node['pattern']}`.")
    if "maxLength" in node and "pattern" not in node:
        parts.append(f"At most {node['maxLength']} characters.")
    return " ".join(parts)


def plain(value: Any) -> str:
    """A default as a user would write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(child)}" for key, child in value.items() if child is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(plain(child) for child in value) + "]"
    return str(value)


def escaped(text: str) -> str:
    """For a cell of a Markdown table."""
    return text.replace("``", "`").replace("|", "\\|")


def item(text: str) -> str:
    """An item of a Markdown list, in lines that an editor shows whole; code is not broken."""
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", UNBROKEN), text.replace("``", "`"))
    lines = textwrap.fill(
        whole, 130, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return lines.replace(UNBROKEN, " ")


# --- metrics ---


def profile_lines() -> Iterator[str]:
    """A section for each profile."""
    for name in PROFILE_NAMES:
        profile = load_profile(name)
        yield ""
        yield f"### `{name}`: {profile.title}"
        yield ""
        yield item(f"Source: {origin(name)}")
        if profile.latency is None:
            yield item(f"**Refused:** {profile.refusal}. Instead: {profile.remedy}.")
        else:
            yield item(f"Latency: `{profile.latency.name}` in {profile.latency.unit}{labels(profile.latency.match)}")
        yield item(f"Requests: {series(profile.requests)}")
        if profile.failures:
            yield item(f"Failures: {series(profile.failures)}")
        if profile.grpc:
            yield item(f"Failures with protocol GRPC, where they are more: {series((profile.grpc.failures,))}")
        if profile.queue:
            yield f"- Queue: `{profile.queue.name}`"
        yield f"- Page: port `{profile.scrape.port}`, path `{profile.scrape.path}`"
        yield from (item(note) for note in profile.notes)
    yield ""


def origin(name: str) -> str:
    """The comment at the top of the profile's file: where its names come from."""
    file = Path(__file__).resolve().parents[1] / "operator/recmodel/prometheus/profiles" / f"{name}.yaml"
    first = file.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip().rstrip(".") + "."


def labels(match: dict[str, str]) -> str:
    """Matchers as PromQL writes them."""
    if not match:
        return ""
    written = [re.sub(r"^(=~|!~|!=|=)(.*)$", lambda found: f'{found[1]}"{found[2]}"', text) for text in match.values()]
    return " where `" + ", ".join(f"{label}{text}" for label, text in zip(match, written, strict=True)) + "`"


def series(selectors: tuple[Any, ...]) -> str:
    """Series with their labels."""
    return " plus ".join(f"`{selector.name}`{labels(selector.match)}" for selector in selectors)


def metric_lines() -> Iterator[str]:
    """An item for each of the operator's own metrics."""
    metrics = Metrics()
    declared = {m._name: m._labelnames for m in vars(metrics).values() if hasattr(m, "_labelnames")}
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        names = "".join(f", `{label}`" for label in declared.get(family.name, ()))
        yield item(f"`{name}` ({family.type}{names}): {family.documentation}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
