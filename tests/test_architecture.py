"""What no import contract can say of the house: no circle of files, and no `Any` where one room hands to another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "aqreanalysis"
#: Folders at the top that install inside the package.
INSTALLED_WITHIN = ("cli", "grids", "configs")

#: Parameters of public functions that are `Any`, and why. One that is no longer there must go from here.
UNTYPED = {
    "common.files.plain value": "whatever JSON may be made of",
    "export.netcdf_files.write_values index": "an index expression, as `__setitem__` takes it",
    "export.netcdf_files.write_values variable": "a variable of netCDF4 or of h5py, of which neither has types",
    "export.polygons.area_weights polygons": "a GeoDataFrame of geopandas, an extra that has no types",
    "cli.types.FieldFiles.convert value": "as click declares it",
    "cli.types.Names.convert value": "as click declares it",
    "cli.types.Records.convert value": "as click declares it",
    "cli.types.StaticFiles.convert value": "as click declares it",
    "cli.types.Suggested.convert value": "as click declares it",
    "cli.types.UtcTime.convert value": "as click declares it",
    "cli.plot.LatLon.convert value": "as click declares it",
    "cli.printing.plain value": "whatever JSON may be made of",
    "cli.printing.print_json value": "whatever JSON may be made of",
}

#: What has a name within a class.
NAMED = ast.Attribute | ast.arg
#: A function has at most so many lines, its docstring among them, and takes at most so many arguments.
LINES, ARGUMENTS = 60, 7
#: Functions that are longer, and why. One that is no longer so must go from here.
LONGER = {
    "model.kernels.attention.attention": "cut into several, whose arrays the compiler cannot tell apart, it takes half "
    "as long again",
}


@cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    """Return the file and the syntax tree of every module of the package, by its name without the package's."""
    names = {}
    for folder in (PACKAGE, *INSTALLED_WITHIN):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / PACKAGE if folder == PACKAGE else ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            names[name] = path, ast.parse(path.read_text(encoding="utf-8"), str(path))
    return names


def _module_of(name: str) -> str | None:
    """Return the module of this package that a dotted name lies in; None where it is another package's."""
    if name != PACKAGE and not name.startswith(f"{PACKAGE}."):
        return None
    within = name[len(PACKAGE) + 1 :]
    return within if within in modules() else within.rpartition(".")[0]


