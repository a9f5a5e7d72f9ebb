"""From calls to nodes: every call of the trace becomes an op with arguments, or a mistake.

Each op is built again from the arguments that were found, on the meta device, and compared with
what the model has: a layer in its attributes, a value in its type. What does not agree is reported
and not guessed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, fx, nn

from graphspec.errors import Code, Sink, Span, suggest
from graphspec.graph.parts import Parts, flatten
from graphspec.importing import functions, layers, shapes, weighted
from graphspec.importing.calls import HANDLERS, Call, Handler, Made, name_of, tensor_type
from graphspec.importing.drafts import Absent, Draft, Part, Raw, Ref, UnsupportedError, refs_in
from graphspec.importing.naming import Names, clean
from graphspec.importing.tracing import Place, Trace, Value
from graphspec.ops import places
from graphspec.ops.build import build_part
from graphspec.ops.registry import OPS, OpError, Site, Step
from graphspec.ops.types import TensorType

__all__ = ["Translator", "functions", "shapes", "weighted"]  # three register what translates calls

_LISTS = frozenset({"unflattened_size", "normalized_shape", "shape", "sizes", "dims", "dim", "pad"})
"""Arguments that stay lists, although their values are equal."""

ADVICE = "make it a module or function of its own and register that as an op (`@gs.op`, `--plugin`)"


class Translator:
    """Makes nodes of the calls of a trace.

    Attributes:
        drafts: The nodes by name, in the order of the calls.
        results: For each call of the trace what stands for its value.
    """

    def __init__(self, model: nn.Module, trace: Trace, inputs: Mapping[str, str], sink: Sink):
        """Take what is needed.

        Args:
            model: The model.
            trace: Its forward pass.
            inputs: Name of each input in the spec by its name in ``forward``.
            sink: Where ``cannot-import`` goes, for every call that has no op.
        """
        self.drafts: dict[str, Draft] = {}
        self.results: dict[fx.Node, Any] = {}
        self._model = model
        self._trace = trace
        self._inputs = inputs
        self._sink = sink
        self._names = Names(inputs.values())
        self._parts = Parts({})
        self._steps: dict[tuple[str, str], Step] = {}
        self._types: dict[str, tuple[TensorType, ...]] = {}
        self.inputs = set(inputs.values())
        self._raws: dict[Raw, Ref] = {}
        self._paths = {clean(path) for path, _ in model.named_modules()}
        self._groups = {path.rpartition(".")[0] for path in self._paths if "." in path}

    def run(self) -> None:
        """Translate every call."""
        for node in self._trace.graph.nodes:
            if node.op == "output":
                continue
            try:
                self.results[node] = self._result(node)
            except UnsupportedError as error:
                self.results[node] = Absent()
                self._report(error, node)

    def _report(self, error: UnsupportedError, node: fx.Node) -> None:
        stop = self._trace.stop
        if not error.message or (stop is not None and stop.place == node.meta["place"]):
            return  # told already, or part of what cannot be traced
        hint = ADVICE if error.hint is None else error.hint
        around = str(node.meta["scope"])
        inside = f" in `{around}`" if around else ""
        span = span_of(node.meta["place"])
        self._sink.error(Code.CANNOT_IMPORT, span, f"{error.message}{inside}", hint)

    def _result(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return Ref(self._inputs[str(node.target)])
        if node.op == "get_attr":
            return self._tensor(node)
        values: dict[Any, Any] = {}
        # Whether there is an op is asked first: that is told also where an input has none.
        if node.op == "call_module":
            op = self._op_of(node)
            args, kwargs = self._given(node, values)
            return self._module(op, node, args, kwargs, values)
        handler, in_place = self._handler(node)
        args, kwargs = self._given(node, values)
        name, _ = name_of(node)
        call = Call(name, tuple(args), kwargs, node, node.meta["value"], values)
        result = self._made(handler(call), node)
        if in_place and isinstance(node.args[0], fx.Node):
            self._replace(node.args[0], result)
        return result

    def _tensor(self, node: fx.Node) -> Any:
        """Return what stands for a tensor of the model that a function takes."""
        name = str(node.target)
        if name in dict(self._model.named_parameters(remove_duplicate=False)):
            return Raw(name, tuple(node.meta["value"].shape))
        if name:
            message = f"the buffer `{name}` is read by a function, and the language has no buffers"
            return Absent(message, ADVICE)
        message = "a tensor of constants is read, and the language has none"
        return Absent(message, "make it an `nn.Parameter`, or part of a plugin's op (`@gs.op`)")

    def _given(self, node: fx.Node, values: dict[Any, Any]) -> tuple[Any, Any]:
        """Return the arguments of a call; each tensor's value by what stands for it."""

        def put(each: fx.Node) -> Any:
            result = self.results[each]
            for found in result if isinstance(result, tuple) else (result,):
                if isinstance(found, Absent) and not isinstance(result, tuple):
                    raise UnsupportedError(found.message, found.hint)
            if isinstance(result, (Ref, Raw)):
                values.setdefault(result, each.meta["value"])
            return result

        return fx.node.map_aggregate(
            (node.args, dict(node.kwargs)),
            lambda each: put(each) if isinstance(each, fx.Node) else each,
        )

    # Modules

    def _op_of(self, node: fx.Node) -> str:
        """Return the op that a module is."""
        module = self._model.get_submodule(str(node.target))
        op = layers.op_of(module)
        if op is None:
            kind = type(module).__name__
            message = f"`{kind}` (`{node.target}`) is no op"
            raise UnsupportedError(message, OPS.hint(kind) if kind in vars(nn) else None)
        return op

    def _module(
        self,
        op: str,
        node: fx.Node,
        args: Any,
        kwargs: Mapping[str, Any],
        values: Mapping[Any, Any],
    ) -> Any:
        module = self._model.get_submodule(str(node.target))
        kind = type(module).__name__
        if op == "teacher":
            return replace(args[0], form="teacher")
        if not layers.is_batch_first(module):
            message = f"`{kind}` (`{node.target}`) takes the batch second"
            raise UnsupportedError(message, "make it with `batch_first=True`")
        inputs = self._module_inputs(op, module, args, kwargs)
        part = self._part(op, layers.arguments_of(module, op), f"`{kind}`")
        if op == "MultiheadAttention" and kwargs.get("is_causal"):
            part = Part(part.op, {**part.args, "is_causal": True})
        refs = tuple(self._ref(each, node) for each in inputs)
        self._check_alike(part, module, [tensor_type(values[each]) for each in inputs], node)
        draft = self._add(str(node.meta["name"]), (part,), refs, node)
        draft.module, draft.path = module, str(node.target)
        names = [n for n, _ in module.named_parameters(remove_duplicate=False)]
        names += [n for n, _ in module.named_buffers()]
        draft.weights = {name: f"{node.target}.{name}" for name in names}
        attention = op == "MultiheadAttention" and isinstance(node.meta["value"], tuple)
        if attention:
            message = "the attention weights of `MultiheadAttention` are no output in the language"
            return Ref(draft.name), Absent(message, "use its first output")
        return _structure(node.meta["value"], draft.name)

    def _module_inputs(
        self, op: str, module: nn.Module, args: Any, kwargs: Mapping[str, Any]
    ) -> list[Any]:
        """Return the tensors that a layer reads, in the order of its inputs."""
        bound = inspect.signature(type(module).forward).bind(module, *args, **kwargs).arguments
        flat: list[Any] = []
        for name, value in list(bound.items())[1:]:
            if op == "MultiheadAttention" and name in ("need_weights", "is_causal"):
                continue
            if op == "MultiheadAttention" and name == "average_attn_weights":
                continue
            items = value if isinstance(value, (tuple, list)) and name != "hx" else [value]
            for item in items:
                if isinstance(item, (Ref, Raw)):
                    flat.append(item)
                elif item is not None and item is not False:
                    kind = type(module).__name__
                    message = f"the argument `{name}` of `{kind}` is no input in the language"
                    raise UnsupportedError(message)
        if op == "MultiheadAttention":
            flat = flat[: 1 if len(set(flat)) == 1 else 2 if flat[1:] == flat[1:2] * 2 else 3]
        most = OPS.get(op).arity.most
        if most is not None and len(flat) > most:
            message = f"`{op}` takes {OPS.get(op).arity} in the language, and {len(flat)} here"
            raise UnsupportedError(message)
        return flat

    def _check_alike(
        self, part: Part, module: nn.Module, types: list[TensorType], node: fx.Node
    ) -> None:
        """Build a layer again and compare it with the model's."""
        step = self._step(part)
        try:
            with torch.device("meta"):
                built = build_part(step, Site(tuple(types)))
        except OpError as error:
            raise UnsupportedError.of(error) from error
        assert isinstance(built, nn.Module)
        odd = layers.difference(built, module)
        if odd is not None:
            kind = type(module).__name__
            message = f"`{kind}` (`{node.target}`) has another `{odd}` than the op `{part.op}`"
            raise UnsupportedError(message)

    # Functions

    def _handler(self, node: fx.Node) -> tuple[Handler, bool]:
        """Return what translates a call of a function, and whether that changes its input."""
        name, in_place = name_of(node)
        handler = HANDLERS.get(name)
        op = OPS.known(name)
        if handler is None and op is not None and op.category == "plugin":
            handler = functions.plugin
        if handler is None:
            near = suggest(name, OPS)
            hint = f"the nearest op is `{near}`; or {ADVICE}" if near else ADVICE
            message = f"`{name}` is no op"
            raise UnsupportedError(message, hint)
        return handler, in_place

    def _replace(self, changed: fx.Node, result: Any) -> None:
        """Let whatever reads a tensor after it was changed in place read what it became."""
        before = self.results[changed]
        for each, value in self.results.items():
            if value == before:
                self.results[each] = result

    def _made(self, result: Any, node: fx.Node) -> Any:
        """Make the nodes of a result that are not there yet."""
        if isinstance(result, tuple) and not isinstance(result, (Ref, Raw)):
            return tuple(self._made(each, node) if each != () else Absent() for each in result)
        if not isinstance(result, Made):
            return result
        parts = tuple(self._part(each.op, each.args, f"`{each.op}`") for each in result.parts)
        refs = tuple(self._ref(each, node) for each in result.inputs)
        name = result.name or parts[-1].op
        draft = self._add(self._wanted(node, name), parts, refs, node)
        for local, raw in (result.ties or {}).items():
            draft.weights[local] = raw.path
        several = isinstance(node.meta["value"], (tuple, list)) and parts[-1].op in _SEVERAL
        return _structure(node.meta["value"], draft.name) if several else Ref(draft.name)

    def _wanted(self, node: fx.Node, name: str) -> str:
        """Return the name for a function: that of its op, or what a compiled graph calls it.

        There the name has no dots, but begins with that of the group around it.
        """
        label = node.meta.get("label")
        if label is None:
            return self._free(_inside(node, name))
        around = [p for p in self._trace.scopes if label.startswith(p.replace(".", "_") + "_")]
        longest = max(around, key=len, default="")
        return f"{longest}.{label[len(longest) + 1 :]}" if longest else str(label)

    def _free(self, wanted: str) -> str:
        """Return a name for a function that no group of modules has."""
        name, number = wanted, 1
        while clean(name) in self._groups:
            name = f"{wanted}_{number}"
            number += 1
        return name

    def _ref(self, value: Any, node: fx.Node) -> Ref:
        """Return what an input reads; a parameter of the model becomes a node."""
        if isinstance(value, Ref):
            return value
        if isinstance(value, Raw):
            if value not in self._raws:
                self._raws[value] = self._parameter(value, node)
            return self._raws[value]
        message = "a number or a list is used as a tensor"
        raise UnsupportedError(message)

    def _parameter(self, raw: Raw, node: fx.Node) -> Ref:
        tensor = self._model.get_parameter(raw.path)
        part = self._part(
            "parameter", {"shape": list(raw.shape), **layers.initial(tensor)}, f"`{raw.path}`"
        )
        inputs = (Ref(next(iter(self._inputs.values()))),) if raw.batched else ()
        draft = self._add(raw.path, (part,), inputs, node)
        draft.weights = {"weight": raw.path}
        return Ref(draft.name)

    # Both

    def _add(
        self, wanted: str, parts: tuple[Part, ...], refs: tuple[Ref, ...], node: fx.Node
    ) -> Draft:
        """Add a node, whose ops are typed from what it reads."""
        steps = [self._step(part) for part in parts]
        types = [self.type_of(ref) for ref in refs]
        value = None
        try:
            with torch.device("meta"):
                for step in steps:
                    value = self._parts.find(step, types, None).value
                    types = list(value.types)
        except OpError as error:
            raise UnsupportedError.of(error) from error
        assert value is not None
        name = self._names.new(clean(wanted))
        draft = Draft(
            name, parts, refs, types[0], str(node.meta["scope"]), node.meta["place"],
            is_sequence=len(parts) > 1,
        )  # fmt: skip
        self.drafts[name] = draft
        self._types[name] = value.types
        return draft

    def type_of(self, ref: Ref) -> TensorType:
        """Return the type of what is read."""
        if ref.node in self._types:
            return self._types[ref.node][ref.port or 0]
        name = next(name for name, given in self._inputs.items() if given == ref.node)
        nodes = self._trace.graph.nodes
        node = next(n for n in nodes if n.op == "placeholder" and n.target == name)
        return tensor_type(node.meta["value"])

    def _part(self, op_name: str, args: Mapping[str, Any], what: str) -> Part:
        """Return an op with the arguments that are not its defaults.

        Raises:
            UnsupportedError: If the op does not take them.
        """
        op = OPS.get(op_name)
        fields = op.Args.model_fields
        given = {name: _listed(value) for name, value in args.items() if name in fields}
        for name in set(args) - set(fields):
            if args[name]:
                message = f"{what} has the argument `{name}`, which `{op_name}` has not"
                raise UnsupportedError(message)
        if op.category == "layer" or op_name == "interpolate":
            given = {n: v if n in _LISTS else layers.plain(v) for n, v in given.items()}
        try:
            model = op.Args.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(each) for each in first["loc"])
            message = f"{what} has `{where}: {first.get('input')}`, which `{op_name}` does not take"
            raise UnsupportedError(message, str(first["msg"])) from error
        kept = {}
        for name, field in fields.items():
            default = field.get_default()
            value = getattr(model, name)
            if name in given and not (value == default and type(value) is type(default)):
                kept[name] = given[name]
        return Part(op_name, kept)

    def _step(self, part: Part) -> Step:
        """Return an op as it is built, one object for equal parts, since `Parts` asks for that."""
        key = (part.op, repr(part.args))
        if key not in self._steps:
            op = OPS.get(part.op)
            self._steps[key] = Step(op, op.Args.model_validate(dict(part.args)))
        return self._steps[key]

    def ref_of(self, value: Any) -> Any:
        """Return what stands for a value that ``forward`` returned, in nested containers too."""
        if isinstance(value, Value):
            return self.results.get(value.node, Absent())
        if isinstance(value, Tensor):
            return Absent("`forward` returns a tensor that depends on no input")
        return value


