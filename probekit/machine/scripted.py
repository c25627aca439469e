"""What torch.jit has made of functions and modules: what they compute, and what they hold besides weights."""

from __future__ import annotations

import re
from typing import Any

import torch

__all__ = ["attributes", "graph"]


def graph(script: Any) -> str:
    """What a scripted or traced module or function computes, without where it was written."""
    text = str(getattr(script, "inlined_graph", ""))
    return re.sub(r"\.___torch_mangle_\d+", "", re.sub(r" # .*:\d+:\d+$", "", text, flags=re.MULTILINE))


def attributes(module: torch.jit.ScriptModule) -> dict[str, Any]:
    """Numbers and tensors that a scripted module has, besides weights and buffers, and constants in its code."""
    held = (module.named_parameters(recurse=False), module.named_buffers(recurse=False), module.named_children())
    state = {"training", *(name for names in held for name, _ in names)}
    text = str(getattr(module, "inlined_graph", ""))
    names = {n for n in re.findall(r'prim::GetAttr\[name="([^"]+)"\]', text) if module._c.hasattr(n)} - state
    found = {name: module._c.getattr(name) for name in names}
    constants = dict(module.code_with_constants[1].const_mapping) if text else {}
    scripts = (torch._C.ScriptObject, torch._C.ScriptModule)
    return {k: v for k, v in (found | constants).items() if not isinstance(v, scripts)}