def imports_of(name: str) -> set[str]:
    """Return the modules that a module imports, at its top, within functions or for types alone."""
    names: set[str | None] = set()
    for node in ast.walk(modules()[name][1]):
        if isinstance(node, ast.Import):
            names |= {_module_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            names |= {_module_of(f"{node.module}.{alias.name}") for alias in node.names}
    return {module for module in names if module is not None} - {name}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of nodes that reach each other: what is left once all that imports nothing left is taken away."""
    graph = {name: set(others) for name, others in graph.items()}
    while ends := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in ends:
            del graph[name]
    # What is left reaches a circle or lies on one; those that nobody left imports only reach it.
    while begins := graph.keys() - set().union(*graph.values(), set()):
        for name in begins:
            del graph[name]
    return [sorted(graph)] if graph else []


def test_no_files_import_each_other_in_a_circle() -> None:
    # The package itself names the types of its public API, and imports a room when it is first used.
    graph = {name: imports_of(name) for name in modules() if name}
    assert len(graph) > 200 and "model.predictor" in graph["training.train"] | graph["evaluation.run"]
    assert circles(graph) == []


def test_a_circle_is_found_and_what_only_leads_to_it_is_not() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def untyped_parameters() -> set[str]:
    """Return the parameters of public functions and methods whose type is `Any`, alone or beside others."""

    def functions(body: list[ast.stmt], within: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from functions(node.body, f"{within}.{node.name}")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                called = node.name in ("__init__", "__call__")
                if called or not node.name.startswith("_"):
                    yield f"{within}.{node.name}", node

    names = set()
    for module, (_, tree) in modules().items():
        for name, function in functions(tree.body, module):
            for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
                parts = [each.annotation]
                while isinstance(parts[-1], ast.BinOp):
                    union = parts.pop()
                    parts = [*parts, union.right, union.left]
                if any(isinstance(part, ast.Name) and part.id == "Any" for part in parts):
                    names.add(f"{name} {each.arg}")
    return names


def test_no_public_function_takes_just_anything() -> None:
    names = untyped_parameters()
    assert names - UNTYPED.keys() == set(), "name the type, or the reason in UNTYPED"
    assert UNTYPED.keys() - names == set(), "these are typed now: take them from UNTYPED"


@pytest.mark.parametrize("room", ["cli", "grids", "configs", "common", "model", "production", "forecast", "evaluation"])
def test_every_room_says_what_it_is(room: str) -> None:
    for name, (path, tree) in modules().items():
        if name == room or name.startswith(f"{room}."):
            assert ast.get_docstring(tree), f"{path} does not say what it is"


def _annotations(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """Return the types of a function's parameters, or of a class's fields, properties and parameters."""
    if isinstance(node, ast.ClassDef):
        types = {ast.unparse(n.target): ast.unparse(n.annotation) for n in node.body if isinstance(n, ast.AnnAssign)}
        for method in (n for n in node.body if isinstance(n, ast.FunctionDef)):
            types.setdefault(method.name, ast.unparse(method.returns) if method.returns else "")
            types |= _annotations(method) if method.name == "__init__" else {}
        return types
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return {each.arg: ast.unparse(each.annotation) if each.annotation else "" for each in every}


def _described(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each parameter that a docstring lists, with the names of classes in its type."""
    for section in re.findall(r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\w+\n---|\Z)", text, re.MULTILINE | re.DOTALL):
        for names, kind in re.findall(r"^([a-z_*][\w, *]*) : (.+)$", section, re.MULTILINE):
            for name in re.findall(r"\w+", names):
                yield name, set(re.findall(r"\b[A-Z]\w+\b", kind)) - {"None"}


def _names_within(node: ast.ClassDef) -> set[str]:
    """Return the names of attributes and parameters that a class's methods use."""
    return {n.attr if isinstance(n, ast.Attribute) else n.arg for n in ast.walk(node) if isinstance(n, NAMED)}


def test_docstrings_name_parameters_and_classes_as_the_code_does() -> None:
    aliases = {
        node.targets[0].id: ast.unparse(node.value)
        for _, tree in modules().values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    listed, wrong = 0, []
    for module, (_, tree) in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            types = _annotations(node)
            for name, classes in _described(ast.get_docstring(node) or ""):
                listed += 1
                named = set(re.findall(r"\w+", types.get(name, "")))
                named |= {word for alias in named for word in re.findall(r"\w+", aliases.get(alias, ""))}
                known = name in types or (
                    isinstance(node, ast.ClassDef) and (node.bases or name in _names_within(node))
                )
                if not known or (name in types and classes - named):
                    wrong.append(f"{module}.{node.name}: {name}: {types.get(name)}")
    assert listed > 1000 and wrong == []


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function of the package, methods and those within others too, by module and name."""
    for module, (_, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}", node


def test_a_function_has_at_most_sixty_lines() -> None:
    long = {name for name, node in functions() if (node.end_lineno or 0) - node.lineno + 1 > LINES}
    assert long - LONGER.keys() == set(), "cut it into steps, or name the reason in LONGER"
    assert LONGER.keys() - long == set(), "these are short now: take them from LONGER"


def is_called_by_click(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a function is a command, to which click hands every option by its name."""
    return any(ast.unparse(decorator).partition("(")[0].endswith(".command") for decorator in node.decorator_list)


def test_a_function_takes_at_most_seven_arguments() -> None:
    many = set()
    for name, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        taken = [each for each in given if each.arg not in ("self", "cls")]
        if len(taken) > ARGUMENTS and not is_called_by_click(node):
            many.add(name)
    assert many == set(), "what belongs together is one dataclass"


def test_no_variable_bears_a_name_that_says_nothing() -> None:
    empty = {"found", "kept", "told"}
    bound = set()
    for module, (_, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                name = node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            else:
                continue
            if name in empty:
                bound.add(f"{module}:{node.lineno} {name}")
    assert bound == set(), "what is it: scores, an estimate, neighbours, matches?"
