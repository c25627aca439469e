"""What the code of a function is, whatever its comments and place in the file and, mostly, the version of Python."""

from __future__ import annotations

import ast
import dis
import hashlib
import linecache
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

__all__ = ["Code", "of_function"]

# Of a syntax tree, what decides nothing, or is not the same in all versions of Python.
DROPPED = {"annotation", "returns", "type_comment", "type_params", "type_ignores", "kind", "ctx", "simple"}
MUTATORS = {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
MUTATORS |= {"setdefault", "update", "copy_", "fill_", "zero_"}
HAS_DOCSTRING = 0x4000000
DEEPEST = 12
READ = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
Chain = tuple[str, ...]
Import = tuple[str, int, tuple[str, ...]]
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Code:
    """A function's code, and the names by which it reaches what is outside it.

    Attributes
    ----------
    text : str
        The same of two functions if they are written alike, but for comments, docstrings, annotations and layout.
    reads : tuple of tuple of str
        Global names that are read, each followed by the attributes that are read of it.
    imports : tuple of (str, int, tuple of str)
        Modules imported inside: name, level, and the names taken from it, none for the module itself.
    binds, fills : frozenset of str
        Names outside the function that it binds anew, and those whose content it changes, if they are containers.
    own_reads, own_binds, own_fills : frozenset of str
        Attributes of its first argument that it reads, that it sets, and whose content it changes.
    """

    text: str
    reads: tuple[Chain, ...] = ()
    imports: tuple[Import, ...] = ()
    binds: frozenset[str] = frozenset()
    fills: frozenset[str] = frozenset()
    own_reads: frozenset[str] = frozenset()
    own_binds: frozenset[str] = frozenset()
    own_fills: frozenset[str] = frozenset()


def of_function(function: FunctionType) -> Code:
    """The code of a function: from its source where that is what runs, else from its bytecode."""
    code, filename = function.__code__, function.__code__.co_filename
    linecache.checkcache(filename)
    source = "".join(linecache.getlines(filename, function.__globals__))
    written = _functions_in(source, filename).get((code.co_qualname, _bytecode(code))) if source else None
    found = written or Code(f"bytecode {_bytecode(code)}")
    reads, imports, binds, fills = _names(code)
    own_reads, own_binds = _own(code)
    return replace(
        found,
        reads=reads,
        imports=imports,
        binds=binds,
        fills=found.fills | fills,
        own_reads=own_reads,
        own_binds=found.own_binds if written else own_binds,
    )


@lru_cache(maxsize=256)
def _functions_in(source: str, filename: str) -> Mapping[tuple[str, str], Code]:
    """Each function of a file by its name and bytecode: what is on disk now need not be what was imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compiled = compile(source, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    nodes: dict[tuple[int, str], list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            nodes.setdefault((_first_line(node), getattr(node, "name", "<lambda>")), []).append(node)
    found: dict[tuple[str, str], Code] = {}
    for code in _nested(compiled):
        node = _node(code, nodes.get((code.co_firstlineno, code.co_name), []))
        if node is not None:
            key, one = (code.co_qualname, _bytecode(code)), _of_source(node)
            # Two spellings of one bytecode, 2 and 1 + 1, do the same.
            found[key] = min(one, found.get(key, one), key=lambda c: c.text)
    return found


def _first_line(node: Function) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _nested(const)


def _node(code: CodeType, candidates: list[Function]) -> Function | None:
    """Which of the functions that begin in one line the code is: the innermost whose body it lies in."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    spans = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        # Instructions that stand for nothing written have no width.
        if None not in (line, end_line, column, end_column) and (line, column) != (end_line, end_column)
    ]
    around = []
    for node in candidates:
        body = node.body if isinstance(node, ast.Lambda) else node
        begin, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
        if spans and all(begin <= first and last <= end for first, last in spans):  # pyright: ignore[reportOperatorIssue]
            around.append((begin, node))
    return max(around, key=lambda pair: pair[0])[1] if around else None


