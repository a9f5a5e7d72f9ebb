"""Plugins are found, run and taken back whole; what is wrong with one is said at its line."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from graphspec import compiler
from graphspec.errors import Severity, SpecError, render_text
from graphspec.ops import plugins, provenance
from graphspec.ops.plugins import load_plugin
from graphspec.ops.registry import OPS
from tests.ops.plugin_state import HEADER, SHIFT, Write, clean_plugins, failure, write

__all__ = ["clean_plugins", "write"]

SPEC = """\
graphspec: 1
name: s
inputs: {x: {shape: [4]}}
tasks: {t: {classes: 2}}
nodes:
  moved: {op: slide, from: x}
  label: {op: head, from: moved, task: t}
"""


def test_a_file_brings_its_ops(write: Write) -> None:
    path = write("my_ops.py", SHIFT)
    plugin = load_plugin("my_ops.py")
    assert (plugin.name, plugin.path, plugin.package) == ("my_ops.py", str(path.resolve()), "")
    assert plugin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert plugin.provides == {"op": ("slide",)}
    assert plugins.loaded() == (plugin,)
    assert OPS.get("slide").origin == f"{path.resolve()}:8"
    assert sys.modules[plugin.module].slide(1) == 2.0
    compiler.check(compiler.load_text(SPEC))
    assert not Path("__pycache__").exists()


def test_it_is_loaded_once_and_anew_where_it_changed(write: Write) -> None:
    path = write("my_ops.py", SHIFT)
    first = load_plugin(path)
    assert load_plugin(f"./{path}") is first
    write("my_ops.py", SHIFT.replace('"slide"', '"moved"'))
    second = load_plugin(path)
    assert (second.provides, plugins.loaded()) == ({"op": ("moved",)}, (second,))
    assert OPS.find("slide") is None
    write("my_ops.py", SHIFT.replace('"slide"', '"other"') + "oops\n")
    failure("my_ops.py")
    assert plugins.loaded() == (second,)
    assert OPS.find("other") is None
    assert OPS.find("moved") is not None
    second.unload()
    assert OPS.find("moved") is None
    assert plugins.loaded() == ()


def test_packages_and_files_of_one_name_live_together(write: Write) -> None:
    write("one/ops.py", SHIFT.replace('"slide"', '"one"'))
    write("two/ops.py", SHIFT.replace('"slide"', '"two"'))
    write("three/__init__.py", "from . import inner\n")
    inner = write("three/inner.py", SHIFT.replace('"slide"', '"three"'))
    first, second = load_plugin("one/ops.py"), load_plugin("two/ops.py")
    assert first.module != second.module
    third = load_plugin("three/")
    assert (third.path, third.provides) == (str(inner.parent.resolve()), {"op": ("three",)})
    before = third.sha256
    inner.write_text(inner.read_text() + "# changed\n")
    assert load_plugin("three/").sha256 != before


def test_a_module_that_was_imported_before(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("gs_test_module.py", SHIFT)
    monkeypatch.syspath_prepend(".")
    assert failure("gs_test_modul").hint == (
        "a file is named with its ending, `my_ops.py`; a module must be installed"
    )
    __import__("gs_test_module")
    plugin = load_plugin("gs_test_module")
    assert (plugin.module, plugin.provides) == ("gs_test_module", {"op": ("slide",)})
    assert load_plugin("gs_test_module") is plugin
    del sys.modules["gs_test_module"]


def test_override_replaces_and_unloading_brings_back(write: Write) -> None:
    built_in = OPS.get("relu")
    write("my_ops.py", SHIFT.replace('"slide"', '"relu", override=True'))
    plugin = load_plugin("my_ops.py")
    assert OPS.get("relu") is not built_in
    plugin.unload()
    assert OPS.get("relu") is built_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "import gs_no_such_module\n",
            "my_ops.py:1:1: error[plugin-failed]: the plugin `my_ops.py` cannot be loaded: "
            "ModuleNotFoundError: No module named 'gs_no_such_module'\n"
            "    1 | import gs_no_such_module\n"
            "        ^^^^^^^^^^^^^^^^^^^^^^^^\n"
            f"   install it beside graphspec: `{Path(sys.executable).name} -m pip install ...`",
        ),
        (
            "x = (1\n",
            "my_ops.py:1:1: error[plugin-failed]: the plugin `my_ops.py` is not Python: "
            "'(' was never closed\n"
            "    1 | x = (1\n"
            "        ^^^^^^",
        ),
        (
            "def ask():\n    raise SystemExit(3)\n\nask()\n",
            "my_ops.py:2:5: error[plugin-failed]: the plugin `my_ops.py` cannot be loaded: "
            "SystemExit: 3\n"
            "    2 |     raise SystemExit(3)\n"
            "            ^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "x = 1\n",
            "error[plugin-failed]: the plugin `my_ops.py` cannot be used: it registers neither an "
            "op nor a data source\n"
            "   put `@gs.op` before a module or a function, see `gs.op`",
        ),
        (
            HEADER + '@gs.op("zz")\ndef zz(a: int) -> int:\n    return a\n',
            "my_ops.py:8:1: error[plugin-failed]: the plugin `my_ops.py` cannot be used: `zz` "
            "takes no tensor\n"
            '    8 | @gs.op("zz")\n'
            "        ^^^^^^^^^^^^\n"
            "   its inputs come first, annotated as `Tensor`",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_line(write: Write, text: str, expected: str) -> None:
    write("my_ops.py", text)
    assert render_text([failure("my_ops.py")]) == expected
    assert plugins.loaded() == ()
    assert not [name for name in sys.modules if name.startswith("graphspec_plugin_my_ops")]


def test_a_name_that_is_taken_names_both_places(write: Write) -> None:
    write("my_ops.py", SHIFT + SHIFT.removeprefix(HEADER).replace("slide", "conv"))
    found = failure("my_ops.py")
    assert found.location == "my_ops.py:12:1"
    assert found.code.value == "plugin-clash"
    origin = OPS.get("conv").origin
    assert found.message == (
        "the plugin `my_ops.py` defines the op `conv`, which is there already: "
        + origin.removeprefix(f"{Path.cwd()}/")
    )
    assert found.hint == (
        'give it another name, as in `@gs.op("my_conv")`; `override=True` replaces the other one '
        "on purpose"
    )
    assert OPS.find("slide") is None  # nothing of a plugin that fails stays
    write("one.py", SHIFT)
    write("two.py", SHIFT)
    load_plugin("one.py")
    assert failure("two.py").message.endswith("which is there already: one.py:8")


def test_what_is_no_plugin(write: Write) -> None:
    write("my_ops.py", SHIFT)
    write("folder/other.py", "")
    assert failure("my_opps.py").hint == "did you mean `my_ops.py`? Python files there: my_ops.py"
    assert failure("my_ops").message == "there is no module `my_ops`"
    assert failure("my_ops").hint == "the file here is `my_ops.py`"
    assert failure("folder/").message == (
        "`folder/` is a folder without `__init__.py`, so it is no plugin"
    )
    assert failure("folder/").hint == "its Python files: other.py"
    assert failure("os.no_such_part").code.value == "plugin-not-found"
    assert failure("a b").message == (
        "the plugin `a b` is neither a Python file nor the name of a module"
    )
    assert failure("./" + "x" * 300 + ".py").message.endswith("cannot be read: File name too long")


def test_a_spec_loads_nothing(write: Write) -> None:
    """Whatever a spec says, no code runs that the user has not named."""
    write("my_ops.py", "open('ran', 'w').close()\n" + SHIFT)
    text = SPEC.replace("name: s\n", "name: s\nplugins: [my_ops.py]\n")
    text = text.replace("{op: slide, from: x}", "{op: my_ops.slide, from: x}")
    text = text.replace("{op: head,", "{op: ./my_ops.py,")
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(SPEC.replace("op: slide", "op: my_ops.slide")))
    assert "there is no op `my_ops.slide`" in str(caught.value)
    with pytest.raises(SpecError):
        compiler.check(compiler.load_text(text))
    assert not Path("ran").exists()
    assert "my_ops" not in sys.modules


def installed(write: Write, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Install a package that offers its ops."""
    write("site/gs_test_package.py", text)
    write("site/gs_test_package-1.2.dist-info/METADATA", "Name: gs-test-package\nVersion: 1.2\n")
    points = "[graphspec.ops]\nextra = gs_test_package\n[graphspec.data]\nextra = gs_test_package\n"
    write("site/gs_test_package-1.2.dist-info/entry_points.txt", points)
    monkeypatch.syspath_prepend("site")
    monkeypatch.delitem(sys.modules, "gs_test_package", raising=False)


