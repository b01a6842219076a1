"""Where an application is made, found in the source: `wsgi:app` may be one of a package's factory.

FLASK_APP names the module that has the application. Its name, its folder and its config/ are those
of the module that makes it. Nothing is run or imported for that.
"""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

# What Flask looks for where FLASK_APP names a module alone.
APPLICATIONS = ("app", "application", "create_app", "make_app")
MOST_STEPS = 20  # modules may import each other in a circle


class Module(NamedTuple):
    """A module by its import name, and its file."""

    name: str
    path: Path

    @property
    def package(self) -> str:
        """The package that its relative imports begin at."""
        if self.path.stem == "__init__":
            return self.name
        return self.name.rpartition(".")[0]

    @property
    def top(self) -> Path:
        """The folder that it is imported from."""
        depth = len(self.package.split(".")) if self.package else 0
        return self.path.parents[depth]


def maker(module: Module, attribute: str) -> Module:
    """The module that makes the application which `module` has as `attribute`; "" for any name.

    It is `module` itself if its source does not say.
    """
    names = names_in(module)
    wanted = attribute.partition("(")[0].strip()  # of "create_app('test')"
    for name in [wanted] if wanted else APPLICATIONS:
        if name in names:
            return defined(module, name, MOST_STEPS) or module
    return module


def defined(module: Module, dotted: str, steps: int) -> Module | None:
    """The module that has the function `dotted`, or the call that makes the object.

    None for a class and for what the source does not say.
    """
    first, _, rest = dotted.partition(".")
    meaning = names_in(module).get(first)
    if meaning is None or isinstance(meaning, ast.ClassDef) or not steps:
        return None
    if isinstance(meaning, str):
        imported, _, name = f"{meaning}.{rest}".rstrip(".").rpartition(".")
        other = find_module(imported)
        return defined(other, name, steps - 1) if other else None
    if isinstance(meaning, ast.expr):
        made_by = defined(module, called(meaning), steps - 1)
        return made_by or module
    return module


def names_in(module: Module) -> dict[str, str | ast.AST]:
    """What the names of a module mean: a dotted name that is imported, a definition or a value."""
    try:
        tree = ast.parse(module.path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[str, str | ast.AST] = {}
    for statement in statements(tree):
        found.update(meanings(module, statement))
    return found


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a module, also those under `if`, `try` and `with`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from statements(child)


def meanings(module: Module, statement: ast.stmt) -> Iterator[tuple[str, str | ast.AST]]:
    """The names that `statement` gives a meaning."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name, statement
    elif isinstance(statement, ast.Import):
        yield from imported_modules(statement)
    elif isinstance(statement, ast.ImportFrom):
        base = imported_from(module, statement)
        for each in statement.names:
            yield each.asname or each.name, f"{base}.{each.name}"
    elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
        for name in targets(statement):
            yield name, statement.value


def imported_modules(statement: ast.Import) -> Iterator[tuple[str, str]]:
    """What `import a.b` and `import a.b as c` bind: the first package, or the module."""
    for each in statement.names:
        if each.asname:
            yield each.asname, each.name
        else:
            first = each.name.partition(".")[0]
            yield first, first


def targets(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    """The plain names that an assignment binds."""
    found = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in found if isinstance(target, ast.Name)]


def imported_from(module: Module, statement: ast.ImportFrom) -> str:
    """The full name of the module that `from ... import` names."""
    if not statement.level:
        return statement.module or ""
    parents = module.package.split(".")
    base = parents[: len(parents) - statement.level + 1]
    if statement.module:
        base.append(statement.module)
    return ".".join(base)


def called(value: ast.expr) -> str:
    """The dotted name of what `value` calls, or is; "" for another expression."""
    function = value.func if isinstance(value, ast.Call) else value
    text = ast.unparse(function)
    return text if re.fullmatch(r"[\w.]+", text) else ""


def find_module(name: str) -> Module | None:
    """The module called `name`, which is not imported, nor is its package."""
    first, *rest = name.split(".")
    spec = find_spec(first) if first else None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in rest:
        below = path.parent / part
        path = below.with_suffix(".py")
        if (below / "__init__.py").is_file():
            path = below / "__init__.py"
    return Module(name, path) if path.is_file() else None


def module_of_file(path: Path) -> Module:
    """The module in the file at `path`, by its name in the packages around it."""
    path = path.resolve()
    names = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return Module(".".join(names), path)
