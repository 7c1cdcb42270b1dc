"""What a user may call a model, and what is taken for what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posehg import checkpoints, hub
from posehg.errors import NotAvailable, PosehgError, UsageError
from posehg.hub import addresses, downloads, finding
from posehg.hub.addresses import Address
from posehg.hub.aliases import ALIASES
from posehg.hub.names import Bundled, Local, Repo, parse

DIGITS = "0123456789abcdef" * 4
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "repo"),
    [
        ("ann/toy", Repo("ann/toy")),
        ("ann/toy@main", Repo("ann/toy", "main")),
        (f"Ann-2/toy_v1.5@{COMMIT}", Repo("Ann-2/toy_v1.5", COMMIT)),
        ("ann/toy@refs/pr/7", Repo("ann/toy", "refs/pr/7")),
        ("hf://ann/toy@v2", Repo("ann/toy", "v2")),
    ],
)
def test_two_parts_are_a_repository_of_the_hub(name: str, repo: Repo) -> None:
    assert parse(name).place == repo


def test_what_exists_on_disk_wins() -> None:
    for name in ("ann/toy", "bearpaw-hg1"):
        Path(name).mkdir(parents=True)
        assert parse(name).place == Local(Path(name))


def test_a_prefix_asks_for_the_hubs_even_so() -> None:
    Path("ann/toy").mkdir(parents=True)
    assert parse("hf://ann/toy").place == Repo("ann/toy")


def test_no_folder_takes_the_place_of_the_default() -> None:
    Path("bundled").mkdir()
    for name in hub.NAMES:
        assert parse(name).place == Bundled(name)
        assert checkpoints.find(name) == hub.bundled_folder(name)


def test_a_path_is_found_as_it_was_given() -> None:
    Path("best.safetensors").touch()
    assert checkpoints.find("best.safetensors") == Path("best.safetensors")


@pytest.mark.parametrize(
    "name",
    ["nothing", "", "a/b/c", "/no/such", "./ann/toy", "../x", "~/toy", "ann/best.safetensors", "ann/x.pth", "a b/c"],
)
def test_what_is_no_name_and_not_there_is_refused_without_a_request(name: str) -> None:
    with pytest.raises(NotAvailable, match="There is no model at"):
        parse(name)


def test_a_slip_in_a_path_is_not_asked_of_the_hub() -> None:
    Path("runs").mkdir()
    with pytest.raises(NotAvailable) as caught:
        parse("runs/bst")
    assert "hf://runs/bst" in caught.value.hint


def test_a_name_that_is_nearly_one_is_told() -> None:
    with pytest.raises(NotAvailable) as caught:
        parse("bearpaw-hg9")
    assert "bearpaw-hg" in caught.value.hint


@pytest.mark.parametrize("name", ["hf://ann", "hf://ann/toy/best", "hf://@main", "ftp://a/b-0123abcd.pth", "https://"])
def test_a_scheme_without_sense_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse(name)


@given(st.text())
def test_no_name_does_harm(name: str) -> None:
    try:
        place = parse(name).place
    except PosehgError:
        return
    assert isinstance(place, Local | Repo | Bundled | Address)


@pytest.mark.parametrize("name", ALIASES)
def test_a_short_name_stands_for_one_file_for_ever_and_tells_its_licence(name: str) -> None:
    named = parse(name)
    assert isinstance(named.place, Address)  # or a repository at a commit
    assert len(named.place.digest) >= 8
    assert named.place.url.startswith("https://")
    assert named.licence


# ---- addresses ---------------------------------------------------------------------------------------------------


def test_the_hash_is_in_the_address() -> None:
    address = addresses.parse(f"https://a.org/x/hg.pth?raw=1#sha256={DIGITS.upper()}")
    assert address == Address("https://a.org/x/hg.pth?raw=1", DIGITS, "hg.pth")


def test_or_its_first_digits_are_in_the_name() -> None:
    address = addresses.parse("https://a.org/bearpaw_hg1-ce125879.pth")
    assert address == Address("https://a.org/bearpaw_hg1-ce125879.pth", "ce125879", "bearpaw_hg1-ce125879.pth")


@pytest.mark.parametrize(
    "text",
    [
        "https://a.org/hg.pth",
        "https://a.org/hg-ce12587.pth",  # 7 digits
        "https://a.org/hg-ce12587g.pth",
        "https://a.org/hg-ce125879/hg.pth",
        "https://a.org/hg-ce125879.pth#sha256=ce125879",  # what is given is not what was meant
        f"https://a.org/hg.pth#md5={DIGITS}",
        f"https://a.org/hg.pth#sha256={DIGITS}0",
    ],
)
def test_an_address_without_a_hash_is_refused_with_the_way_to_give_one(text: str) -> None:
    with pytest.raises(UsageError, match="hash") as caught:
        addresses.parse(text)
    assert "sha256=" in caught.value.hint


def test_over_http_anybody_could_meet_a_few_digits() -> None:
    with pytest.raises(UsageError, match="by https only"):
        addresses.parse("http://a.org/hg-ce125879.pth")
    assert addresses.parse(f"http://a.org/hg.pth#sha256={DIGITS}").digest == DIGITS


@pytest.mark.parametrize(
    "text",
    [
        f"https://[::1/x#sha256={DIGITS}",
        "https://\u2100.com/x-12345678.pth",
        f"https://a.org:x/x#sha256={DIGITS}",
        f"https://a.org:99999/x#sha256={DIGITS}",
        f"https://{'a' * 70}\xe4.org/x#sha256={DIGITS}",
    ],
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:SECRET@a.org/x#sha256={DIGITS}",
        f"https://SECRET@a.org/x#sha256={DIGITS}",
        "https://user:SECRET@a.org/x",
        "https://a.org/x?token=SECRET",
        "https://a.org/x?token=SECRET#sha256=SECRE",
        "http://a.org/x-01234567.pth?token=SECRET",
        "https://user:SECRET@[::1/x?SECRET",
    ],
)
def test_a_refusal_tells_no_secrets(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "SECRET" not in str(caught.value).replace("#sha256=SECRE", "") + caught.value.hint


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_no_address_leads_out_of_its_folder(name: str) -> None:
    try:
        file = addresses.parse(f"https://a.org/{name}#sha256={DIGITS}").file
    except UsageError:
        return
    folder = Path("/cache/digest")
    assert (folder / file).parent == folder
    assert file
    assert not file.startswith(".")  # where posehg's own files lie
    assert len(file.encode()) < 250 or not file.isascii()


@pytest.mark.parametrize("path", ["../../x", "..%2F..%2Fx", "..%5Cx", "a/..", "%2e%2e", ".origin.json", ""])
def test_nor_one_that_tries_to(path: str) -> None:
    file = addresses.parse(f"https://a.org/{path}#sha256={DIGITS}").file
    assert "/" not in file
    assert "\\" not in file
    assert not file.startswith(".")


# ---- where downloads lie -----------------------------------------------------------------------------------------


def test_downloads_lie_where_the_user_says_or_where_the_system_keeps_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("POSEHG_HOME", "/somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert downloads.home() == Path("/somewhere")
    monkeypatch.setenv("POSEHG_HOME", "")
    assert downloads.home() == Path("/xdg/posehg")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert downloads.home() == Path.home() / ".cache" / "posehg"
    monkeypatch.setattr("sys.platform", "win32")
    assert downloads.home() == Path("/local/posehg")


# ---- offline -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann/toy", f"https://a.org/hg.pth#sha256={DIGITS}", "bearpaw-hg8"])
def test_offline_nothing_is_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object) -> Path:
        raise AssertionError("a request was made")

    monkeypatch.setattr(finding, "_fetched", fetched)
    with pytest.raises(NotAvailable, match="posehg is offline"):
        hub.find(name)  # HF_HUB_OFFLINE is set for every test
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(NotAvailable, match="posehg is offline"):
        hub.find(name, offline=True)
    with pytest.raises(AssertionError, match="a request was made"):
        hub.find(name)


@pytest.mark.parametrize("command", [hub.find, hub.where])
def test_what_was_not_fetched_is_told_without_its_secrets(command: Callable[[str], Path]) -> None:
    with pytest.raises(NotAvailable) as caught:
        command(f"https://a.org/hg.pth?token=SECRET#sha256={DIGITS}")
    assert "https://a.org/hg.pth" in str(caught.value)
    assert "SECRET" not in str(caught.value) + caught.value.hint


# ---- the bundled model -------------------------------------------------------------------------------------------


def test_an_installation_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posehg.hub.bundled.__file__", str(tmp_path / "posehg" / "hub" / "bundled.py"))
    with pytest.raises(NotAvailable, match="without its weights"):
        checkpoints.bundled_folder()


def test_an_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "posehg" / "weights"
    inside.mkdir(parents=True)
    (inside / "model.safetensors").touch()
    monkeypatch.setattr("posehg.hub.bundled.__file__", str(tmp_path / "posehg" / "hub" / "bundled.py"))
    assert hub.find("bundled") == inside
