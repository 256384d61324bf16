"""The user's cache is left alone, save for compiled code, which takes long to make again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vdmbench.user_cache import user_cache, writable


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    compiled = writable(user_cache() / "numba")
    with pytest.MonkeyPatch.context() as patch:
        if compiled is not None:
            patch.setenv("NUMBA_CACHE_DIR", str(compiled))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
