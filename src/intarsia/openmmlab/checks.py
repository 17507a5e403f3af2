"""Small checks and conversions of MMCV and MMEngine: kinds of values, versions, what is installed."""

from __future__ import annotations

import functools
import importlib
import itertools
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Function = TypeVar('Function', bound=Callable[..., Any])
Kinds = type | tuple[type, ...]

VERSION = re.compile(
    r'\s*v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)'
    r'(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_number>\d*))?'
    r'(?:(?:[-_.]?(?:post|rev|r)[-_.]?|-)(?P<post>\d+))?'
    r'(?P<dev>[-_.]?dev[-_.]?\d*)?(?:\+[\w.-]+)?\s*',
    re.IGNORECASE,
)
STAGES = {'a': -3, 'b': -2, 'c': -1, 'p': -1, 'r': -1}
"""Place in the order of versions by the first letter: alpha, beta, candidate; development is before, release after."""


def is_str(x: object) -> bool:
    """Whether something is a string."""
    return isinstance(x, str)


def is_seq_of(seq: object, expected_type: Kinds, seq_type: type | None = None) -> bool:
    """Whether something is a sequence (of that type) with items of a type."""
    kind: Any = seq_type or Sequence
    return isinstance(seq, kind) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: object, expected_type: Kinds) -> bool:
    """Whether something is a list of items of a type."""
    return is_seq_of(seq, expected_type, list)


def is_tuple_of(seq: object, expected_type: Kinds) -> bool:
    """Whether something is a tuple of items of a type."""
    return is_seq_of(seq, expected_type, tuple)


def iter_cast(inputs: Iterable[Any], dst_type: type, return_type: Callable[[Any], Any] | None = None) -> Any:
    """Each item as another type, in a collection of ``return_type``; an iterator if that is None.

    Raises:
        TypeError: The first is not iterable, or the second no type.
    """
    if not isinstance(inputs, Iterable):
        raise TypeError(f'inputs are iterable, not {type(inputs).__name__}')
    if not isinstance(dst_type, type):
        raise TypeError(f'"dst_type" is a type, not {dst_type!r}')
    cast = map(dst_type, inputs)
    return cast if return_type is None else return_type(cast)


def list_cast(inputs: Iterable[Any], dst_type: type) -> list[Any]:
    """A list of the items as another type."""
    return iter_cast(inputs, dst_type, list)


def tuple_cast(inputs: Iterable[Any], dst_type: type) -> tuple[Any, ...]:
    """A tuple of the items as another type."""
    return iter_cast(inputs, dst_type, tuple)


