"""The language as a JSON Schema, with which an editor completes keys and checks as one types.

It is made from the pydantic models of the sections and the arguments of the registered ops, so it
says what they say. Any value may also be an expression (``=2*width``) or take in a name (``$t``).
What only a whole spec can tell (names that exist, shapes) is left to ``graphspec validate``.

Source:
    JSON Schema draft 7, which the YAML language server supports whole.
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from graphspec.language.blocks import Structure
from graphspec.language.blocks.declare import BlockSpec, Parameter
from graphspec.language.forms import CopyNode, EdgeSpec, LayersNode, OpNode, ShareNode
from graphspec.language.models import Spec
from graphspec.language.studies import StudyFile
from graphspec.ops import load_ops
from graphspec.ops.registry import Op

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"

_EXPRESSION: Schema = {"$ref": "#/definitions/expression"}
_SHORT_FORMS = {
    "optimizer": ("string",),
    "balance": ("string",),
    "conflicts": ("integer", "boolean"),
    "schedule": ("string",),
    "clip": ("number",),
    "ema": ("number", "boolean"),
    "early_stopping": ("integer", "boolean", "string"),
    "checkpoint": ("integer", "string"),
}
"""Keys of ``train:`` whose value may be one scalar, and of which types."""
_NODE_KEYS = ("from", "each", "copies", "repeat", "when", "trainable", "init", "tie")


def write(sources: Iterable[str] = ()) -> str:
    """Return the schema of the language with every registered op, as JSON; see `schema`."""
    return json.dumps(schema(sources), indent=1, ensure_ascii=False) + "\n"


def write_study() -> str:
    """Return the schema of ``study.yaml``, as JSON."""
    found = StudyFile.model_json_schema(ref_template="#/definitions/{model}")
    definitions = found.pop("$defs")
    study = definitions["Study"]["properties"]
    study["match"]["anyOf"].insert(0, {"enum": ["params", "flops"]})
    study["grid"]["additionalProperties"] = {}  # one value is a list of it
    whole = {"$schema": DRAFT, **found, "title": "graphspec study", "definitions": definitions}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def schema(sources: Iterable[str] = ()) -> Schema:
    """Return the schema of the language with every registered op, as plain data.

    Args:
        sources: Names of the data sources; none where any name may be one.
    """
    ops = load_ops()
    table = {name: ops.get(name) for name in sorted(ops)}
    definitions: Schema = {
        "expression": {
            "type": "string",
            "pattern": r"^=|\$",
            "description": "An expression over `vars` (`=2*width`), or a text with `$name` in it.",
        },
        "name": {
            "pattern": r"^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z0-9_$]+)*$",
            "not": {"enum": keyword.kwlist},
        },
        "edge": _edge(),
        "edges": _edges(),
        "node": _node(table),
        "layers": _layers(table),
        "block": _block(),
        **{f"op {name}": _arguments(op) for name, op in table.items()},
    }
    spec = _of_model(Spec, definitions)
    properties = spec["properties"]
    names = sorted(sources)
    source: Schema = {"enum": names} if names else {"type": "string"}
    part = definitions["Data"]["properties"]["source"]
    part |= {"anyOf": [source, _EXPRESSION]}
    part.pop("type", None)
    properties["data"] = {"anyOf": [source, _EXPRESSION, properties["data"]]}
    recipe = definitions["Train"]["properties"]
    for key, kinds in _SHORT_FORMS.items():
        recipe[key] = {"anyOf": [*({"type": kind} for kind in kinds), recipe[key]]}
    for key in ("schedule", "clip"):
        recipe[key]["anyOf"].insert(0, {"enum": [False]})
    for name in ("Optimizer", "Balance", "Schedule", "Group"):
        definitions[name]["additionalProperties"] = True
    tasks = properties["tasks"]
    for section in (tasks, properties["inputs"]):
        section["propertyNames"] = {"$ref": "#/definitions/name"}
    tasks["additionalProperties"] = {"anyOf": [tasks["additionalProperties"], {"type": "null"}]}
    properties["vars"] = {
        "type": "object",
        "description": properties["vars"]["description"],
        "propertyNames": {"$ref": "#/definitions/name"},
    }
    properties["blocks"] = _named("#/definitions/block", properties["blocks"]["description"])
    properties["nodes"] = _named("#/definitions/node", properties["nodes"]["description"])
    return {
        "$schema": DRAFT,
        "title": "graphspec",
        "description": "A neural-network topology with its data and its recipe.",
        **spec,
        "required": ["graphspec"],
        # A spec that extends another may say no more than what differs; a file that others extend
        # or include may have no nodes, and then no name.
        "if": {"not": {"required": ["extends"]}},
        "then": {
            "dependencies": {"name": ["nodes"]},
            "properties": {
                "nodes": {"additionalProperties": {"anyOf": _forms(), "allOf": _required(table)}}
            },
        },
        "definitions": definitions,
    }


def _forms() -> list[Schema]:
    words = ("op", "layers", "block", "share", "copy")
    return [{"type": "object", "required": [word]} for word in words] + [_EXPRESSION]


def _required(ops: Mapping[str, Op]) -> list[Schema]:
    """Return for each op that has arguments without a default that a node gives them."""
    needs = {
        name: [key for key, field in op.Args.model_fields.items() if field.is_required()]
        for name, op in ops.items()
    }
    return [
        {
            "if": {"properties": {"op": {"const": name}}, "required": ["op"]},
            "then": {"required": keys},
        }
        for name, keys in needs.items()
        if keys
    ]


def _named(reference: str, description: str) -> Schema:
    """Return the schema of a mapping of names to things; null deletes what a base has."""
    item = {"anyOf": [{"$ref": reference}, {"type": "null"}]}
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"$ref": "#/definitions/name"},
        "additionalProperties": item,
    }


def _of_model(model: type[BaseModel], definitions: Schema | None = None) -> Schema:
    """Return the schema of a pydantic model in draft 7; its parts go to ``definitions``."""
    made = model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    for name, part in made.pop("$defs", {}).items():
        if definitions is not None:
            definitions[name] = _open(part)
    found: Schema = _open(made)
    found.pop("title", None)
    return found


def _open(part: Any) -> Any:
    """Return a schema in draft 7 in which every value may also be an expression."""
    if isinstance(part, list):
        return [_open(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "properties" in part:
        made = {key: value for key, value in part.items() if key != "properties"}
        made["properties"] = {k: _value(v) for k, v in part["properties"].items()}
        return made
    made = {key: _open(value) for key, value in part.items() if key not in ("items", "prefixItems")}
    if "prefixItems" in part:
        made["items"] = [_value(each) for each in part["prefixItems"]]
    elif "items" in part:
        made["items"] = _value(part["items"])
    return made


def _value(part: Schema) -> Schema:
    """Return the schema of one value: what it takes, or an expression."""
    kept: Schema = {k: part[k] for k in ("description", "default", "examples") if k in part}
    rest = {k: v for k, v in part.items() if k not in (*kept, "title")}
    if kept.get("default", 0) is None:
        del kept["default"]  # an editor would write it out
    if "$ref" in rest or rest.get("type") == "object" or not rest:
        return {**_open(rest), **kept} if "$ref" not in rest else {**kept, "anyOf": [rest]}
    if rest.get("type") == "string" and "enum" not in rest and "const" not in rest:
        return {**rest, **kept}
    choices = _open(rest["anyOf"]) if set(rest) == {"anyOf"} else [_open(rest)]
    return {**kept, "anyOf": [*choices, _EXPRESSION]}


def _edge() -> Schema:
    return {"anyOf": [{"type": "string"}, _of_model(EdgeSpec)]}


def _edges() -> Schema:
    one = {"$ref": "#/definitions/edge"}
    many = {"type": "array", "items": one}
    return {
        "description": "What it reads: a node or an input, a list of them, or a mapping of named "
        "inputs; an edge may also be `{node: NAME, as: softmax, detach: true}`.",
        "anyOf": [
            {"type": "string"},
            many,
            _of_model(EdgeSpec),
            {"type": "object", "not": {"required": ["node"]},
             "additionalProperties": {"anyOf": [one, many]}},
        ],
    }  # fmt: skip


def _node(ops: Mapping[str, Op]) -> Schema:
    """Return the schema of a node: keys by its form, and by its op where it has one."""
    written: Schema = {}
    for model in (OpNode, LayersNode, ShareNode, CopyNode, Structure):
        written |= _of_model(model)["properties"]
    written["from"] = {"$ref": "#/definitions/edges"}
    written["layers"] = {"$ref": "#/definitions/layers"}
    written["block"] = {"type": "string", "description": "The block that it is an instance of."}
    written["op"] = {
        "description": written["op"]["description"],
        "anyOf": [_names(ops), _EXPRESSION],
    }
    each = written["each"].get("description", "")
    values = {"anyOf": [{"type": "array"}, _EXPRESSION]}
    written["each"] = {
        "description": each,
        "anyOf": [{"type": "object", "additionalProperties": values}, _EXPRESSION],
    }
    keys = [key for key in _NODE_KEYS if key not in ("init", "tie")]
    owned = [*keys, "init", "tie"]
    arguments = [_when_op(name, op, owned) for name, op in ops.items()]
    forms = [
        _when_form("layers", [*owned, "layers"]),
        _when_form("share", [*keys[:-1], "share", "mode"]),
        _when_form("copy", [*keys, "copy"]),
        _when_form("op"),
        _when_form("block"),
    ]
    # What a node is, is said once: with one of these words an editor offers the others no more.
    kinds = {word: written.pop(word) for word in ("op", "layers", "block", "share", "copy")}
    for form, word in zip(forms, ("layers", "share", "copy", "op", "block"), strict=True):
        form["then"]["properties"] = {word: kinds[word]}
    undecided = {
        "if": {"not": {"anyOf": [{"required": [word]} for word in kinds]}},
        "then": {"properties": kinds},
    }
    # Arguments have the names of keys of other forms (`mode`), so those are known by form only.
    mode = written.pop("mode")
    forms[1]["then"]["properties"]["mode"] = mode
    init = written.pop("init")
    owning = {"anyOf": [{"required": ["op"]}, {"required": ["layers"]}, {"required": ["block"]}]}
    return {
        "type": "object",
        "description": "A node: one call of an op, a sequence, a block, or shared weights.",
        "properties": written,
        "allOf": [
            undecided,
            *forms,
            {"if": owning, "then": {"properties": {"init": init}}},
            *arguments,
        ],
    }


def _names(ops: Mapping[str, Op]) -> Schema:
    """Return the schema of the names of ops, which editors show with what each op does."""
    return {"enum": list(ops), "enumDescriptions": [op.summary for op in ops.values()]}


def _only(keys: Iterable[str]) -> Schema:
    """Return the schema of a mapping of these keys; editors refuse an empty ``enum``."""
    names = list(dict.fromkeys(keys))
    return {"propertyNames": {"enum": names}} if names else {"maxProperties": 0}


def _when_form(form: str, keys: Iterable[str] = ()) -> Schema:
    """Return what holds for nodes of a form; without ``keys`` they may have any."""
    names = list(keys)
    return {
        "if": {"required": [form]},
        "then": {"propertyNames": {"enum": names}} if names else {},
    }


def _when_op(name: str, op: Op, keys: Iterable[str]) -> Schema:
    known = ["op", *keys, *op.Args.model_fields]
    return {
        "if": {"properties": {"op": {"const": name}}, "required": ["op"]},
        "then": {
            "allOf": [{"$ref": f"#/definitions/op {name}"}],
            "propertyNames": {"enum": list(dict.fromkeys(known))},
        },
    }


def _arguments(op: Op) -> Schema:
    """Return the schema of an op's arguments."""
    found = _of_model(op.Args)
    found.pop("additionalProperties", None)
    found.pop("required", None)  # a spec that extends another may leave them to the base
    found["description"] = op.summary
    return found


