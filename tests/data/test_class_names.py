import pytest

from hfaudio.data.class_names import doubtful_classes


def doubtful(*names: str) -> dict[str, str]:
    return {doubt.name: doubt.reason for doubt in doubtful_classes(names)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dog", "dog"),
        ("dog", "dog "),
        ("car horn", "car  horn"),
        ("car horn", "car\u00a0horn"),
        ("car_horn", "car-horn"),
        ("car_horn", "carhorn"),
        ("caf\u00e9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("dog", "dog\u200b"),
        ("class-1", "class_1"),
        ("_dog", "dog"),
    ],
)
def test_two_spellings_may_be_one_class(one: str, other: str) -> None:
    assert doubtful("bird", one, other) == {other: f"differs from {one!r} in spelling alone"}


@pytest.mark.parametrize(
    "names",
    [("-1", "1"), ("1-1", "11"), ("dog", "dogs"), ("c4", "c_4"), ("a", "\u00e4"), ("dog bark", "dog"), ("x1", "x2")],
)
def test_other_names_are_other_classes(names: tuple[str, ...]) -> None:
    assert doubtful(*names) == {}


@pytest.mark.parametrize(
    ("names", "several", "separator"),
    [
        (["bell", "loud", "quiet", "bell;loud", "bell;quiet"], ["bell;loud", "bell;quiet"], ";"),
        (["bell;loud", "dog;quiet", "x"], ["bell;loud", "dog;quiet"], ";"),
        (["bell", "bell | loud"], ["bell | loud"], "|"),
        (["a", "b", "a,b", "car, idling"], ["a,b"], ","),
        (["a, b", "b, c", "a, c"], ["a, b", "b, c", "a, c"], ","),
        (["a", "b", "a b"], ["a b"], " "),
        (["a", "b", "a+b"], ["a+b"], "+"),
    ],
)
def test_a_name_may_be_several_classes(names: list[str], several: list[str], separator: str) -> None:
    found = doubtful(*names)
    assert sorted(found) == sorted(several)
    assert all(reason.endswith(f"give --label_separator {separator!r}") for reason in found.values())


@pytest.mark.parametrize(
    "names",
    [
        ["car, idling", "dog"],
        ["Speech, male", "Speech, female", "Music"],
        ["a;b", "c"],
        ["dog bark", "dog", "gun shot"],
        ["air_conditioner", "car_horn", "car"],
        ["AC/DC", "rock"],
        ["x;", "y;"],
    ],
)
def test_names_with_such_signs_may_be_ordinary(names: list[str]) -> None:
    assert doubtful(*names) == {}


@pytest.mark.parametrize("name", ["['a', 'b']", "[0, 1, 0]", "0 1 0", "0,1", "{a}"])
def test_a_list_as_text_is_no_name(name: str) -> None:
    assert "looks like a list" in doubtful("dog", name)[name]


def test_an_empty_cell_as_text_is_no_name() -> None:
    assert doubtful("dog", "nan") == {"nan": "looks like an empty cell"}
    assert doubtful("dog", "none") == {}