def test_an_installed_package_is_asked_for_unknown_names_only(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(write, monkeypatch, SHIFT)
    compiler.check(compiler.load_text(SPEC.replace("slide", "relu")))
    assert plugins.loaded() == ()
    compiler.check(compiler.load_text(SPEC))
    (plugin,) = plugins.loaded()
    assert (plugin.name, plugin.package) == ("extra", "gs-test-package 1.2")
    assert plugin.provides == {"op": ("slide",)}
    plugins.discover("graphspec.data")  # the same module again
    assert plugins.loaded() == (plugin,)
    assert plugins.broken("graphspec.data") == ()
    plugin.unload()
    monkeypatch.delitem(sys.modules, "gs_test_package")


def test_a_broken_package_is_named_where_a_name_is_unknown(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(write, monkeypatch, "1 / 0\n")
    with pytest.raises(SpecError) as caught:
        OPS.get("slide")
    said = (
        "the plugin `extra` of the package `gs-test-package 1.2` cannot be loaded: "
        "ZeroDivisionError: division by zero"
    )
    assert (caught.value.diagnostics[0].hint or "").split("\n")[1:] == [said]
    (warning,) = plugins.broken("graphspec.ops")
    assert (warning.severity, warning.message) == (Severity.WARNING, said)
    assert OPS.get("relu").name == "relu"


def test_a_run_remembers_its_plugins(write: Write) -> None:
    path = write("my_ops.py", SHIFT)
    plugin = load_plugin("my_ops.py")
    (record,) = provenance.records()
    assert record == {
        "plugin": "my_ops.py",
        "path": str(path.resolve()),
        "sha256": plugin.sha256,
        "package": "",
        "provides": {"op": ["slide"]},
    }
    environment = {"plugins": [record, "damaged", {"provides": {"op": 3}}]}
    assert provenance.changes(environment) == []
    write("my_ops.py", SHIFT + "# changed\n")
    now = load_plugin("my_ops.py")
    assert provenance.changes(environment) == [
        "the plugin `my_ops.py` is not the one that the run was trained with: its SHA-256 was "
        f"{plugin.sha256[:12]}... and is {now.sha256[:12]}..."
    ]
    now.unload()
    provenance.expect(environment, Path("runs/a"))
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(SPEC))
    assert [item.hint for item in caught.value.diagnostics] == [
        "the run `runs/a` was trained with the plugin `my_ops.py`: give `--plugin my_ops.py`"
    ]
    path.unlink()
    provenance.expect(environment, Path("runs/a"))
    assert OPS.hint("slide") == (
        "the run `runs/a` was trained with the plugin `my_ops.py`: give it with `--plugin` (it was "
        f"`{record['path']}`, SHA-256 {plugin.sha256[:12]}...)"
    )


def test_ops_defined_elsewhere_are_remembered_by_their_file() -> None:
    import graphspec as gs

    gs.op("twice")(twice)
    (record,) = provenance.records()
    assert (record["path"], record["provides"]) == (__file__, {"op": ["twice"]})
    assert record["sha256"] == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def twice(x):  # type: ignore[no-untyped-def]
    return x + x