def _layers(ops: Mapping[str, Op]) -> Schema:
    """Return the schema of a sequence of layers."""
    properties: Schema = {"share": {"type": "string", "description": "Another node's weights."}}
    for name, op in ops.items():
        if op.family == "head" or op.arity.least > 1:
            continue
        arguments = _of_model(op.Args)
        arguments.pop("description", None)
        long = {"type": "object", **_only(op.Args.model_fields),
                "allOf": [{"$ref": f"#/definitions/op {name}"}]}  # fmt: skip
        short = [arguments["properties"][op.shorthand]] if op.shorthand else []
        properties[name] = {
            "description": op.summary,
            "anyOf": [long, *short, {"type": "null"}, _EXPRESSION],
        }
    item = {
        "anyOf": [
            _names({name: ops[name] for name in properties if name != "share"}),
            _EXPRESSION,
            {
                "type": "object",
                "minProperties": 1,
                "properties": properties,
                "additionalProperties": False,
            },
        ]
    }
    return {
        "description": "Ops of one input, in order: names, or a name with its arguments.",
        "anyOf": [{"type": "array", "minItems": 1, "items": item}, _EXPRESSION],
    }


def _block() -> Schema:
    """Return the schema of a block's declaration."""
    found = _of_model(BlockSpec)
    properties = found["properties"]
    long = _of_model(Parameter)
    scalars = {"type": ["string", "number", "boolean", "null", "array"]}
    properties["parameters"]["additionalProperties"] = {"anyOf": [scalars, long]}
    properties["nodes"] = _named("#/definitions/node", properties["nodes"]["description"])
    described = properties["layers"]["description"]
    properties["layers"] = {"description": described, "anyOf": [{"$ref": "#/definitions/layers"}]}
    return found
