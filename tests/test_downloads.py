"""Model files from addresses: from a server on this machine, which may fail in every way."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from posehg.errors import NotAvailable
from posehg.hub import addresses, downloads
from posehg.hub.addresses import Address
from posehg.hub.files import Damaged
from tests.hub_server import HubServer, serving

CONTENT = np.random.default_rng(7).bytes(300_007)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


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
    return addresses.parse(f"{server.put('/x/hg.pth', CONTENT)}#sha256={DIGEST}")


def left(home: Path) -> list[str]:
    """The files that could be taken for a model."""
    return [file.name for file in home.rglob("*") if file.is_file() and not file.name.startswith(".")]


def refusal(address: Address) -> NotAvailable:
    with pytest.raises(NotAvailable) as caught:
        downloads.fetch(address)
    assert str(caught.value).startswith(address.url)
    assert downloads.cached(address) is None
    return caught.value


def test_a_file_is_fetched_once(server: HubServer, address: Address) -> None:
    assert downloads.cached(address) is None
    path = downloads.fetch(address)
    assert path.read_bytes() == CONTENT
    assert path.name == "hg.pth"
    assert downloads.fetch(address) == downloads.cached(address) == path
    assert len(server.requests) == 1


def test_what_was_fetched_is_listed_with_its_hash(server: HubServer, address: Address) -> None:
    assert downloads.listed() == []
    path = downloads.fetch(address)
    assert downloads.listed() == [downloads.Download(path, address.url, DIGEST)]


def test_the_first_digits_of_a_hash_are_checked_too(server: HubServer, home: Path) -> None:
    right = addresses.parse(server.put(f"/hg-{DIGEST[:8]}.pth", CONTENT))
    assert downloads.fetch(right).read_bytes() == CONTENT
    assert [one.sha256 for one in downloads.listed()] == [DIGEST]
    wrong = addresses.parse(server.put("/hg-01234567.pth", CONTENT))
    assert f"its sha256 is {DIGEST}, not 01234567…." in str(refusal(wrong))


def test_a_file_with_another_hash_is_not_kept(server: HubServer, address: Address, home: Path) -> None:
    server.poison = True
    assert "is not the file meant" in str(refusal(address))
    assert left(home) == []
    assert not list(home.rglob("*.part"))
    server.poison = False
    assert downloads.fetch(address).read_bytes() == CONTENT


def test_a_download_that_broke_off_is_gone_on_with(server: HubServer, address: Address, home: Path) -> None:
    server.drop = 200_000
    refused = refusal(address)
    assert "cut short" in str(refused)
    assert "goes on" in refused.hint
    assert left(home) == []
    assert downloads.fetch(address).read_bytes() == CONTENT
    first, second = server.requests
    assert first.range is None
    assert second.range == "bytes=200000-"


def test_from_the_beginning_where_the_server_cannot_go_on(server: HubServer, address: Address) -> None:
    server.drop, server.ranges = 200_000, False
    refusal(address)
    assert downloads.fetch(address).read_bytes() == CONTENT


def test_a_part_of_another_file_does_not_become_one(server: HubServer, address: Address) -> None:
    server.drop, server.poison = 200_000, True
    refusal(address)
    server.poison = False
    assert "is not the file meant" in str(refusal(address))
    assert downloads.fetch(address).read_bytes() == CONTENT
    assert server.requests[-1].range is None


def test_all_of_it_there_but_for_its_name_takes_no_more_bytes(server: HubServer, address: Address) -> None:
    path = downloads.fetch(address)
    path.rename(path.with_name(".hg.pth.part"))
    assert downloads.fetch(address).read_bytes() == CONTENT
    assert server.requests[-1].range == f"bytes={len(CONTENT)}-"


def test_a_server_that_sends_another_part_is_refused(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_first", lambda response: 3)
    path = downloads.fetch(address)
    path.write_bytes(CONTENT[:7])
    path.rename(path.with_name(".hg.pth.part"))
    assert "another part" in str(refusal(address))


def test_a_web_page_is_no_model(server: HubServer, address: Address, home: Path) -> None:
    server.html = True
    assert "is a web page, not a model" in str(refusal(address))
    assert left(home) == []


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_is_not_kept(
    server: HubServer, address: Address, home: Path, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LIMIT", 100_000)
    if not announced:
        real = downloads.web.opened

        def opened(*arguments: object, **options: object) -> object:
            response = real(*arguments, **options)  # type: ignore[arg-type]
            response.length = None
            return response

        monkeypatch.setattr(downloads.web, "opened", opened)
    assert "is larger than" in str(refusal(address))
    assert left(home) == []
    assert not list(home.rglob("*.part"))


def test_a_file_that_is_not_there_is_named(server: HubServer, home: Path) -> None:
    address = addresses.parse(f"{server.address}/gone.pth#sha256={DIGEST}")
    assert "the server answers 404 Not Found" in str(refusal(address))


def test_a_server_that_is_not_there_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    assert "Connection refused" in str(refusal(addresses.parse(f"http://127.0.0.1:9/x.pth#sha256={DIGEST}")))


def test_a_full_disk_is_told_and_not_made_fuller(
    server: HubServer, address: Address, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, content: object) -> int:
            if self.tell() >= 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(content)  # type: ignore[arg-type]

    monkeypatch.setattr(downloads, "open", Full, raising=False)
    refused = refusal(address)
    assert "there is no room left in" in str(refused)
    assert "POSEHG_HOME" in refused.hint
    assert not list(home.rglob("*.part"))


def test_a_folder_that_cannot_be_made_is_told(address: Address, home: Path) -> None:
    home.write_text("a file")
    assert "cannot be kept in" in str(refusal(address))


def test_several_processes_that_want_it_fetch_it_once(server: HubServer, address: Address) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(downloads.fetch(address))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in found] == [True] * 5
    assert len(server.requests) == 1


def test_it_is_deleted_with_what_is_left_of_a_broken_download(server: HubServer, address: Address, home: Path) -> None:
    downloads.fetch(address)
    assert downloads.remove(address) >= len(CONTENT)
    assert downloads.cached(address) is None
    assert downloads.remove(address) == 0
    server.drop = 200_000
    refusal(address)
    assert downloads.remove(address) >= 200_000
    assert not list(home.rglob("*.part"))


# ---- what lies there and what comes is not believed -----------------------------------------------------------------


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_file_that_was_changed_since_is_not_used_but_fetched_anew(server: HubServer, address: Address) -> None:
    path = downloads.fetch(address)
    spoil(path)
    with pytest.raises(Damaged, match=f"not {DIGEST}"):
        downloads.cached(address)
    assert downloads.fetch(address).read_bytes() == CONTENT
    assert downloads.cached(address) == path
    assert len(server.requests) == 2


def test_whose_hash_has_few_digits_shares_its_place_with_no_other_address(server: HubServer, home: Path) -> None:
    name = f"hg-{DIGEST[:8]}.pth"
    first, second = (addresses.parse(server.put(f"/{who}/{name}", CONTENT)) for who in ("ann", "eve"))
    path = downloads.fetch(second)
    assert downloads.cached(first) is None
    assert downloads.fetch(first) != path
    assert {one.name for one in downloads.listed()} == {first.url, second.url}
    assert downloads.remove(first)
    assert downloads.cached(second) == path


def test_whose_hash_is_whole_is_the_same_from_everywhere(server: HubServer, home: Path) -> None:
    first, second = (
        addresses.parse(f"{server.put(f'/{who}/hg.pth', CONTENT)}#sha256={DIGEST}") for who in ("ann", "eve")
    )
    assert downloads.fetch(first) == downloads.cached(second)


@pytest.mark.parametrize("whole", [True, False])
def test_with_few_digits_no_redirection_may_be_overheard(server: HubServer, home: Path, whole: bool) -> None:
    name = f"hg-{DIGEST[:8]}.pth"
    server.moved[f"/{name}"] = f"http://models.invalid/{name}"
    address = addresses.parse(f"{server.address}/{name}" + f"#sha256={DIGEST}" * whole)
    refused = refusal(address)
    assert ("leads on to http://models.invalid" in str(refused)) is not whole
    assert ("#sha256=" in refused.hint) is not whole


def test_a_redirection_that_may_not_be_overheard_is_followed(server: HubServer, home: Path) -> None:
    name = f"hg-{DIGEST[:8]}.pth"
    server.moved[f"/{name}"] = server.put(f"/there/{name}", CONTENT)
    assert downloads.fetch(addresses.parse(f"{server.address}/{name}")).read_bytes() == CONTENT


def test_what_is_secret_in_an_address_is_neither_told_nor_written_down(server: HubServer, home: Path) -> None:
    right = f"{server.put('/hg.pth', CONTENT)}?token=SECRET"
    address = addresses.parse(f"{right}#sha256={DIGEST}")
    assert "SECRET" not in str(address)
    downloads.fetch(address)
    assert "SECRET" not in str(downloads.listed())
    assert not [file for file in home.rglob("*") if file.is_file() and b"SECRET" in file.read_bytes()]
    gone = addresses.parse(f"{server.address}/gone.pth?token=SECRET#sha256={DIGEST}")
    for attempt in (True, False):
        server.html = attempt
        with pytest.raises(NotAvailable) as caught:
            downloads.fetch(gone)
        assert "SECRET" not in str(caught.value)
        assert f"{server.address}/gone.pth" in str(caught.value)


def test_a_server_says_nothing_to_the_terminal(server: HubServer, home: Path) -> None:
    server.reason = "Gone\x1b[31m"
    refused = str(refusal(addresses.parse(f"{server.address}/gone.pth#sha256={DIGEST}")))
    assert refused.isprintable()
    assert "404 Gone" in refused


@pytest.mark.parametrize("name", [".origin.json", ".hg.pth.part", "hg.pth"])
def test_no_link_is_followed_when_files_are_written(address: Address, tmp_path: Path, name: str) -> None:
    path = downloads.fetch(address)
    downloads.remove(address)
    path.parent.mkdir()
    mine = tmp_path / "mine"
    mine.write_bytes(b"precious")
    (path.parent / name).symlink_to(mine)
    assert downloads.fetch(address).read_bytes() == CONTENT
    assert mine.read_bytes() == b"precious"
    assert not path.is_symlink()


def test_nor_one_in_a_folders_place(address: Address, tmp_path: Path) -> None:
    path = downloads.fetch(address)
    downloads.remove(address)
    (tmp_path / "mine").mkdir()
    path.parent.symlink_to(tmp_path / "mine")
    assert "is a link" in str(refusal(address))
    assert list((tmp_path / "mine").iterdir()) == []