_SEVERAL = ("chunk", "split")


def _listed(value: Any) -> Any:
    """Return tuples as lists, in any depth."""
    return [_listed(each) for each in value] if isinstance(value, (tuple, list)) else value


def _structure(value: Any, name: str) -> Any:
    """Return a `Ref` for a tensor, or tuples of them as the value is nested."""
    if isinstance(value, Tensor):
        return Ref(name)
    ports = iter(range(len(flatten(value).types)))

    def numbered(item: Any) -> Any:
        if isinstance(item, Tensor):
            return Ref(name, next(ports))
        return tuple(numbered(each) for each in item) if item is not None else None

    return numbered(value)


def _inside(node: fx.Node, name: str) -> str:
    scope = str(node.meta["scope"])
    return f"{scope}.{name}" if scope else name


def span_of(place: Place | None) -> Span | None:
    """Return a line of the model's code as a place that can be shown."""
    return None if place is None else places.line_span(Path(place.file), place.line)


def read_by(drafts: Mapping[str, Draft]) -> dict[str, list[Draft]]:
    """Return for each node and input the nodes that read it."""
    found: dict[str, list[Draft]] = {}
    for draft in drafts.values():
        for ref in refs_in(list(draft.inputs)):
            found.setdefault(ref.node, []).append(draft)
    return found
