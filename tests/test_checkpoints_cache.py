"""Model files from URLs: from a server on this machine, which may fail in every way."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posehg.checkpoints import cache
from posehg.checkpoints.cache import Address
from posehg.errors import NotAvailable, UsageError
from tests.hub_server import HubServer, serving

CONTENT = np.random.default_rng(7).bytes(300_007)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSEHG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def address(server: HubServer, home: Path) -> Address:
    return Address.parse(f"{server.put('/x/hg.pth', CONTENT)}?token=SECRET#sha256={DIGEST}")


def refusal(address: Address) -> str:
    """The sentence that names the address without its secrets; no file is left."""
    with pytest.raises(NotAvailable) as caught:
        cache.download(address)
    sentence = str(caught.value)
    assert str(address) in sentence
    assert sentence.isprintable()
    assert "SECRET" not in sentence + caught.value.hint
    assert not address.is_verified()
    assert cache.downloaded() == []
    return sentence


@pytest.mark.parametrize("place", ["https://a.org/x/hg.pth?raw=1", "http://a.org:8000/hg.pth", "http://[::1]/hg.pth"])
def test_an_address_ends_in_its_hash(place: str) -> None:
    assert Address.parse(f"{place}#sha256={DIGITS.upper()}") == Address(place, DIGITS)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.org/hg-ce125879.pth?token=SECRET",
        "https://a.org/hg.pth#sha256=ce125879",
        f"https://user:SECRET@a.org/x#sha256={DIGITS}",
        f"https://\u2100 .com/x#sha256={DIGITS}",
        "https://",
    ],
)
def test_an_address_without_a_usable_hash_is_refused_and_shows_no_secret(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert "SECRET" not in str(caught.value) + caught.value.hint
    assert "#sha256=" in caught.value.hint


@given(
    st.text(st.characters(codec="utf-8"), max_size=300) | st.sampled_from(["../x", "..%2Fx", "..%5Cx", "%2e%2e", ""])
)
def test_no_address_leads_out_of_its_folder(name: str) -> None:
    try:
        file = Address.parse(f"https://a.org/{name}#sha256={DIGITS}").file
    except UsageError:
        return
    assert file.parent == cache.home() / "downloads" / DIGITS
    assert file.name
    assert not file.name.startswith(".")
    assert not {"/", "\\"} & set(file.name)


def test_the_cache_is_where_the_user_or_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POSEHG_HOME": "/here", "XDG_CACHE_HOME": "/xdg", "LOCALAPPDATA": "/local"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "linux")
    assert cache.home() == Path("/here")
    monkeypatch.setenv("POSEHG_HOME", "")
    assert cache.home() == Path("/xdg/posehg")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache.home() == Path.home() / ".cache" / "posehg"
    monkeypatch.setattr("sys.platform", "win32")
    assert cache.home() == Path("/local/posehg")


def test_a_file_is_verified_and_kept_without_a_word(
    server: HubServer, address: Address, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not address.is_verified()
    file = cache.download(address)
    assert file.read_bytes() == CONTENT
    assert file.name == "hg.pth"
    assert address.is_verified()
    assert cache.downloaded() == [file]
    assert not [path for path in home.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert capfd.readouterr() == ("", "")


def test_the_first_digits_of_a_hash_are_verified_too(server: HubServer, home: Path) -> None:
    refusal(Address(server.put("/hg.pth", CONTENT), "01234567"))
    first, second = (Address(server.put(f"/{owner}/hg.pth", CONTENT), DIGEST[:8]) for owner in ("ann", "eve"))
    assert cache.download(first).read_bytes() == CONTENT
    assert not second.is_verified()  # a few digits could be those of another file


def test_a_file_that_is_damaged_on_the_way_or_later_is_not_used(server: HubServer, address: Address) -> None:
    server.poison = True
    assert DIGEST in refusal(address)
    server.poison, server.drop = False, 200_000
    refusal(address)
    file = cache.download(address)
    file.write_bytes(CONTENT[:-1] + b"?")
    assert not address.is_verified()
    assert cache.download(address).read_bytes() == CONTENT


def test_what_makes_a_download_fail_is_named(server: HubServer, address: Address, home: Path) -> None:
    gone = Address.parse(f"{server.address}/gone.pth?token=SECRET#sha256={DIGEST}")
    assert "404" in refusal(gone)
    server.broken = True
    assert "500" in refusal(address)
    server.broken, server.html = False, True
    refusal(address)
    refusal(Address.parse(f"http://127.0.0.1:9/x.pth#sha256={DIGEST}"))
    shutil.rmtree(home, ignore_errors=True)
    home.write_text("a file")
    assert str(home) in refusal(address)
