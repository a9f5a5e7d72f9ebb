"""A model's forward pass as an fx graph: every call of a layer or a function, with its place.

The tracer runs ``forward`` once with proxies. Each proxy carries what the value would be on the
meta device with a batch of `BATCH` samples, so shapes are plain numbers: code that asserts them,
unpacks them or computes with them is traced, and a multiple of the batch can only be the batch.
Only what depends on the values in a tensor cannot be traced.

Source:
    Reed et al., "torch.fx: Practical Program Capture and Transformation for Deep Learning in
    Python", MLSys 2022.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from graphspec.importing.layers import function_of, is_layer, wrapped_functions
from graphspec.ops.build import Function
from graphspec.ops.types import BATCH

MAX_CALLS = 100_000
"""Most calls of one forward pass; a loop over the samples of a batch makes more."""

_TORCH = str(Path(torch.__file__).parent) + os.sep
_OURS = str(Path(__file__).parents[1]) + os.sep


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the model's source code.

    Attributes:
        file: Its file; for generated code a name in angle brackets.
        line: Its number.
    """

    file: str
    line: int


class Stop(Exception):  # noqa: N818 - it ends a trace, and is turned into a diagnostic
    """The forward pass cannot be followed further.

    Attributes:
        message: Why, in a diagnostic's grammar.
        hint: What to do.
        place: Where.
    """

    def __init__(self, message: str, hint: str | None, place: Place | None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place


@dataclass
class Trace:
    """What a forward pass did.

    Attributes:
        graph: Its calls; ``meta`` of a node has ``value`` (on the meta device), ``scope`` (name of
            the call of the module around it), ``name`` (of a module's call) and ``place``.
        result: What it returned, with proxies in it.
        stop: Why it ended early, or None.
        scopes: For each call of a module that is not a layer its path in the model.
    """

    graph: fx.Graph
    result: Any = None
    stop: Stop | None = None
    scopes: dict[str, str] = field(default_factory=dict)


def trace(model: nn.Module, inputs: Mapping[str, Tensor], others: Mapping[str, Any]) -> Trace:
    """Follow the forward pass of a model.

    Args:
        model: The model, in the mode that is meant.
        inputs: Its inputs on the meta device, by the names of the parameters of ``forward``.
        others: Further arguments of ``forward``.
    """
    tracer = _Tracer(model, inputs, others)
    try:
        with torch.device("meta"), torch.no_grad():
            tracer.trace(model)
    except Stop as stop:
        tracer.found.stop = stop
    except Exception as error:  # the model's own code, which may fail in any way
        tracer.found.stop = _stop(error)
    tracer.found.graph = tracer.graph
    return tracer.found


class Value(fx.Proxy):
    """A value of the forward pass, which knows its shape.

    Attributes:
        value: What it would be on the meta device: a tensor, or tensors in tuples.
    """

    value: Any = None
    __getitem__: Callable[..., Any]  # fx makes it, as it makes the operators

    def __getattr__(self, name: str) -> Any:
        """Return a shape or the like as it is; a method or a tensor as a part of the graph."""
        if not hasattr(self.value, name):
            raise AttributeError(_no_attribute(self.value, name))
        found = getattr(self.value, name)
        if isinstance(self.value, tuple) and isinstance(found, Tensor):
            return self[next(i for i, each in enumerate(self.value) if each is found)]  # a name
        if isinstance(found, Tensor):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return fx.proxy.Attribute(self, name) if callable(found) else found

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        if isinstance(self.value, Tensor) and self.value.dim() and self.value.shape[0] % BATCH == 0:
            message = "`forward` goes through the samples of the batch one by one"
            raise Stop(message, "a graph computes all samples of a batch at once", here())
        return len(self.value)

    def __bool__(self) -> bool:
        raise _by_value(_DECIDES)

    def __index__(self) -> int:
        raise _by_value(_COUNTS)

    def __int__(self) -> int:
        raise _by_value(_COUNTS)

    def __float__(self) -> float:
        raise _by_value(_COMPUTES)

    def __contains__(self, item: object) -> bool:
        raise _by_value(_DECIDES)

    def __setitem__(self, key: object, item: object) -> None:
        message = "`forward` writes into a tensor"
        raise Stop(message, "compute a new one, for example with `torch.cat` or a mask", here())


_DECIDES, _COUNTS, _COMPUTES = "decides", "counts", "computes in Python"


def _by_value(does: str) -> Stop:
    message = f"`forward` {does} by the values in a tensor, so it is no fixed graph"
    hint = "leave that part out of the model that is imported, or make it a module and an op of a "
    return Stop(message, hint + "plugin (`gs.op`)", here())


def _no_attribute(value: Any, name: str) -> str:
    return f"{type(value).__name__!r} object has no attribute {name!r}"


def here() -> Place | None:
    """Return the innermost line of code that is neither torch's nor ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else Place(frame.f_code.co_filename, frame.f_lineno)


def _is_library(file: str) -> bool:
    return file.startswith((_TORCH, _OURS)) or file in ("<string>",) or "contextlib" in file


def _stop(error: BaseException) -> Stop:
    """Return what to say of an exception that the forward pass raised."""
    said = next(iter(str(error).strip().splitlines()), "").rstrip(". ")
    if "item() cannot be called on meta" in said:
        stop = _by_value(_DECIDES)
        return Stop(stop.message, stop.hint, own_lines(error))
    said = said.replace(str(BATCH), "N")
    message = f"`forward` fails: {type(error).__name__}" + (f": {said}" if said else "")
    return Stop(message, "its inputs may need other shapes: `--input NAME=SIZES`", own_lines(error))


def own_lines(error: BaseException) -> Place | None:
    """Return the innermost line that an exception passed which is neither torch's nor ours."""
    found, inner = None, error.__traceback__
    while inner is not None:
        file = inner.tb_frame.f_code.co_filename
        if not _is_library(file) and not file.startswith("<frozen"):
            found = Place(file, inner.tb_lineno)
        inner = inner.tb_next
    return found


class _Tracer(fx.Tracer):
    """Runs the forward pass with proxies."""

    def __init__(
        self, model: nn.Module, inputs: Mapping[str, Tensor], others: Mapping[str, Any]
    ) -> None:
        super().__init__(autowrap_functions=wrapped_functions(model))
        self.found = Trace(fx.Graph())
        self._inputs = inputs
        self._others = others
        self._quiet = False
        self.label: str | None = None
        self._paths = {id(each): path for path, each in model.named_modules()}
        tensors = [*model.named_parameters(), *model.named_buffers()]
        self._tensors = {id(tensor): name for name, tensor in reversed(tensors)}
        self._constants: list[Tensor] = []  # kept alive, so that no other takes their id
        self._meta: dict[int, Tensor] = {}
        self._scopes: list[tuple[str, str]] = [("", "")]
        self._taken = set(self._paths.values())
        self._called: set[str] = set()

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """Return what runs the forward pass, and keeps what it returns as it is."""
        values = {}
        for name, tensor in self._inputs.items():
            proxy = self.create_proxy("placeholder", name.lstrip("*"), (), {})
            self._know(proxy, tensor)
            values[name] = proxy
        several = [values.pop(name) for name in list(values) if name.startswith("*")]
        first = list(values.values()) if several else []
        named = {} if several else values

        def run() -> None:
            if isinstance(self.root, fx.GraphModule) and not several:
                self._follow(self.root, named)
                return
            self.found.result = root_fn(self.root, *first, *several, **named, **self._others)

        return run, []

    def _follow(self, model: fx.GraphModule, named: Mapping[str, Any]) -> None:
        """Run a model that is a graph already node by node, which have names."""
        places = [str(node.target) for node in model.graph.nodes if node.op == "placeholder"]
        while places and places[-1] not in named:
            places.pop()  # one with a default
        self.found.result = _Steps(model, self).run(*(named[name] for name in places))
        for path, module in model.named_modules():
            if path and type(module) is nn.Module:
                self.found.scopes.setdefault(path, path)

    def proxy(self, node: fx.Node) -> Value:
        """Return a proxy of our own."""
        return Value(node, self)

    def create_node(self, kind: str, *args: Any, **kwargs: Any) -> fx.Node:
        """Note where a call stands and in which module."""
        node = super().create_node(kind, *args, **kwargs)
        node.meta.update(scope=self._scopes[-1][0], place=here())
        if self.label is not None and len(self._scopes) == 1:
            node.meta["label"] = self.label
        return node

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **others: Any
    ) -> Any:
        """Make a node of a call whose result is a tensor; return any other result as it is."""
        if kind in ("placeholder", "get_attr"):
            return super().create_proxy(kind, target, args, kwargs, *more, **others)
        value = self._value_of(kind, target, args, kwargs)
        if not _has_tensor(value):
            return value
        if len(self.graph.nodes) > MAX_CALLS:
            message = f"`forward` makes more than {MAX_CALLS:,} calls"
            raise Stop(message, "does it go through the samples of a batch one by one?", here())
        proxy = super().create_proxy(kind, target, args, kwargs, *more, **others)
        self._know(proxy, value)
        return proxy

    def create_arg(self, a: Any) -> Any:
        """Return what stands for an argument in the graph; a tensor of the model is its name."""
        if isinstance(a, fx.Proxy):
            return a.node
        if isinstance(a, Tensor):
            name = self._tensors.get(id(a))
            if name is None:
                self._constants.append(a)
            node = self.create_node("get_attr", name or "", (), {})
            node.meta["value"] = a.to("meta")
            return node
        if isinstance(a, (torch.Size, torch.dtype, torch.device)):
            return tuple(a) if isinstance(a, torch.Size) else a
        return super().create_arg(a)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return a parameter or buffer of the model as a part of the graph."""
        name = self._tensors.get(id(attr_val)) if isinstance(attr_val, Tensor) else None
        if self._quiet or name is None:
            return attr_val
        if name not in parameter_proxy_cache:
            proxy = self.create_proxy("get_attr", name, (), {})
            self._know(proxy, attr_val.to("meta"))
            parameter_proxy_cache[name] = proxy
        return parameter_proxy_cache[name]

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Make a node of a layer, or go into a module that is none."""
        if self._quiet:
            return forward(*args, **kwargs)
        path = self._paths.get(id(m))
        if path is None:
            message = f"`forward` calls a {type(m).__name__} that is no part of the model"
            hint = "make it an attribute of its module (or an item of an `nn.ModuleList`)"
            raise Stop(message, hint, here())
        name = self._name(path)
        if is_layer(m):
            proxy = self.create_proxy("call_module", path, args, kwargs)
            proxy.node.meta["name"] = name
            return proxy
        self.found.scopes[name] = path
        self._scopes.append((name, path))
        try:
            if isinstance(m, Function):
                return self._function(m, args)
            return forward(*args, **kwargs)
        finally:
            self._scopes.pop()

    def _function(self, module: Function, args: Any) -> Any:
        """Make a node of the function that stands in a sequence."""
        call = module.call
        if call.fold:
            return call.apply(args)
        inputs = (list(args),) if call.packed else args
        return self.create_proxy(
            "call_function", call.function, (*inputs, *call.args), dict(call.kwargs)
        )

    def _name(self, path: str) -> str:
        """Return the name of a call of a module: its path, or another where it is called again."""
        name = path
        if path in self._called:
            around, inside = self._scopes[-1]
            name = f"{around}{path[len(inside) :]}" if path.startswith(f"{inside}.") else path
            number = 2
            base = name
            while name in self._called or (name in self._taken and name != path):
                name = f"{base}_{number}"
                number += 1
        self._called.add(name)
        return name

    def _know(self, proxy: Any, value: Any) -> None:
        proxy.value = value
        proxy.node.meta["value"] = value

    def _value_of(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        """Run a call on the meta device."""
        given, named = fx.node.map_aggregate((args, kwargs), self._on_meta)
        with self._quietly():
            if kind == "call_method":
                return getattr(given[0], target)(*given[1:], **named)
            if kind == "call_function":
                return target(*given, **named)
            module = self.root.get_submodule(target)
            names = [*module.named_parameters(), *module.named_buffers()]
            state = {name: self._on_meta(tensor) for name, tensor in names}
            with _evaluating(module):
                return functional_call(module, state, given, named, tie_weights=False)

    def _on_meta(self, value: Any) -> Any:
        if isinstance(value, Value):
            return value.value
        if not isinstance(value, Tensor) or value.is_meta:
            return value
        if id(value) not in self._meta:
            self._meta[id(value)] = value.detach().to("meta")
            self._constants.append(value)
        return self._meta[id(value)]

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


class _Steps(fx.Interpreter):
    """Runs a graph with proxies, and tells the tracer which node it runs."""

    def __init__(self, model: fx.GraphModule, tracer: _Tracer) -> None:
        super().__init__(model, garbage_collect_values=False)
        self.extra_traceback = False
        self._tracer = tracer

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        self._tracer.label = n.name
        return super().run_node(n)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a function; one of graphspec or of a plugin is one call, whatever it does."""
        if function_of(target) is not None:
            return self._tracer.create_proxy("call_function", target, args, kwargs)
        return super().call_function(target, args, kwargs)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Keep a layer from updating statistics while its output's shape is found."""
    modes = [(each, each.training) for each in module.modules()]
    for each, _ in modes:
        each.training = False
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


def _has_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return any(map(_has_tensor, value))
    return isinstance(value, Tensor)