def slice_list(in_list: Sequence[Any], lens: int | list[int]) -> list[Any]:
    """Parts of a list, all of one length or of given lengths.

    Raises:
        TypeError: ``lens`` is neither.
        ValueError: The lengths do not make up the list.
    """
    if not isinstance(lens, (int, list)):
        raise TypeError(f'lengths are a number or a list of numbers, not {lens!r}')
    lengths = [lens] * (len(in_list) // lens) if isinstance(lens, int) else lens
    if sum(lengths) != len(in_list):
        raise ValueError(f'a list of {len(in_list)} cannot be cut into {lens}')
    ends = list(itertools.accumulate(lengths))
    return [in_list[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def concat_list(in_list: Iterable[Iterable[Any]]) -> list[Any]:
    """One list of several."""
    return list(itertools.chain.from_iterable(in_list))


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """A function that repeats a single value ``n`` times, and leaves what is iterable as it is."""
    return lambda x: x if isinstance(x, Iterable) else (x,) * n


to_1tuple, to_2tuple, to_3tuple, to_4tuple = map(to_ntuple, (1, 2, 3, 4))


def apply_to(data: Any, expr: Callable[[Any], bool], apply_func: Callable[[Any], Any]) -> Any:
    """The same nest of dicts, lists and tuples, with what ``expr`` is true for replaced by ``apply_func`` of it."""
    if isinstance(data, Mapping):
        made: Any = type(data)()
        for key, value in data.items():
            made[key] = apply_to(value, expr, apply_func)
        return made
    if isinstance(data, (list, tuple)):
        values = [apply_to(value, expr, apply_func) for value in data]
        return type(data)(*values) if hasattr(data, '_fields') else type(data)(values)
    return apply_func(data) if expr(data) else data


def has_method(obj: object, method: str) -> bool:
    """Whether an object has a method of that name."""
    return callable(getattr(obj, method, None))


def is_method_overridden(method: str, base_class: type, derived_class: Any) -> bool:
    """Whether a class, or the class of an object, has a method other than that of its base.

    Raises:
        TypeError: The base is not a class.
    """
    if not isinstance(base_class, type):
        raise TypeError(f'the base is a class, not {base_class!r}')
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(derived, method) != getattr(base_class, method)


def import_modules_from_strings(imports: str | list[str] | None, allow_failed_imports: bool = False) -> Any:
    """Import a module, or a list of them.

    Args:
        imports: Dotted names.
        allow_failed_imports: Whether those that cannot be imported give None and a warning.

    Raises:
        ImportError: One of them cannot be imported.
        TypeError: These are not names.
    """
    if not imports:
        return None
    if isinstance(imports, str):
        return import_modules_from_strings([imports], allow_failed_imports)[0]
    if not is_list_of(imports, str):
        raise TypeError(f'names of modules are a string or a list of strings, not {imports!r}')
    return [_import(name, allow_failed_imports) for name in imports]


def _import(name: str, may_fail: bool) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if not may_fail:
            raise ImportError(f'{name} cannot be imported: {error}', name=name) from error
        warnings.warn(f'{name} cannot be imported and is left out: {error}', stacklevel=3)
        return None


def check_prerequisites(
    prerequisites: str | Sequence[str],
    checker: Callable[[str], bool],
    msg_tmpl: str = '"{}" must be installed for "{}"',
) -> Callable[[Function], Function]:
    """Decorator of functions that need something.

    Args:
        prerequisites: What is needed.
        checker: Tells whether it is there.
        msg_tmpl: Text of the RuntimeError otherwise, with places for what is missing and for the function.
    """
    needed = [prerequisites] if isinstance(prerequisites, str) else prerequisites

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            missing = [each for each in needed if not checker(each)]
            if missing:
                raise RuntimeError(msg_tmpl.format(', '.join(missing), function.__name__))
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorate


def requires_package(prerequisites: str | Sequence[str]) -> Callable[[Function], Function]:
    """Decorator of functions that need Python packages."""
    return check_prerequisites(prerequisites, is_importable)


def requires_executable(prerequisites: str | Sequence[str]) -> Callable[[Function], Function]:
    """Decorator of functions that need commands."""
    return check_prerequisites(prerequisites, lambda command: shutil.which(command) is not None)


def is_importable(package: str) -> bool:
    """Whether a package can be imported; it is."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def deprecated_api_warning(name_dict: Mapping[str, str], cls_name: str | None = None) -> Callable[[Function], Function]:
    """Decorator of functions whose arguments had other names: these are accepted with a warning.

    Args:
        name_dict: Old name -> new name.
        cls_name: Class of a method, for the warning.

    A call with both names raises ValueError.
    """

    def decorate(function: Function) -> Function:
        name = f'{cls_name}.{function.__name__}' if cls_name else function.__name__

        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            for old, new in name_dict.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise ValueError(f"{name}: '{old}' is an old name of '{new}', and both are given")
                warnings.warn(f"{name}: '{old}' is called '{new}' now", DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renamed  # type: ignore[return-value]

    return decorate


def deprecated_function(since: str, removed_in: str, instructions: str) -> Callable[[Function], Function]:
    """Decorator of functions that will go: calling them warns, and says what to do (``instructions``)."""

    def decorate(function: Function) -> Function:
        text = f'{function.__module__}.{function.__name__} is deprecated since {since} and gone in {removed_in}'

        @functools.wraps(function)
        def warned(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(f'{text}. Please {instructions}.', DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warned  # type: ignore[return-value]

    return decorate


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """A version that can be compared: ``length`` numbers, then stage and its number.

    ``'1.7.2'`` is ``(1, 7, 2, 0, 0, 0)``, ``'2.0.0rc4'`` is ``(2, 0, 0, 0, -1, 4)``.

    Raises:
        ValueError: It is no version.
    """
    found = VERSION.fullmatch(version_str)
    if found is None:
        raise ValueError(f'{version_str!r} is no version')
    release = [int(number) for number in found['release'].split('.')][:length]
    stage = (0, 0)
    if found['pre']:
        stage = STAGES[found['pre'][0].lower()], int(found['pre_number'] or 0)
    elif found['dev']:
        stage = -4, 0
    elif found['post']:
        stage = 1, int(found['post'])
    return (*release, *[0] * (length - len(release)), *stage)


def get_git_hash(fallback: str = 'unknown', digits: int | None = None) -> str:
    """The commit that is checked out in the working directory, or its first ``digits``; ``fallback`` without git."""
    try:
        command = ['git', 'rev-parse', 'HEAD']
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return fallback
    return answer.stdout.strip()[:digits]


def is_jit_tracing() -> bool:
    """Whether a model is being traced."""
    import torch

    return torch.jit.is_tracing()


def collect_env() -> dict[str, Any]:
    """Versions and devices, as the old toolboxes name them."""
    from intarsia.engine.environment import environment

    found = environment()
    gpus = {f'GPU {i}': name for i, name in enumerate(found['gpus'])}
    return {
        'sys.platform': sys.platform,
        'Python': sys.version.replace('\n', ''),
        'CUDA available': bool(gpus),
        **gpus,
        'PyTorch': found['torch'],
        'CUDA': found['cuda'],
        'OpenCV': found['opencv-python-headless'],
        'NumPy': found['numpy'],
        'Intarsia': found['intarsia'],
    }