def _of_source(node: Function) -> Code:
    # Defaults count by their values, and decorators by what they made of the function.
    arguments = node.args
    bare = ast.arguments(
        **{k: v for k, v in ast.iter_fields(arguments) if k not in ("defaults", "kw_defaults")},
        defaults=[],
        kw_defaults=[],
    )
    body = node.body if isinstance(node.body, list) else [ast.Return(node.body)]
    kind = "async" if isinstance(node, ast.AsyncFunctionDef) else "def"
    parameters = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    own = parameters[0] if parameters else ""
    fills, own_binds, own_fills = set(), set(), set()
    for child in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(child, ast.Attribute) and not isinstance(child.ctx, ast.Load) and _is(child.value, own):
            own_binds.add(child.attr)
        filled = _filled(child)
        if isinstance(filled, ast.Name):
            fills.add(filled.id)
        elif isinstance(filled, ast.Attribute) and _is(filled.value, own):
            own_fills.add(filled.attr)
    return Code(
        f"{kind} {_normal(bare)}: {_normal(body)}",
        fills=frozenset(fills - set(parameters)),
        own_binds=frozenset(own_binds),
        own_fills=frozenset(own_fills),
    )


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _filled(node: ast.AST) -> ast.expr | None:
    """What a node of the tree changes the content of: x of x[0] = 1 and x.append(1)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        return node.func.value
    return node.value if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) else None


def _normal(node: Any) -> str:
    """A syntax tree as text, without what decides nothing."""
    if isinstance(node, list):
        return f"[{', '.join(_normal(one) for one in node if not _is_idle(one))}]"
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        node = ast.Assign([node.target], node.value)
    if not isinstance(node, ast.AST):
        return repr(node)
    kept = [
        f"{name}={_normal(value)}"
        for name, value in ast.iter_fields(node)
        if name not in DROPPED and value != [] and (value is not None or isinstance(node, ast.Constant))
    ]
    return f"{type(node).__name__}({', '.join(kept)})"


def _is_idle(node: Any) -> bool:
    """Whether it is a statement that does nothing: a docstring, pass, or a bare annotation."""
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass) or (isinstance(node, ast.AnnAssign) and node.value is None)


@lru_cache(maxsize=4096)
def _bytecode(code: CodeType) -> str:
    """A hash of what the interpreter runs, without lines and docstrings."""
    consts = list(code.co_consts)
    documented = code.co_flags & HAS_DOCSTRING if sys.version_info >= (3, 13) else not code.co_name.startswith("<")
    if documented and consts and isinstance(consts[0], str):
        consts[0] = None
    shown = (
        code.co_code.hex(),
        [_constant(one) for one in consts],
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
        code.co_exceptiontable.hex(),
    )
    return hashlib.sha256(repr(shown).encode()).hexdigest()


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _bytecode(value)
    if isinstance(value, tuple | frozenset):
        items = [_constant(one) for one in value]
        # A set's order is another in another process.
        return f"{type(value).__name__} {sorted(items) if isinstance(value, frozenset) else items}"
    return f"{type(value).__name__} {value!r}"


@lru_cache(maxsize=4096)
def _names(code: CodeType) -> tuple[tuple[Chain, ...], tuple[Import, ...], frozenset[str], frozenset[str]]:
    """Global names that are read with the attributes read of them, imports, outer names that are bound anew, filled."""
    reads, imports, binds, fills = set(), set(), set(), set()
    for one in _nested(code):
        steps = list(dis.get_instructions(one))
        for at, step in enumerate(steps):
            if step.opname in READ:
                attributes = _following(steps[at + 1 : at + DEEPEST], ("LOAD_ATTR", "LOAD_METHOD"))
                reads.add((step.argval, *attributes))
                if set(attributes[:1]) & MUTATORS:
                    fills.add(step.argval)
            elif step.opname == "IMPORT_NAME":
                taken = steps[at - 1].argval or ()
                imports.add((step.argval, steps[at - 2].argval, tuple(taken)))
            elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
                step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in code.co_freevars
            ):
                binds.add(step.argval)
    return tuple(sorted(reads)), tuple(sorted(imports)), frozenset(binds), frozenset(fills)


@lru_cache(maxsize=4096)
def _own(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Attributes of the first argument that are read, and those that are set, of whatever."""
    reads, binds, before = set(), set(), None
    for step in dis.get_instructions(code):
        if step.opname == "STORE_ATTR":
            binds.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and before and before.opname.startswith("LOAD_FAST"):
            # Newer versions load two names in one step.
            loaded = before.argval[-1] if isinstance(before.argval, tuple) else before.argval
            if code.co_varnames[:1] == (loaded,):
                reads.add(step.argval)
        before = step
    return frozenset(reads), frozenset(binds)


def _following(steps: list[dis.Instruction], kinds: tuple[str, ...]) -> list[str]:
    found = []
    for step in steps:
        if step.opname not in kinds:
            break
        found.append(step.argval)
    return found
