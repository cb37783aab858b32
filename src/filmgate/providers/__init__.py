"""The providers: every module of this folder that has a `SPEC` is one."""

from importlib import import_module
from pkgutil import iter_modules

from filmgate.ports.provider import Registry, Spec


def registry() -> Registry:
    """Return every provider by its name, in order. Importing one loads nothing heavy."""
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    specs = [module.SPEC for module in modules if isinstance(getattr(module, "SPEC", None), Spec)]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}
