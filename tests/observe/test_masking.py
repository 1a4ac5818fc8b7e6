from __future__ import annotations

import pytest
from hypothesis import given, strategies

from gwproxy.observe import masking
from gwproxy.observe.masking import is_secret, mask_target


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/", "/"),
        ("/a?page=2&sort=asc&flag", "/a?page=2&sort=asc&flag"),
        ("/a?state=xyz&keyword=k&monkey=m", "/a?state=xyz&keyword=k&monkey=m"),
        ("/a?page=2&token=S&x=1", "/a?page=2&token=***&x=1"),
        ("/a?TOKEN=S", "/a?TOKEN=***"),
        ("/a?Access_Token=S&id-token=S&refreshToken=S", "/a?Access_Token=***&id-token=***&refreshToken=***"),
        ("/a?%74oken=S", "/a?%74oken=***"),
        ("/a?a%70i_key=S", "/a?a%70i_key=***"),
        ("/a?token=S&token=S", "/a?token=***&token=***"),
        ("/a?token=S=S&x=1", "/a?token=***&x=1"),
        ("/a?token=S?S", "/a?token=***"),
        ("/a?token=S;S", "/a?token=***"),
        ("/a?x=1;token=S&y=2", "/a?x=1;token=***&y=2"),
        ("/a?x=1?token=S", "/a?x=1?token=***"),
        ("/a?token=", "/a?token="),
        ("/a?user[password]=S", "/a?user[password]=***"),
        ("/a?user%5Bpassword%5D=S", "/a?user%5Bpassword%5D=***"),
        (
            "/a?X-Amz-Signature=S&X-Amz-Security-Token=S&X-Amz-Date=1",
            "/a?X-Amz-Signature=***&X-Amz-Security-Token=***&X-Amz-Date=1",
        ),
        ("/a?next=/b?token=S", "/a?next=/b?token=***"),
        ("/a?next=%2Fb%3Ftoken%3DS", "/a?next=***"),
        ("/a?next=%252Fb%253Ftoken%253DS", "/a?next=***"),
        ("/a?next=%2Fb%3Fpage%3D2", "/a?next=%2Fb%3Fpage%3D2"),
        ("/a;jsessionid=S?x=1", "/a;jsessionid=***"),
        ("/cb#access_token=S?x=1", "/cb#access_token=***"),
        ("/cb?x=1#access_token=S", "/cb?x=1#access_token=***"),
        ("http://user:S@h/a?x=1", "http://***@h/a?x=1"),
        ("user:S@h:443", "//***@h:443"),
        ("/a@b?x=1", "/a@b?x=1"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_target(target: str, shown: str) -> None:
    # twice: the second time from what is known by then
    assert [mask_target(target), mask_target(target)] == [shown, shown]


@pytest.mark.parametrize(
    "name",
    "token access_token id_token refresh_token key api_key apikey password passwd secret client_secret code signature "
    "sig auth jwt session".split(),
)
def test_names_that_are_secret(name: str) -> None:
    assert is_secret(name)
    assert is_secret(name.upper())
    assert is_secret("".join(f"%{ord(letter):02x}" for letter in name))


@given(strategies.text(strategies.characters(max_codepoint=255)))
def test_anything_can_be_a_target(target: str) -> None:
    mask_target(target)


@given(strategies.text("ab?&;=#%3Dd/", max_size=12), strategies.text("ab?&;=#%3Dd/", max_size=12))
def test_a_secret_is_never_shown(before: str, after: str) -> None:
    assert "hunter2" not in mask_target(f"/a?{before}&token=hunter2{after}")


def test_names_seen_do_not_fill_the_memory() -> None:
    for number in range(3000):
        is_secret(f"name{number}")
    assert len(masking._verdicts) <= masking._MAX_VERDICTS


def test_names_that_the_configuration_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_configured", set())
    assert mask_target("/a?licence_no=S&x=1") == "/a?licence_no=S&x=1"
    masking.also_mask(["Licence-No"])
    assert mask_target("/a?licence_no=S&x=1") == "/a?licence_no=***&x=1"
    masking.also_mask([])
    assert mask_target("/a?%6cicence_no=S") == "/a?%6cicence_no=***"
    masking._verdicts.clear()
